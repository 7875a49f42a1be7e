#include "ipc/binary.h"
#include "store/writer_internal.h"

#include "base/clock.h"
#include "ipc/services.h"
#include "store/change.h"
#include "store/list.h"
#include "store/queue.h"
#include "store/schema.h"

#include "store_write.pb-c.h"

#include <errno.h>
#include <unistd.h>

#define EXPUNGE_UIDS_MAX 1000000

/* ---- Expunge ---- */

static int perform_expunge(struct store_writer *w, struct pending *p)
{
    const StoreWrite__ExpungeRequest *q = (const StoreWrite__ExpungeRequest *)p->call->request;
    uint64_t account = grant_check(w->grant_key, binary_span(q->grant), clock_monotonic() / NANOSECONDS);
    StoreWrite__ExpungeReply *reply = arena_alloc(&w->arena, sizeof(*reply));
    if (account == 0 || q->n_uids > EXPUNGE_UIDS_MAX)
        return account ? -EINVAL : -EACCES;
    if (!reply)
        return -ENOMEM;
    store_write__expunge_reply__init(reply);
    p->reply = &reply->base;
    int rc = store_expunge(w->store, account, q->mailbox_id, q->uids, q->n_uids, &reply->expunged);
    w->compact_wanted |= rc == 0 && reply->expunged > 0;
    return rc == -ENOENT ? -EACCES : rc;
}

/* ---- Change ---- */

static int take_credentials(struct store_writer *w, StoreWrite__StoredCredential *const *given, size_t count,
                            struct change *c)
{
    struct credential_facts *credentials = arena_array(&w->arena, count + 1, sizeof(*credentials));
    if (!credentials)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        credentials[i] = (struct credential_facts){span_text(given[i]->kind), binary_span(given[i]->value)};
    c->credentials = credentials;
    c->credential_count = count;
    return 0;
}

static void take_list(const StoreWrite__MailingList *list, struct change *c)
{
    c->subject = binary_span(list->address);
    c->name = binary_span(list->name);
    c->owner = binary_span(list->owner);
    c->posting = list->posting;
    c->set_name = list->set_name;
    c->set_owner = list->set_owner;
    c->set_posting = list->set_posting;
    c->target_count = list->n_members;
}

static int take_change(struct store_writer *w, const StoreWrite__ChangeRequest *q, struct change *c)
{
    static const enum change_kind kinds[] = {
        [STORE_WRITE__CHANGE__DOMAIN_ADD] = CHANGE_DOMAIN_ADD,
        [STORE_WRITE__CHANGE__DOMAIN_REMOVE] = CHANGE_DOMAIN_REMOVE,
        [STORE_WRITE__CHANGE__ACCOUNT_ADD] = CHANGE_ACCOUNT_ADD,
        [STORE_WRITE__CHANGE__ACCOUNT_REMOVE] = CHANGE_ACCOUNT_REMOVE,
        [STORE_WRITE__CHANGE__ACCOUNT_SET] = CHANGE_ACCOUNT_SET,
        [STORE_WRITE__CHANGE__ACCOUNT_CREDENTIALS] = CHANGE_ACCOUNT_CREDENTIALS,
        [STORE_WRITE__CHANGE__ALIAS_PUT] = CHANGE_ALIAS_PUT,
        [STORE_WRITE__CHANGE__ALIAS_REMOVE] = CHANGE_ALIAS_REMOVE,
        [STORE_WRITE__CHANGE__DOMAIN_SET] = CHANGE_DOMAIN_SET,
        [STORE_WRITE__CHANGE__LIST_PUT] = CHANGE_LIST_PUT,
        [STORE_WRITE__CHANGE__LIST_REMOVE] = CHANGE_LIST_REMOVE,
        [STORE_WRITE__CHANGE__LIST_JOIN] = CHANGE_LIST_JOIN,
        [STORE_WRITE__CHANGE__LIST_LEAVE] = CHANGE_LIST_LEAVE,
    };
    *c = (struct change){.set_name = q->set_name, .set_enabled = q->set_enabled, .set_quota = q->set_quota};
    if ((unsigned)q->change < sizeof(kinds) / sizeof(kinds[0]))
        c->kind = kinds[q->change];
    if (q->domain) {
        c->subject = binary_span(q->domain->name);
        c->is_backup = q->domain->kind == STORE_WRITE__DOMAIN_KIND__DOMAIN_BACKUP;
        c->alias_of = binary_span(q->domain->alias_of);
        c->next_hop = binary_span(q->domain->next_hop);
    }
    if (q->list)
        take_list(q->list, c);
    if (q->alias) {
        c->subject = binary_span(q->alias->address);
        c->target_count = q->alias->n_targets;
    }
    if (q->account) {
        c->subject = binary_span(q->account->address);
        c->name = binary_span(q->account->name);
        c->quota = q->account->quota;
        c->enabled = q->account->enabled;
    }
    struct span *targets = arena_array(&w->arena, c->target_count + 1, sizeof(*targets));
    if (!targets)
        return -ENOMEM;
    for (size_t i = 0; i < c->target_count; i++)
        targets[i] = binary_span(q->alias ? q->alias->targets[i] : q->list->members[i]->address);
    c->targets = targets;
    return take_credentials(w, q->credentials, q->n_credentials, c);
}

