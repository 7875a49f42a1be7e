#include "store/reader_internal.h"

#include "ipc/binary.h"
#include "ipc/services.h"
#include "store/queue.h"
#include "store/view_queue.h"

#include "store_read.pb-c.h"

#include <errno.h>

int reader_serve_queue_due(struct store_reader *r, struct call *call)
{
    const StoreRead__QueueDueRequest *q = (const StoreRead__QueueDueRequest *)call->request;
    StoreRead__QueueDueReply reply = STORE_READ__QUEUE_DUE_REPLY__INIT;
    struct queue_due due = {0};
    struct span after = binary_span(q->after);
    int rc = queue_is_paused(r->view.db, QUEUE_OUT);
    reply.paused = rc > 0;
    if (rc == 0)
        rc = view_queue_due(&r->view, q->now, after, q->limit, &r->arena, &due);
    if (rc == 0 && after.size == 0)
        rc = view_queue_next(&r->view, q->now, &reply.next_at);
    if (rc < 0)
        return rc;
    reply.destinations = arena_array(&r->arena, due.count + 1, sizeof(*reply.destinations));
    if (!reply.destinations)
        return -ENOMEM;
    reply.n_destinations = due.count;
    reply.more = due.more;
    for (size_t i = 0; i < due.count; i++)
        reply.destinations[i] = binary_from_span(due.destinations[i]);
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}

static void put_entry(StoreRead__QueueEntry *to, const struct queue_entry *e)
{
    static const StoreRead__QueueKind kinds[] = {
        [QUEUE_KIND_REMOTE] = STORE_READ__QUEUE_KIND__QUEUE_REMOTE,
        [QUEUE_KIND_LIST] = STORE_READ__QUEUE_KIND__QUEUE_LIST,
        [QUEUE_KIND_REPORT] = STORE_READ__QUEUE_KIND__QUEUE_REPORT,
    };
    store_read__queue_entry__init(to);
    to->message_id = e->message_id;
    to->number = e->number;
    to->kind = e->kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[e->kind] : STORE_READ__QUEUE_KIND__QUEUE_UNSET;
    to->address = binary_from_span(e->address);
    to->original = binary_from_span(e->original);
    to->orcpt = binary_from_span(e->orcpt);
    to->notify = e->notify;
    to->forwarder = binary_from_span(e->forwarder);
    to->list_id = e->list_id;
    to->reverse_path = binary_from_span(e->reverse_path);
    to->size = e->size;
    to->attempts = e->attempts;
    to->next_at = e->next_at;
    to->created_at = e->created_at;
    to->warned = e->warned;
    to->give_up = e->give_up;
    to->reply = binary_from_span(e->reply);
    to->sender_account_id = e->account_id;
}

int reader_serve_queue_entries(struct store_reader *r, struct call *call)
{
    const StoreRead__QueueEntriesRequest *q = (const StoreRead__QueueEntriesRequest *)call->request;
    StoreRead__QueueEntriesReply reply = STORE_READ__QUEUE_ENTRIES_REPLY__INIT;
    struct queue_cursor after = {q->after_next_at, q->after_message_id, q->after_number};
    struct queue_entry *entries;
    size_t count;
    int rc = view_queue_entries(&r->view, binary_span(q->destination), q->now, &after, q->limit, &r->arena, &entries,
                                &count);
    if (rc != 0)
        return rc;
    StoreRead__QueueEntry *list = arena_array(&r->arena, count + 1, sizeof(*list));
    reply.entries = arena_array(&r->arena, count + 1, sizeof(StoreRead__QueueEntry *));
    if (!list || !reply.entries)
        return -ENOMEM;
    reply.n_entries = count;
    for (size_t i = 0; i < count; i++) {
        put_entry(&list[i], &entries[i]);
        reply.entries[i] = &list[i];
    }
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}

/* 1, 0 or a negative errno. */
static int has_codes(struct store_reader *r, uint64_t account_id)
{
    const struct door_owner site = {LEVEL_SITE, 0, {"", 0}}, sender = {LEVEL_ACCOUNT, account_id, {"", 0}};
    int rc = door_has(r->view.db, &site, DOOR_CODE_FOR);
    return rc == 0 && account_id ? door_has(r->view.db, &sender, DOOR_CODE_FOR) : rc;
}

int reader_serve_queue_fetch(struct store_reader *r, struct call *call)
{
    const StoreRead__QueueFetchRequest *q = (const StoreRead__QueueFetchRequest *)call->request;
    StoreRead__QueueFetchReply reply = STORE_READ__QUEUE_FETCH_REPLY__INIT;
    struct message_facts f;
    int rc = view_queue_fetch(&r->view, q->message_id, q->offset, q->max_bytes, &r->arena, &f, &reply.total, &r->out);
    if (rc == 0 && q->offset == 0) {
        rc = has_codes(r, f.sender_account_id);
        reply.has_codes = rc > 0;
    }
    if (rc < 0)
        return rc;
    reply.envid = binary_from_span(f.envid);
    reply.ret = f.ret;
    reply.smtputf8 = f.smtputf8;
    reply.eight_bit = f.eight_bit;
    reply.received_at = f.received_at;
    reply.sender_account_id = f.sender_account_id;
    reply.session = binary_from_span(f.session);
    reply.reverse_path = binary_from_span(f.reverse_path);
    call_reply(call, &reply.base, buf_span(&r->out), -1);
    return 0;
}

int reader_serve_list(struct store_reader *r, struct call *call)
{
    const StoreRead__ListRequest *q = (const StoreRead__ListRequest *)call->request;
    StoreRead__ListReply reply = STORE_READ__LIST_REPLY__INIT;
    struct list_page page;
    int rc = view_list(&r->view, q->list_id, q->after_member, q->limit, &r->arena, &page);
    if (rc < 0)
        return rc;
    StoreRead__ListMember *members = arena_array(&r->arena, page.count + 1, sizeof(*members));
    reply.members = arena_array(&r->arena, page.count + 1, sizeof(StoreRead__ListMember *));
    if (!members || !reply.members)
        return -ENOMEM;
    reply.found = rc > 0;
    reply.address = binary_from_span(page.address);
    reply.name = binary_from_span(page.name);
    reply.owner = binary_from_span(page.owner);
    reply.more = page.more;
    reply.n_members = page.count;
    for (size_t i = 0; i < page.count; i++) {
        store_read__list_member__init(&members[i]);
        members[i].number = page.members[i].number;
        members[i].address = binary_from_span(page.members[i].address);
        members[i].bounces = page.members[i].bounces;
        reply.members[i] = &members[i];
    }
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}

int reader_serve_secrets(struct store_reader *r, struct call *call)
{
    StoreRead__SecretsReply reply = STORE_READ__SECRETS_REPLY__INIT;
    reply.srs_key = binary_from_span(span_from(r->srs_key, sizeof(r->srs_key)));
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}
