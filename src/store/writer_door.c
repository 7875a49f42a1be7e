/* DoorChange, DoorList, DoorHistory, RemoteSeen. */
#include "store/writer_internal.h"

#include "base/clock.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store/door_change.h"
#include "store/door_list.h"
#include "store/remote_seen.h"

#include "store_write.pb-c.h"

#include <errno.h>

#define HISTORY_PAGE 100
#define HISTORY_ITEMS_MAX 200 /* shown of each side of a change */
#define REPLY_BYTES (600u << 10)
#define LEDGER_ROWS_MAX 1000 /* of one RemoteSeen: one for each person whom a message was for */

/* The account of a person who asks through a desk; 0 for the administrator. */
static int take_asker(const struct store_writer *w, const struct call *call, ProtobufCBinaryData grant,
                      uint64_t *account)
{
    *account = 0;
    if (call->caller == ROLE_ADMIN)
        return 0;
    *account = grant_check(w->grant_key, binary_span(grant), clock_monotonic() / NANOSECONDS);
    return *account ? 0 : -EACCES;
}

static struct directory directory_of(const struct store_writer *w)
{
    return (struct directory){.db = w->store->db, .detail_separator = span_text(w->store->detail_separator)};
}

static bool is_secret(uint32_t kind)
{
    return kind == DOOR_PASSCODE || kind == DOOR_CODE_FOR;
}

/* Spans are borrowed. */
static void fill_item(StoreWrite__DoorItem *out, const struct door_item *item, struct span owner, bool secrets)
{
    store_write__door_item__init(out);
    out->id = item->id;
    out->kind = item->kind;
    out->level = item->level;
    out->owner = binary_from_span(owner);
    out->name = binary_from_span(item->name);
    if (secrets || !is_secret(item->kind))
        out->value = binary_from_span(item->value);
    out->expires_at = item->expires_at;
    out->locked = item->locked;
    out->set_at = item->set_at;
    out->set_by = binary_from_span(item->set_by);
}

/* ---- DoorChange ---- */

static int take_wishes(struct store_writer *w, const StoreWrite__DoorChangeRequest *q, struct door_change *change)
{
    struct door_wish *wishes = arena_array(&w->arena, q->n_items + 1, sizeof(*wishes));
    if (!wishes)
        return -ENOMEM;
    for (size_t i = 0; i < q->n_items; i++) {
        const StoreWrite__DoorItem *item = q->items[i];
        wishes[i] = (struct door_wish){.kind = item->kind,
                                       .level = item->level,
                                       .owner = binary_span(item->owner),
                                       .name = binary_span(item->name),
                                       .value = binary_span(item->value),
                                       .expires_at = item->expires_at,
                                       .locked = item->locked,
                                       .remove = item->remove};
    }
    change->wishes = wishes;
    change->count = q->n_items;
    return 0;
}

/* What became of the items: copies, since the store's arena is the next operation's. */
static int copy_outcome(struct store_writer *w, const struct door_outcome *outcome, StoreWrite__DoorChangeReply *reply)
{
    struct arena *arena = &w->arena;
    StoreWrite__DoorItem *items = arena_array(arena, outcome->count + 1, sizeof(*items));
    reply->items = arena_array(arena, outcome->count + 1, sizeof(*reply->items));
    if (!items || !reply->items)
        return -ENOMEM;
    size_t bytes = 0;
    for (size_t i = 0; i < outcome->count && bytes < REPLY_BYTES; i++) {
        const struct door_step *step = &outcome->steps[i];
        struct door_item item = step->is ? step->after : step->before;
        struct span owner = arena_copy(arena, step->owner_text);
        item.name = arena_copy(arena, item.name);
        item.value = arena_copy(arena, item.value);
        item.set_by = arena_copy(arena, item.set_by);
        if (!owner.data || !item.name.data || !item.value.data || !item.set_by.data)
            return -ENOMEM;
        fill_item(&items[i], &item, owner, false);
        items[i].remove = !step->is;
        reply->items[reply->n_items++] = &items[i];
        bytes += owner.size + item.name.size + item.value.size + item.set_by.size + 64;
    }
    return 0;
}

