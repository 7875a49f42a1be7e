/* The judged part of Resolve, NameHits, Remotes, RemoteSeen, CodeFor. */
#include "store/reader_internal.h"

#include "base/clock.h"
#include "ipc/binary.h"
#include "store/door_judge.h"
#include "store/remote_seen.h"

#include "store_read.pb-c.h"

#include <errno.h>

#define REMOTES_PAGE 500
#define REMOTES_BYTES (600u << 10)
#define NAME_HITS_MAX 4
#define NAME_MAX_BYTES 255

static int fill_hits(struct store_reader *r, const struct list_hit *hits, size_t count, StoreRead__ListHit ***list)
{
    StoreRead__ListHit *rows = arena_array(&r->arena, count + 1, sizeof(*rows));
    *list = arena_array(&r->arena, count + 1, sizeof(**list));
    if (!rows || !*list)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        store_read__list_hit__init(&rows[i]);
        rows[i].kind = hits[i].kind;
        rows[i].level = hits[i].level;
        rows[i].entry = binary_from_span(hits[i].entry);
        (*list)[i] = &rows[i];
    }
    return 0;
}

static int fill_door(struct store_reader *r, const struct judged_door *from, StoreRead__Door *door)
{
    static const StoreRead__Passcode passcodes[] = {
        [PASSCODE_NONE] = STORE_READ__PASSCODE__PASSCODE_NONE,
        [PASSCODE_RIGHT] = STORE_READ__PASSCODE__PASSCODE_RIGHT,
        [PASSCODE_WRONG] = STORE_READ__PASSCODE__PASSCODE_WRONG,
        [PASSCODE_EXPIRED] = STORE_READ__PASSCODE__PASSCODE_EXPIRED,
    };
    store_read__door__init(door);
    door->account_id = from->account_id;
    door->address = binary_from_span(from->address);
    door->mailbox_id = from->mailbox_id;
    door->same_rules = from->same_rules;
    if (!from->same_rules)
        door->rules = binary_from_span(from->rules);
    door->passcode = passcodes[from->passcode];
    door->passcode_name = binary_from_span(from->passcode_name);
    door->limited = from->limited;
    door->limited_expired = from->limited_expired;
    door->limited_sender_fits = from->limited_sender_fits;
    door->only_by_sender = from->only_by_sender;
    door->n_hits = from->hit_count;
    return fill_hits(r, from->hits, from->hit_count, &door->hits);
}

int reader_fill_doors(struct store_reader *r, const StoreRead__ResolveRequest *q, const struct routing *routing,
                      StoreRead__ResolveReply *reply)
{
    struct judged_doors judged;
    struct door_question question = {.reverse_path = binary_span(q->reverse_path),
                                     .passcode = binary_span(q->passcode),
                                     .helo = binary_span(q->helo),
                                     .has_ip = q->ip.len == sizeof(question.ip.bytes),
                                     /* What ends does not end by a clock in doubt. */
                                     .now = clock_sure() / NANOSECONDS};
    if (question.has_ip)
        memcpy(question.ip.bytes, q->ip.data, sizeof(question.ip.bytes));
    if (question.reverse_path.size > 2 * DIRECTORY_ADDRESS_MAX || question.helo.size > DIRECTORY_ADDRESS_MAX)
        return -EINVAL;
    int rc = doors_judge(&r->doors, &r->directory, &question, routing, &r->arena, &judged);
    if (rc != 0)
        return rc;
    StoreRead__Door *doors = arena_array(&r->arena, judged.count + 1, sizeof(*doors));
    reply->doors = arena_array(&r->arena, judged.count + 1, sizeof(*reply->doors));
    if (!doors || !reply->doors)
        return -ENOMEM;
    reply->n_doors = judged.count;
    for (size_t i = 0; rc == 0 && i < judged.count; i++) {
        rc = fill_door(r, &judged.doors[i], &doors[i]);
        reply->doors[i] = &doors[i];
    }
    for (size_t i = 0; i < reply->n_targets; i++) {
        reply->targets[i]->door = judged.target_doors[i];
        reply->targets[i]->guards = judged.target_guards[i].doors;
        reply->targets[i]->n_guards = judged.target_guards[i].count;
    }
    reply->sender_protected = judged.sender_protected;
    reply->sender_protected_level = judged.sender_protected_level;
    reply->sender_account = binary_from_span(judged.sender_account);
    reply->has_approved_names = r->doors.has_approved_names;
    reply->has_denied_names = r->doors.has_denied_names;
    return rc;
}

int reader_serve_name_hits(struct store_reader *r, struct call *call)
{
    const StoreRead__NameHitsRequest *q = (const StoreRead__NameHitsRequest *)call->request;
    StoreRead__NameHitsReply reply = STORE_READ__NAME_HITS_REPLY__INIT;
    struct list_hit hits[NAME_HITS_MAX];
    if (q->name.len > NAME_MAX_BYTES)
        return -EINVAL;
    int rc = door_name_hits(&r->doors, binary_span(q->name), q->proven, clock_sure() / NANOSECONDS, &r->arena, hits,
                            NAME_HITS_MAX, &reply.n_hits);
    rc = rc ? rc : fill_hits(r, hits, reply.n_hits, &reply.hits);
    if (rc == 0)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return rc;
}

