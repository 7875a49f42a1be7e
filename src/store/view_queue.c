#include "store/view_queue.h"

#include <errno.h>

#define WALK_MAX 500 /* due entries that are looked at one by one before destinations are skipped through */

/* ---- Due destinations ---- */

static int compare(struct span a, struct span b)
{
    size_t both = a.size < b.size ? a.size : b.size;
    int order = both ? memcmp(a.data, b.data, both) : 0;
    return order ? order : a.size < b.size ? -1 : a.size > b.size;
}

/* Puts it in its place. -ENOMEM, or 0. Past `limit` the last one falls out. */
static int insert_sorted(struct queue_due *due, struct span name, size_t limit, struct arena *arena)
{
    size_t low = 0, high = due->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(due->destinations[middle], name);
        if (order == 0)
            return 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == limit) {
        due->more = true;
        return 0;
    }
    struct span copy = arena_copy(arena, name);
    if (!copy.data)
        return -ENOMEM;
    if (due->count == limit) {
        due->more = true;
        due->count--;
    }
    memmove(&due->destinations[low + 1], &due->destinations[low], (due->count - low) * sizeof(copy));
    due->destinations[low] = copy;
    due->count++;
    return 0;
}

/* Where few entries are due: by time. 1 when that was all of them. */
static int walk_due(struct view *v, uint64_t now, struct span after, size_t limit, struct arena *arena,
                    struct queue_due *due)
{
    struct statement *st = database_query(
        v->db, "SELECT destination FROM queue WHERE state = 0 AND next_at <= $1 ORDER BY next_at LIMIT $2", "uu", now,
        (uint64_t)WALK_MAX + 1);
    size_t looked_at = 0;
    int rc;
    while ((rc = database_step(st)) > 0 && looked_at++ < WALK_MAX) {
        struct span name = database_bytes(st, 0);
        if (compare(name, after) > 0 && (rc = insert_sorted(due, name, limit, arena)) < 0)
            break;
    }
    database_end(st);
    return rc < 0 ? rc : rc == 0;
}

/* Where many are due: from each destination's first entry to the next destination's. */
static int skip_due(struct view *v, uint64_t now, struct span after, size_t limit, struct arena *arena,
                    struct queue_due *due)
{
    int rc = 0;
    *due = (struct queue_due){.destinations = due->destinations};
    while (rc >= 0) {
        struct statement *st =
            database_query(v->db,
                           "SELECT destination, next_at FROM queue WHERE state = 0 AND destination > "
                           "$1 ORDER BY destination, next_at LIMIT 1",
                           "t", after);
        rc = database_step(st);
        bool is_due = rc > 0 && database_u64(st, 1) <= now;
        due->more = is_due && due->count == limit;
        if (rc > 0 && !due->more) {
            after = arena_copy(arena, database_bytes(st, 0));
            rc = after.data ? rc : -ENOMEM;
        }
        database_end(st);
        if (rc <= 0 || due->more)
            break;
        if (is_due)
            due->destinations[due->count++] = after;
    }
    return rc < 0 ? rc : 0;
}

int view_queue_due(struct view *v, uint64_t now, struct span after, size_t limit, struct arena *arena,
                   struct queue_due *due)
{
    *due = (struct queue_due){0};
    limit = limit < QUEUE_DESTINATIONS_MAX ? limit : QUEUE_DESTINATIONS_MAX;
    due->destinations = arena_array(arena, limit + 1, sizeof(*due->destinations));
    if (!due->destinations || limit == 0 || now > INT64_MAX)
        return due->destinations ? -EINVAL : -ENOMEM;
    int rc = walk_due(v, now, after, limit, arena, due);
    return rc == 0 ? skip_due(v, now, after, limit, arena, due) : rc < 0 ? rc : 0;
}

int view_queue_next(struct view *v, uint64_t now, uint64_t *next_at)
{
    *next_at = 0;
    int rc =
        database_find(v->db, next_at,
                      "SELECT next_at FROM queue WHERE state = 0 AND next_at > $1 ORDER BY next_at LIMIT 1", "u", now);
    return rc < 0 ? rc : 0;
}

/* ---- Entries ---- */

/* False when the arena is full. */
static bool take_entry(struct arena *arena, struct statement *st, struct queue_entry *e)
{
    *e = (struct queue_entry){.message_id = database_u64(st, 0),
                              .number = (uint32_t)database_u64(st, 1),
                              .kind = (uint32_t)database_u64(st, 2),
                              .next_at = database_u64(st, 3),
                              .attempts = (uint32_t)database_u64(st, 4),
                              .created_at = database_u64(st, 5),
                              .warned = database_u64(st, 6) != 0,
                              .give_up = database_u64(st, 7) != 0,
                              .notify = (uint32_t)database_u64(st, 8),
                              .list_id = database_u64(st, 9),
                              .size = database_u64(st, 10),
                              .address = arena_copy(arena, database_bytes(st, 11)),
                              .original = arena_copy(arena, database_bytes(st, 12)),
                              .orcpt = arena_copy(arena, database_bytes(st, 13)),
                              .forwarder = arena_copy(arena, database_bytes(st, 14)),
                              .reverse_path = arena_copy(arena, database_bytes(st, 15)),
                              .reply = arena_copy(arena, database_bytes(st, 16)),
                              .account_id = database_u64(st, 17)};
    return e->address.data && e->original.data && e->orcpt.data && e->forwarder.data && e->reverse_path.data &&
           e->reply.data;
}