static int make_change(struct store_writer *w, const struct change *change, struct pending *p)
{
    StoreWrite__ChangeReply *reply = arena_alloc(&w->arena, sizeof(*reply));
    if (!reply)
        return -ENOMEM;
    store_write__change_reply__init(reply);
    p->reply = &reply->base;
    int rc = store_change(w->store, change, &reply->id, &p->problem);
    buf_add_char(&p->problem, '\0');
    if (rc == 0 && buf_failed(&p->problem))
        return store_fail(w->store, -ENOMEM);
    reply->problem = p->problem.data;
    w->compact_wanted |= change->kind == CHANGE_ACCOUNT_REMOVE;
    return rc;
}

static int perform_change(struct store_writer *w, struct pending *p)
{
    struct change change;
    int rc = take_change(w, (const StoreWrite__ChangeRequest *)p->call->request, &change);
    return rc ? rc : make_change(w, &change, p);
}

static int perform_credentials(struct store_writer *w, struct pending *p)
{
    const StoreWrite__CredentialsRequest *q = (const StoreWrite__CredentialsRequest *)p->call->request;
    struct change change = {.kind = CHANGE_ACCOUNT_CREDENTIALS, .account_id = q->account_id};
    /* An account without credentials would be shut for good; account 0 is no account. */
    if (q->account_id == 0 || q->n_credentials == 0)
        return -EINVAL;
    int rc = take_credentials(w, q->credentials, q->n_credentials, &change);
    return rc ? rc : make_change(w, &change, p);
}

void writer_perform(struct store_writer *w, struct pending *p)
{
    switch (p->call->method) {
    case STORE_WRITE_DELIVER:
        p->error = writer_deliver(w, p);
        break;
    case STORE_WRITE_EXPUNGE:
        p->error = perform_expunge(w, p);
        break;
    case STORE_WRITE_CREDENTIALS:
        p->error = perform_credentials(w, p);
        break;
    case STORE_WRITE_IMPORT:
        p->error = writer_import(w, p);
        break;
    case STORE_WRITE_QUEUE_CHANGE:
        p->error = writer_queue_change(w, p);
        break;
    case STORE_WRITE_DOOR_CHANGE:
        p->error = writer_door_change(w, p);
        break;
    case STORE_WRITE_REMOTE_SEEN:
        p->error = writer_remote_seen(w, p);
        break;
    default:
        p->error = perform_change(w, p);
    }
}

/* ---- What changes nothing ---- */

static int answer_spool(struct store_writer *w, struct call *call)
{
    const StoreWrite__SpoolRequest *q = (const StoreWrite__SpoolRequest *)call->request;
    if (q->expected_size > w->store->message_max)
        return -EMSGSIZE;
    int fd = store_spool(w->store);
    if (fd < 0)
        return fd;
    StoreWrite__SpoolReply reply = STORE_WRITE__SPOOL_REPLY__INIT;
    call_reply(call, &reply.base, (struct span){NULL, 0}, fd);
    close(fd);
    return 0;
}

