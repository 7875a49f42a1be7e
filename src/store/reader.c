#include "store/reader_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store/queue.h"
#include "store/sent.h"

#include "store_read.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define CALL_MEMORY (16u << 20)
#define FETCH_UIDS_MAX 1024

/* The account of the grant, if the mailbox is its own. */
static int mailbox_of_grant(struct store_reader *r, const ProtobufCBinaryData *grant, uint64_t mailbox_id)
{
    uint64_t account = grant_check(r->grant_key, binary_span(*grant), clock_monotonic() / NANOSECONDS), owner;
    uint32_t uidvalidity;
    if (account == 0)
        return -EACCES;
    int rc = view_mailbox_owner(&r->view, mailbox_id, &owner, &uidvalidity);
    return rc < 0 ? rc : rc == 0 || owner != account ? -EACCES : 0;
}

static int answer_resolve(struct store_reader *r, struct call *call)
{
    static const StoreRead__Route routes[] = {
        [ROUTED_LOCAL] = STORE_READ__ROUTE__ROUTE_LOCAL,
        [ROUTED_NO_USER] = STORE_READ__ROUTE__ROUTE_NO_USER,
        [ROUTED_NOT_OURS] = STORE_READ__ROUTE__ROUTE_NOT_OURS,
        [ROUTED_OVER_QUOTA] = STORE_READ__ROUTE__ROUTE_OVER_QUOTA,
        [ROUTED_DISABLED] = STORE_READ__ROUTE__ROUTE_DISABLED,
        [ROUTED_LIST_REFUSES] = STORE_READ__ROUTE__ROUTE_LIST_REFUSES,
    };
    static const StoreRead__TargetKind kinds[] = {
        [TARGET_MAILBOX] = STORE_READ__TARGET_KIND__TARGET_MAILBOX,
        [TARGET_REMOTE] = STORE_READ__TARGET_KIND__TARGET_REMOTE,
        [TARGET_LIST] = STORE_READ__TARGET_KIND__TARGET_LIST,
        [TARGET_LIST_BOUNCE] = STORE_READ__TARGET_KIND__TARGET_LIST_BOUNCE,
    };
    const StoreRead__ResolveRequest *q = (const StoreRead__ResolveRequest *)call->request;
    struct routing routing;
    struct directory_query query = {binary_span(q->local_part), binary_span(q->domain), binary_span(q->reverse_path),
                                    binary_span(q->sent_on_to), q->judged};
    struct directory directory = r->directory;
    directory.wall_seconds = clock_steady() / NANOSECONDS;
    int rc = directory_resolve(&directory, &query, &r->arena, &routing);
    if (rc != 0)
        return rc;
    if (routing.route != ROUTED_LOCAL)
        routing.count = 0;
    StoreRead__ResolveReply reply = STORE_READ__RESOLVE_REPLY__INIT;
    StoreRead__Target *targets = arena_array(&r->arena, routing.count + 1, sizeof(*targets));
    reply.targets = arena_array(&r->arena, routing.count + 1, sizeof(StoreRead__Target *));
    if (!targets || !reply.targets)
        return -ENOMEM;
    rc = queue_is_paused(r->view.db, QUEUE_IN);
    if (rc < 0)
        return rc;
    reply.intake_paused = rc > 0;
    reply.route = routes[routing.route];
    reply.n_targets = routing.count;
    for (size_t i = 0; i < routing.count; i++) {
        store_read__target__init(&targets[i]);
        const struct route_target *from = &routing.targets[i];
        targets[i].kind = kinds[from->kind];
        targets[i].account_id = from->account_id;
        targets[i].mailbox_id = from->mailbox_id;
        targets[i].quota_left = from->quota_left;
        targets[i].address = binary_from_span(from->address);
        targets[i].next_hop = binary_from_span(from->next_hop);
        targets[i].forwarder = binary_from_span(from->forwarder);
        targets[i].verify = from->verify;
        targets[i].list_id = from->list_id;
        targets[i].list_member = from->list_member;
        reply.targets[i] = &targets[i];
    }
    if (q->judged && routing.route == ROUTED_LOCAL)
        rc = reader_fill_doors(r, q, &routing, &reply);
    if (rc < 0)
        return rc;
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}

/* In one transaction: all of the answer is of one moment, and its many small look-ups lock the database's log once
 * instead of each, which halves what they cost. */