int view_queue_entries(struct view *v, struct span destination, uint64_t now, const struct queue_cursor *after,
                       size_t limit, struct arena *arena, struct queue_entry **entries, size_t *count)
{
    limit = limit < QUEUE_ENTRIES_MAX ? limit : QUEUE_ENTRIES_MAX;
    *count = 0;
    *entries = arena_array(arena, limit + 1, sizeof(**entries));
    if (!*entries)
        return -ENOMEM;
    if (limit == 0 || now > INT64_MAX || after->next_at > INT64_MAX || after->message_id > INT64_MAX)
        return -EINVAL;
    struct statement *st = database_query(
        v->db,
        "SELECT message_id, number, kind, next_at, attempts, created_at, warned, give_up, notify, list_id, size,"
        " address, original, orcpt, forwarder, reverse_path, reply, account_id FROM queue"
        " WHERE state = 0 AND destination = $1 AND next_at <= $2 AND (next_at, message_id, number) > ($3, $4, $5)"
        " ORDER BY next_at, message_id, number LIMIT $6",
        "tuuuuu", destination, now, after->next_at, after->message_id, (uint64_t)after->number, (uint64_t)limit);
    int rc = 0;
    while (*count < limit && (rc = database_step(st)) > 0 && take_entry(arena, st, &(*entries)[*count]))
        ++*count;
    database_end(st);
    return rc < 0 ? rc : rc > 0 && *count == 0 ? -ENOMEM : 0;
}

/* ---- Messages ---- */

int view_queue_fetch(struct view *v, uint64_t message_id, uint64_t offset, uint32_t max_bytes, struct arena *arena,
                     struct message_facts *facts, uint64_t *total, struct buf *out)
{
    size_t start = out->size;
    struct view_message m;
    int rc = -EAGAIN;
    if (message_id > INT64_MAX || max_bytes == 0)
        return -EINVAL;
    max_bytes = max_bytes > FETCH_MAX ? FETCH_MAX : max_bytes;
    /* A volume that was compacted between the look-up and the reading: the second look finds the new place. */
    for (int attempt = 0; rc == -EAGAIN && attempt < 3; attempt++) {
        struct span bytes;
        buf_truncate(out, start);
        rc = view_message_find(v, message_id, &m);
        if (rc <= 0)
            return rc < 0 ? rc : -ENOENT;
        *total = m.size;
        rc = offset > m.size ? -EINVAL : view_message_read(v, &m, offset, max_bytes, &bytes, out);
        if (rc == 0 && (!message_facts_parse(bytes, arena, facts) || facts->message_id != message_id))
            rc = arena->is_starved ? -ENOMEM : view_message_damaged(&m, -EBADMSG);
    }
    if (rc == -EAGAIN)
        rc = view_message_damaged(&m, -ENOENT);
    /* Not the database's -EIO, which may pass: without the message a report is written only when it can't be had. */
    return rc == -EIO ? -EBADMSG : rc;
}

/* ---- Lists ---- */

static int list_head(struct view *v, uint64_t list_id, struct arena *arena, struct list_page *page)
{
    struct statement *st =
        database_query(v->db,
                       "SELECT l.local_part || '@' || d.name, l.name, l.owner FROM list l JOIN domain d ON d.id = "
                       "l.domain_id WHERE l.id = $1",
                       "u", list_id);
    int rc = database_step(st);
    if (rc > 0) {
        page->address = arena_copy(arena, database_bytes(st, 0));
        page->name = arena_copy(arena, database_bytes(st, 1));
        page->owner = arena_copy(arena, database_bytes(st, 2));
        if (!page->address.data || !page->name.data || !page->owner.data)
            rc = -ENOMEM;
    }
    database_end(st);
    return rc;
}

int view_list(struct view *v, uint64_t list_id, uint64_t after, size_t limit, struct arena *arena,
              struct list_page *page)
{
    *page = (struct list_page){0};
    limit = limit < QUEUE_ENTRIES_MAX ? limit : QUEUE_ENTRIES_MAX;
    page->members = arena_array(arena, limit + 1, sizeof(*page->members));
    if (!page->members)
        return -ENOMEM;
    if (list_id > INT64_MAX || after > INT64_MAX)
        return 0;
    int rc = list_head(v, list_id, arena, page);
    if (rc <= 0)
        return rc;
    struct statement *st = database_query(v->db,
                                          "SELECT number, address, bounces FROM list_member WHERE list_id = $1 AND "
                                          "number > $2 AND suspended = 0 ORDER BY number LIMIT $3",
                                          "uuu", list_id, after, (uint64_t)limit + 1);
    while ((rc = database_step(st)) > 0) {
        page->more = page->count == limit;
        if (page->more)
            break;
        struct list_page_member *m = &page->members[page->count++];
        *m = (struct list_page_member){database_u64(st, 0), arena_copy(arena, database_bytes(st, 1)),
                                       (uint32_t)database_u64(st, 2)};
        if (!m->address.data) {
            rc = -ENOMEM;
            break;
        }
    }
    database_end(st);
    return rc < 0 ? rc : 1;
}