/* ---- Remote accounts ---- */

static struct statement *ask_remotes(struct store_reader *r, uint64_t after)
{
    return database_query(r->view.db,
                          "SELECT i.id, i.owner_id, a.local_part || '@' || d.name, i.name, i.value, i.set_at"
                          " FROM door_item i JOIN account a ON a.id = i.owner_id JOIN domain d ON d.id = a.domain_id"
                          " WHERE i.kind = 11 AND i.id > $1 AND i.level = 2 AND a.enabled <> 0 ORDER BY i.id LIMIT $2",
                          "uu", after, (uint64_t)REMOTES_PAGE + 1);
}

int reader_serve_remotes(struct store_reader *r, struct call *call)
{
    const StoreRead__RemotesRequest *q = (const StoreRead__RemotesRequest *)call->request;
    StoreRead__RemotesReply reply = STORE_READ__REMOTES_REPLY__INIT;
    size_t limit = q->limit == 0 || q->limit > REMOTES_PAGE ? REMOTES_PAGE : q->limit, bytes = 0;
    StoreRead__Remote *rows = arena_array(&r->arena, limit, sizeof(*rows));
    reply.remotes = arena_array(&r->arena, limit, sizeof(*reply.remotes));
    if (!rows || !reply.remotes || q->after > INT64_MAX)
        return q->after > INT64_MAX ? -EINVAL : -ENOMEM;
    struct statement *st = ask_remotes(r, q->after);
    int rc;
    while ((rc = database_step(st)) > 0) {
        StoreRead__Remote *row = &rows[reply.n_remotes];
        reply.more = reply.n_remotes == limit || bytes > REMOTES_BYTES;
        if (reply.more)
            break;
        store_read__remote__init(row);
        row->id = database_u64(st, 0);
        row->account_id = database_u64(st, 1);
        row->account = binary_from_span(arena_copy(&r->arena, database_bytes(st, 2)));
        row->name = binary_from_span(arena_copy(&r->arena, database_bytes(st, 3)));
        row->value = binary_from_span(arena_copy(&r->arena, database_bytes(st, 4)));
        row->version = database_u64(st, 5);
        bytes += row->account.len + row->name.len + row->value.len + 64;
        reply.remotes[reply.n_remotes++] = row;
        if (!row->account.data || !row->name.data || !row->value.data) {
            rc = -ENOMEM;
            break;
        }
    }
    database_end(st);
    if (rc >= 0)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return rc < 0 ? rc : 0;
}

int reader_serve_remote_seen(struct store_reader *r, struct call *call)
{
    const StoreRead__RemoteSeenRequest *q = (const StoreRead__RemoteSeenRequest *)call->request;
    StoreRead__RemoteSeenReply reply = STORE_READ__REMOTE_SEEN_REPLY__INIT;
    if (q->n_uidls > REMOTE_SEEN_BATCH || q->remote_id > INT64_MAX)
        return -EINVAL;
    StoreRead__Seen *rows = arena_array(&r->arena, q->n_uidls + 1, sizeof(*rows));
    reply.seen = arena_array(&r->arena, q->n_uidls + 1, sizeof(*reply.seen));
    if (!rows || !reply.seen)
        return -ENOMEM;
    for (size_t i = 0; i < q->n_uidls; i++) {
        StoreRead__Seen *row = &rows[reply.n_seen];
        store_read__seen__init(row);
        int rc = remote_seen_find(r->view.db, q->remote_id, binary_span(q->uidls[i]), &row->seen_at);
        if (rc < 0)
            return rc;
        row->uidl = q->uidls[i];
        if (rc > 0)
            reply.seen[reply.n_seen++] = row;
    }
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}

/* ---- CodeFor ---- */

/* The account's own code goes before the site's. */
int reader_serve_code_for(struct store_reader *r, struct call *call)
{
    const StoreRead__CodeForRequest *q = (const StoreRead__CodeForRequest *)call->request;
    StoreRead__CodeForReply reply = STORE_READ__CODE_FOR_REPLY__INIT;
    const struct door_owner owners[] = {{LEVEL_ACCOUNT, q->sender_account_id, {"", 0}}, {LEVEL_SITE, 0, {"", 0}}};
    struct span name, value;
    struct door_item item;
    struct buf problem;
    int rc = 0;
    if (q->sender_account_id > INT64_MAX || q->address.len > 2 * DIRECTORY_ADDRESS_MAX)
        return -EINVAL;
    buf_init(&problem, 4096);
    /* In the form in which such items are kept. What can't be a name there is nobody's. */
    bool possible = door_item_check(DOOR_CODE_FOR, LEVEL_SITE, binary_span(q->address), span_text("0000"), &r->arena,
                                    &name, &value, &problem);
    buf_release(&problem);
    for (size_t i = q->sender_account_id ? 0 : 1; possible && rc == 0 && i < 2; i++)
        rc = door_get(r->view.db, &owners[i], DOOR_CODE_FOR, name, &r->arena, &item);
    if (rc > 0)
        reply.code = binary_from_span(item.value);
    if (rc >= 0)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return rc < 0 ? rc : 0;
}