static int serve_resolve(struct store_reader *r, struct call *call)
{
    int rc = database_begin_read(r->view.db);
    if (rc != 0)
        return rc;
    rc = answer_resolve(r, call);
    int ended = database_commit(r->view.db);
    if (ended != 0) {
        log_write(LOG_PROBLEM, "store", NULL, "a look-up could not be ended error=%s", strerror(-ended));
        database_rollback(r->view.db);
    }
    return rc;
}

static int serve_credentials(struct store_reader *r, struct call *call)
{
    const StoreRead__CredentialsRequest *q = (const StoreRead__CredentialsRequest *)call->request;
    StoreRead__CredentialsReply reply = STORE_READ__CREDENTIALS_REPLY__INIT;
    struct login login;
    int rc = directory_login(&r->directory, binary_span(q->login), &r->arena, &login);
    if (rc < 0)
        return rc;
    StoreRead__Credential *credentials = arena_array(&r->arena, login.count + 1, sizeof(*credentials));
    reply.credentials = arena_array(&r->arena, login.count + 1, sizeof(StoreRead__Credential *));
    if (!credentials || !reply.credentials)
        return -ENOMEM;
    reply.found = rc > 0;
    reply.account_id = login.account_id;
    reply.address = binary_from_span(login.address);
    reply.enabled = login.enabled;
    reply.version = login.version;
    reply.n_credentials = login.count;
    for (size_t i = 0; i < login.count; i++) {
        store_read__credential__init(&credentials[i]);
        credentials[i].kind = arena_text(&r->arena, login.credentials[i].kind);
        credentials[i].value = binary_from_span(login.credentials[i].value);
        reply.credentials[i] = &credentials[i];
        if (!credentials[i].kind)
            return -ENOMEM;
    }
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}

static int serve_may_send(struct store_reader *r, struct call *call)
{
    const StoreRead__MaySendRequest *q = (const StoreRead__MaySendRequest *)call->request;
    StoreRead__MaySendReply reply = STORE_READ__MAY_SEND_REPLY__INIT;
    uint64_t account = grant_check(r->grant_key, binary_span(q->grant), clock_monotonic() / NANOSECONDS);
    if (account == 0)
        return -EACCES;
    int rc = directory_may_send(&r->directory, account, binary_span(q->local_part), binary_span(q->domain), &r->arena);
    if (rc < 0)
        return rc;
    reply.allowed = rc > 0;
    rc = sent_left(r->view.db, account, sent_today(), r->settings->submission.daily_recipients, &reply.recipients_left);
    if (rc < 0)
        return rc;
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}

static int inbox_of(struct store_reader *r, uint64_t account, StoreRead__MaildropReply *reply)
{
    struct statement *st = database_query(
        r->view.db, "SELECT id, uidvalidity FROM mailbox WHERE account_id = $1 AND name = 'INBOX'", "u", account);
    int rc = database_step(st);
    if (rc > 0) {
        reply->mailbox_id = database_u64(st, 0);
        reply->uidvalidity = (uint32_t)database_u64(st, 1);
    }
    database_end(st);
    return rc > 0 ? 0 : rc < 0 ? rc : -ENOENT;
}

static int serve_maildrop(struct store_reader *r, struct call *call)
{
    const StoreRead__MaildropRequest *q = (const StoreRead__MaildropRequest *)call->request;
    StoreRead__MaildropReply reply = STORE_READ__MAILDROP_REPLY__INIT;
    uint64_t account = grant_check(r->grant_key, binary_span(q->grant), clock_monotonic() / NANOSECONDS);
    if (account == 0)
        return -EACCES;
    int rc = inbox_of(r, account, &reply);
    if (rc == 0)
        rc = view_maildrop(&r->view, reply.mailbox_id, q->from_uid, &r->out, &reply.count, &reply.next_uid);
    if (rc == 0)
        call_reply(call, &reply.base, buf_span(&r->out), -1);
    return rc;
}

static int reply_pieces(struct store_reader *r, struct call *call, const struct piece *pieces, size_t count)
{
    StoreRead__FetchReply reply = STORE_READ__FETCH_REPLY__INIT;
    StoreRead__Piece *list = arena_array(&r->arena, count + 1, sizeof(*list));
    reply.pieces = arena_array(&r->arena, count + 1, sizeof(StoreRead__Piece *));
    if (!list || !reply.pieces)
        return -ENOMEM;
    reply.n_pieces = count;
    for (size_t i = 0; i < count; i++) {
        store_read__piece__init(&list[i]);
        list[i].uid = pieces[i].uid;
        list[i].offset = pieces[i].offset;
        list[i].size = pieces[i].gone ? 0 : pieces[i].size;
        list[i].total = pieces[i].total;
        list[i].gone = pieces[i].gone;
        reply.pieces[i] = &list[i];
    }
    call_reply(call, &reply.base, buf_span(&r->out), -1);
    return 0;
}