int writer_door_change(struct store_writer *w, struct pending *p)
{
    const StoreWrite__DoorChangeRequest *q = (const StoreWrite__DoorChangeRequest *)p->call->request;
    struct door_change change = {.by = binary_span(q->by),
                                 .words = binary_span(q->words),
                                 .undo = q->undo,
                                 .number = q->number,
                                 .owner = binary_span(q->owner)};
    struct door_outcome outcome;
    StoreWrite__DoorChangeReply *reply = arena_alloc(&w->arena, sizeof(*reply));
    int rc = reply ? take_asker(w, p->call, q->grant, &change.account_id) : -ENOMEM;
    rc = rc ? rc : take_wishes(w, q, &change);
    if (rc)
        return rc;
    store_write__door_change_reply__init(reply);
    p->reply = &reply->base;
    rc = store_door_change(w->store, &change, &outcome, &p->problem);
    if (rc)
        return rc;
    reply->number = outcome.number;
    reply->changed = (uint32_t)outcome.count;
    rc = copy_outcome(w, &outcome, reply);
    buf_add_char(&p->problem, '\0');
    if (rc || buf_failed(&p->problem))
        return store_fail(w->store, -ENOMEM);
    reply->problem = p->problem.data;
    return 0;
}

/* ---- DoorList ---- */

int writer_door_list(struct store_writer *w, struct call *call)
{
    const StoreWrite__DoorListRequest *q = (const StoreWrite__DoorListRequest *)call->request;
    StoreWrite__DoorListReply reply = STORE_WRITE__DOOR_LIST_REPLY__INIT;
    struct directory directory = directory_of(w);
    struct door_list_query query = {.owner = binary_span(q->owner),
                                    .levels_above = q->levels_above,
                                    .everything = q->everything,
                                    .kinds = q->kinds,
                                    .match = binary_span(q->match),
                                    .after_id = q->after_id,
                                    .limit = q->limit};
    struct door_listed *items = NULL;
    struct buf problem;
    bool more = false;
    arena_reset(&w->arena);
    int rc = take_asker(w, call, q->grant, &query.account_id);
    if (rc)
        return rc;
    buf_init(&problem, 4096);
    rc = door_list(&directory, &query, &w->arena, &items, &reply.n_items, &more, &problem);
    StoreWrite__DoorItem *rows = arena_array(&w->arena, reply.n_items + 1, sizeof(*rows));
    reply.items = arena_array(&w->arena, reply.n_items + 1, sizeof(*reply.items));
    buf_add_char(&problem, '\0');
    if (rc == 0 && (!rows || !reply.items || buf_failed(&problem)))
        rc = -ENOMEM;
    for (size_t i = 0; rc == 0 && i < reply.n_items; i++) {
        fill_item(&rows[i], &items[i].item, items[i].owner, q->secrets);
        reply.items[i] = &rows[i];
    }
    reply.more = more;
    reply.problem = problem.data;
    if (rc == 0)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    buf_release(&problem);
    return rc;
}

/* ---- DoorHistory ---- */

static int fill_side(struct store_writer *w, const struct door_past *past, bool after, StoreWrite__DoorItem ***list,
                     size_t *count, size_t *bytes)
{
    struct directory directory = directory_of(w);
    size_t room = past->count < HISTORY_ITEMS_MAX ? past->count : HISTORY_ITEMS_MAX;
    StoreWrite__DoorItem *items = arena_array(&w->arena, room + 1, sizeof(*items));
    *list = arena_array(&w->arena, room + 1, sizeof(**list));
    if (!items || !*list)
        return -ENOMEM;
    for (size_t i = 0; i < room && *bytes < REPLY_BYTES; i++) {
        const struct door_step *step = &past->steps[i];
        const struct door_item *item = after ? &step->after : &step->before;
        struct span owner;
        if (!(after ? step->is : step->was))
            continue;
        int rc = door_owner_text(&directory, &step->owner, &w->arena, &owner);
        if (rc)
            return rc;
        fill_item(&items[*count], item, owner, false);
        (*list)[*count] = &items[*count];
        (*count)++;
        *bytes += owner.size + item->name.size + item->value.size + item->set_by.size + 64;
    }
    return 0;
}