static int fill_domains(struct store_writer *w, const StoreWrite__ListRequest *q, StoreWrite__ListReply *reply)
{
    struct listed_domain *items;
    bool more;
    int rc = list_domains(w->store->db, binary_span(q->after), binary_span(q->match), &w->arena, &items,
                          &reply->n_domains, &more);
    StoreWrite__Domain *rows = arena_array(&w->arena, LIST_PAGE, sizeof(*rows));
    reply->domains = arena_array(&w->arena, LIST_PAGE, sizeof(StoreWrite__Domain *));
    if (rc != 0 || !rows || !reply->domains)
        return rc ? rc : -ENOMEM;
    for (size_t i = 0; i < reply->n_domains; i++) {
        store_write__domain__init(&rows[i]);
        rows[i].id = items[i].id;
        rows[i].name = binary_from_span(items[i].name);
        rows[i].accounts = items[i].accounts;
        rows[i].kind = items[i].kind ? STORE_WRITE__DOMAIN_KIND__DOMAIN_BACKUP : STORE_WRITE__DOMAIN_KIND__DOMAIN_OWN;
        rows[i].alias_of = binary_from_span(items[i].alias_of);
        rows[i].next_hop = binary_from_span(items[i].next_hop);
        reply->domains[i] = &rows[i];
    }
    reply->more = more;
    return 0;
}

static int fill_accounts(struct store_writer *w, const StoreWrite__ListRequest *q, StoreWrite__ListReply *reply)
{
    struct listed_account *items;
    bool more;
    int rc = list_accounts(w->store->db, binary_span(q->after), binary_span(q->match), &w->arena, &items,
                           &reply->n_accounts, &more);
    StoreWrite__Account *rows = arena_array(&w->arena, LIST_PAGE, sizeof(*rows));
    reply->accounts = arena_array(&w->arena, LIST_PAGE, sizeof(StoreWrite__Account *));
    if (rc != 0 || !rows || !reply->accounts)
        return rc ? rc : -ENOMEM;
    for (size_t i = 0; i < reply->n_accounts; i++) {
        store_write__account__init(&rows[i]);
        rows[i].id = items[i].id;
        rows[i].address = binary_from_span(items[i].address);
        rows[i].name = binary_from_span(items[i].name);
        rows[i].enabled = items[i].enabled;
        rows[i].quota = items[i].quota;
        rows[i].used = items[i].used;
        rows[i].messages = items[i].messages;
        rows[i].created_at = items[i].created_at;
        reply->accounts[i] = &rows[i];
    }
    reply->more = more;
    return 0;
}

static int fill_aliases(struct store_writer *w, const StoreWrite__ListRequest *q, StoreWrite__ListReply *reply)
{
    struct listed_alias *items;
    bool more;
    int rc = list_aliases(w->store->db, binary_span(q->after), binary_span(q->match), &w->arena, &items,
                          &reply->n_aliases, &more);
    StoreWrite__Alias *rows = arena_array(&w->arena, LIST_PAGE, sizeof(*rows));
    reply->aliases = arena_array(&w->arena, LIST_PAGE, sizeof(StoreWrite__Alias *));
    if (rc != 0 || !rows || !reply->aliases)
        return rc ? rc : -ENOMEM;
    for (size_t i = 0; i < reply->n_aliases; i++) {
        store_write__alias__init(&rows[i]);
        rows[i].address = binary_from_span(items[i].address);
        rows[i].n_targets = items[i].target_count;
        rows[i].targets = arena_array(&w->arena, items[i].target_count + 1, sizeof(*rows[i].targets));
        if (!rows[i].targets)
            return -ENOMEM;
        for (size_t n = 0; n < items[i].target_count; n++)
            rows[i].targets[n] = binary_from_span(items[i].targets[n]);
        reply->aliases[i] = &rows[i];
    }
    reply->more = more;
    return 0;
}

static int fill_members(struct store_writer *w, const struct listed_list *list, StoreWrite__MailingList *row)
{
    StoreWrite__MailingListMember *members = arena_array(&w->arena, list->listed + 1, sizeof(*members));
    row->members = arena_array(&w->arena, list->listed + 1, sizeof(StoreWrite__MailingListMember *));
    if (!members || !row->members)
        return -ENOMEM;
    row->n_members = list->listed;
    for (size_t i = 0; i < list->listed; i++) {
        store_write__mailing_list_member__init(&members[i]);
        members[i].address = binary_from_span(list->members[i].address);
        members[i].number = list->members[i].number;
        members[i].bounces = (uint32_t)list->members[i].bounces;
        members[i].suspended = list->members[i].suspended;
        row->members[i] = &members[i];
    }
    return 0;
}