static int serve_fetch(struct store_reader *r, struct call *call)
{
    const StoreRead__FetchRequest *q = (const StoreRead__FetchRequest *)call->request;
    int rc = mailbox_of_grant(r, &q->grant, q->mailbox_id);
    if (rc != 0)
        return rc;
    size_t count = q->n_uids < FETCH_UIDS_MAX ? q->n_uids : FETCH_UIDS_MAX;
    struct piece *pieces = arena_array(&r->arena, count + 1, sizeof(*pieces));
    if (!pieces)
        return -ENOMEM;
    rc = view_fetch(&r->view, q->mailbox_id, q->uids, q->n_uids, q->offset, q->max_bytes, pieces, &count, &r->out);
    return rc ? rc : reply_pieces(r, call, pieces, count);
}

static void called(void *context, struct call *call)
{
    static int (*const methods[])(struct store_reader *, struct call *) = {
        [STORE_READ_RESOLVE] = serve_resolve,
        [STORE_READ_CREDENTIALS] = serve_credentials,
        [STORE_READ_MAY_SEND] = serve_may_send,
        [STORE_READ_MAILDROP] = serve_maildrop,
        [STORE_READ_FETCH] = serve_fetch,
        [STORE_READ_QUEUE_DUE] = reader_serve_queue_due,
        [STORE_READ_QUEUE_ENTRIES] = reader_serve_queue_entries,
        [STORE_READ_QUEUE_FETCH] = reader_serve_queue_fetch,
        [STORE_READ_LIST] = reader_serve_list,
        [STORE_READ_SECRETS] = reader_serve_secrets,
        [STORE_READ_NAME_HITS] = reader_serve_name_hits,
        [STORE_READ_REMOTES] = reader_serve_remotes,
        [STORE_READ_REMOTE_SEEN] = reader_serve_remote_seen,
        [STORE_READ_CODE_FOR] = reader_serve_code_for,
    };
    struct store_reader *r = context;
    arena_reset(&r->arena);
    buf_reset(&r->out);
    int rc = r->stopped ? -ESHUTDOWN : database_settle(r->view.db);
    if (rc == 0)
        rc = methods[call->method](r, call);
    if (rc != 0)
        call_fail(call, rc);
}

void store_reader_set_settings(struct store_reader *r, struct settings *settings)
{
    settings_unref(r->settings);
    r->settings = settings_ref(settings);
    r->directory = (struct directory){.db = r->view.db,
                                      .detail_separator = span_text(settings->smtp.detail_separator),
                                      .default_domain = span_text(settings->auth.default_domain),
                                      .srs_key = span_from(r->srs_key, sizeof(r->srs_key))};
}

struct store_reader *store_reader_new(struct loop *loop, struct settings *settings,
                                      const unsigned char grant_key[GRANT_KEY_SIZE], struct buf *problem)
{
    struct store_reader *r = calloc(1, sizeof(*r));
    if (!r) {
        buf_add_text(problem, "There is no memory to open the store.");
        return NULL;
    }
    if (view_open(&r->view, settings->data_directory, problem) != 0) {
        free(r);
        return NULL;
    }
    door_cache_init(&r->doors, r->view.db);
    store_srs_key(r->view.mark, r->srs_key);
    store_reader_set_settings(r, settings);
    memcpy(r->grant_key, grant_key, GRANT_KEY_SIZE);
    arena_init(&r->arena, CALL_MEMORY);
    buf_init(&r->out, CHANNEL_ATTACHMENT_MAX);
    attachments_init(&r->attachments, loop, &store_read_service, called, r);
    return r;
}

int store_reader_attach(struct store_reader *r, int fd, enum role peer)
{
    return attachments_add(&r->attachments, fd, peer);
}

void store_reader_stop(struct store_reader *r)
{
    r->stopped = true;
}

void store_reader_free(struct store_reader *r)
{
    if (!r)
        return;
    attachments_release(&r->attachments);
    door_cache_release(&r->doors);
    view_release(&r->view);
    arena_release(&r->arena);
    buf_release(&r->out);
    settings_unref(r->settings);
    explicit_bzero(r->grant_key, sizeof(r->grant_key));
    explicit_bzero(r->srs_key, sizeof(r->srs_key));
    free(r);
}