static int fill_entry(struct store_writer *w, const struct door_past *past, StoreWrite__DoorHistoryEntry *entry,
                      size_t *bytes)
{
    struct directory directory = directory_of(w);
    struct span owner;
    store_write__door_history_entry__init(entry);
    entry->number = past->number;
    entry->at = past->at;
    entry->by = binary_from_span(past->by);
    entry->words = binary_from_span(past->words);
    entry->undone = past->undone;
    int rc = door_owner_text(&directory, &past->owner, &w->arena, &owner);
    entry->owner = binary_from_span(owner);
    *bytes += past->by.size + past->words.size + owner.size + 64;
    rc = rc ? rc : fill_side(w, past, false, &entry->before, &entry->n_before, bytes);
    return rc ? rc : fill_side(w, past, true, &entry->after, &entry->n_after, bytes);
}

/* Whose history is wanted: SAID stands for "nobody's", of an owner that there is not. */
static int history_owner(struct store_writer *w, struct call *call, struct door_owner *owner, bool *everybody)
{
    const StoreWrite__DoorHistoryRequest *q = (const StoreWrite__DoorHistoryRequest *)call->request;
    struct directory directory = directory_of(w);
    uint64_t account;
    int rc = take_asker(w, call, q->grant, &account);
    *everybody = rc == 0 && account == 0 && q->owner.len == 0;
    *owner = (struct door_owner){LEVEL_ACCOUNT, account, {"", 0}};
    if (rc || *everybody || q->owner.len == 0)
        return rc;
    rc = door_owner_find(&directory, LEVEL_DEFAULT, binary_span(q->owner), &w->arena, owner, NULL);
    if (rc <= 0)
        return rc < 0 ? rc : -ENOENT;
    return account && (owner->level < LEVEL_ACCOUNT || owner->id != account) ? -EACCES : 0;
}

int writer_door_history(struct store_writer *w, struct call *call)
{
    const StoreWrite__DoorHistoryRequest *q = (const StoreWrite__DoorHistoryRequest *)call->request;
    StoreWrite__DoorHistoryReply reply = STORE_WRITE__DOOR_HISTORY_REPLY__INIT;
    struct door_owner owner;
    bool everybody, more;
    arena_reset(&w->arena);
    int rc = history_owner(w, call, &owner, &everybody);
    if (rc)
        return rc;
    size_t limit = q->limit == 0 || q->limit > HISTORY_PAGE ? HISTORY_PAGE : q->limit, count = limit, bytes = 0;
    struct door_past *past = arena_array(&w->arena, count, sizeof(*past));
    StoreWrite__DoorHistoryEntry *entries = arena_array(&w->arena, count, sizeof(*entries));
    reply.entries = arena_array(&w->arena, count, sizeof(*reply.entries));
    if (!past || !entries || !reply.entries)
        return -ENOMEM;
    rc = door_history_list(w->store->db, everybody ? NULL : &owner, q->before > INT64_MAX ? 0 : q->before, &w->arena,
                           past, &count, &more);
    for (size_t i = 0; rc == 0 && i < count && bytes < REPLY_BYTES; i++) {
        rc = fill_entry(w, &past[i], &entries[i], &bytes);
        reply.entries[reply.n_entries++] = &entries[i];
    }
    reply.more = more || reply.n_entries < count;
    if (rc == 0)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return rc;
}

/* ---- RemoteSeen ---- */

int writer_remote_seen(struct store_writer *w, struct pending *p)
{
    const StoreWrite__RemoteSeenRequest *q = (const StoreWrite__RemoteSeenRequest *)p->call->request;
    StoreWrite__RemoteSeenReply *reply = arena_alloc(&w->arena, sizeof(*reply));
    struct span *uidls = arena_array(&w->arena, q->n_uidls + 1, sizeof(*uidls));
    if (!reply || !uidls)
        return -ENOMEM;
    store_write__remote_seen_reply__init(reply);
    p->reply = &reply->base;
    for (size_t i = 0; i < q->n_uidls; i++)
        uidls[i] = binary_span(q->uidls[i]);
    if (q->n_ledger > LEDGER_ROWS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < q->n_ledger; i++) {
        struct ledger_row row = writer_ledger_row(q->ledger[i]);
        if (!ledger_row_is_possible(&row))
            return -EINVAL;
    }
    int rc = store_remote_seen(w->store, q->remote_id, uidls, q->n_uidls, q->forget);
    for (size_t i = 0; rc == 0 && i < q->n_ledger; i++) {
        struct ledger_row row = writer_ledger_row(q->ledger[i]);
        rc = ledger_insert(w->store, &row);
        rc = rc ? store_fail(w->store, rc) : 0;
    }
    return rc;
}