static int fill_lists(struct store_writer *w, const StoreWrite__ListRequest *q, StoreWrite__ListReply *reply)
{
    struct listed_list *items;
    bool more;
    int rc = list_lists(w->store->db, binary_span(q->after), binary_span(q->match), &w->arena, &items, &reply->n_lists,
                        &more);
    StoreWrite__MailingList *rows = arena_array(&w->arena, LIST_PAGE, sizeof(*rows));
    reply->lists = arena_array(&w->arena, LIST_PAGE, sizeof(StoreWrite__MailingList *));
    if (rc != 0 || !rows || !reply->lists)
        return rc ? rc : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < reply->n_lists; i++) {
        store_write__mailing_list__init(&rows[i]);
        rows[i].id = items[i].id;
        rows[i].address = binary_from_span(items[i].address);
        rows[i].name = binary_from_span(items[i].name);
        rows[i].owner = binary_from_span(items[i].owner);
        rows[i].posting = (StoreWrite__ListPosting)items[i].posting;
        rows[i].member_count = items[i].member_count;
        reply->lists[i] = &rows[i];
        rc = fill_members(w, &items[i], &rows[i]);
    }
    reply->more = more;
    return rc;
}

static int answer_list(struct store_writer *w, struct call *call)
{
    const StoreWrite__ListRequest *q = (const StoreWrite__ListRequest *)call->request;
    StoreWrite__ListReply reply = STORE_WRITE__LIST_REPLY__INIT;
    int rc = -EINVAL;
    arena_reset(&w->arena);
    if (q->kind == STORE_WRITE__LIST_KIND__LIST_DOMAINS)
        rc = fill_domains(w, q, &reply);
    else if (q->kind == STORE_WRITE__LIST_KIND__LIST_ACCOUNTS)
        rc = fill_accounts(w, q, &reply);
    else if (q->kind == STORE_WRITE__LIST_KIND__LIST_ALIASES)
        rc = fill_aliases(w, q, &reply);
    else if (q->kind == STORE_WRITE__LIST_KIND__LIST_LISTS)
        rc = fill_lists(w, q, &reply);
    if (rc == 0)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return rc;
}

static int answer_status(struct store_writer *w, struct call *call)
{
    StoreWrite__StatusReply reply = STORE_WRITE__STATUS_REPLY__INIT;
    struct statement *st =
        database_query(w->store->db,
                       "SELECT (SELECT COALESCE(SUM(messages), 0) FROM mailbox), (SELECT COUNT(*) FROM account),"
                       " COUNT(*), COALESCE(SUM(end_position), 0), COALESCE(SUM(dead_bytes), 0) FROM volume",
                       "");
    int rc = database_step(st);
    if (rc > 0) {
        reply.messages = database_u64(st, 0);
        reply.accounts = database_u64(st, 1);
        reply.volumes = database_u64(st, 2);
        reply.volume_bytes = database_u64(st, 3);
        reply.dead_bytes = database_u64(st, 4);
    }
    database_end(st);
    if (rc <= 0)
        return rc ? rc : -EIO;
    int in = queue_is_paused(w->store->db, QUEUE_IN), out = queue_is_paused(w->store->db, QUEUE_OUT);
    if (in < 0 || out < 0)
        return in < 0 ? in : out;
    reply.paused_in = in;
    reply.paused_out = out;
    reply.syncs = w->store->volumes.syncs;
    reply.batches = w->store->counts.batches;
    reply.delivered = w->store->counts.delivered;
    reply.schema_version = SCHEMA_VERSION;
    reply.queued = w->store->queued.entries;
    reply.held = w->store->queued.held;
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}

void writer_answer(struct store_writer *w, struct call *call)
{
    int rc = -EINVAL;
    if (call->method == STORE_WRITE_SPOOL)
        rc = answer_spool(w, call);
    else if (call->method == STORE_WRITE_LIST)
        rc = answer_list(w, call);
    else if (call->method == STORE_WRITE_STATUS)
        rc = answer_status(w, call);
    else if (call->method == STORE_WRITE_QUEUE_LIST)
        rc = writer_queue_list(w, call);
    else if (call->method == STORE_WRITE_DOOR_LIST)
        rc = writer_door_list(w, call);
    else if (call->method == STORE_WRITE_DOOR_HISTORY)
        rc = writer_door_history(w, call);
    else if (call->method == STORE_WRITE_LEDGER_LIST)
        rc = writer_ledger_list(w, call);
    else if (call->method == STORE_WRITE_REJECT_COUNTS)
        rc = writer_reject_counts(w, call);
    if (rc != 0)
        call_fail(call, rc);
}
