#include "store/queue.h"

#include "base/clock.h"
#include "format/utf8.h"
#include "store/directory.h"
#include "store/mailbox.h"

#include <errno.h>

/* ---- In ---- */

static bool is_plain(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < ' ' || s.data[i] == 127)
            return false;
    return s.size <= QUEUE_ADDRESS_MAX;
}

bool queue_entry_fill(struct message_queued *q, const struct delivery_recipient *r)
{
    struct span local_part, domain;
    *q = (struct message_queued){.kind = QUEUE_KIND_REPORT,
                                 .address = r->address,
                                 .original = r->address,
                                 .orcpt = r->orcpt,
                                 .notify = r->notify,
                                 .destination = span_text(QUEUE_DESTINATION_LOCAL)};
    if (r->kind == DELIVERY_LIST) {
        q->kind = QUEUE_KIND_LIST;
        q->list_id = r->list_id;
    } else if (r->kind == DELIVERY_REMOTE) {
        if (!directory_split(r->target, &local_part, &domain) || local_part.size == 0 || domain.size == 0 ||
            domain.data[0] == '*')
            return false;
        q->kind = QUEUE_KIND_REMOTE;
        q->address = r->target;
        q->forwarder = r->forwarder;
        q->destination = r->next_hop.size ? r->next_hop : domain;
    }
    return is_plain(q->address) && is_plain(q->original) && is_plain(q->orcpt) && is_plain(q->destination) &&
           is_plain(q->forwarder);
}

#define INSERT_ROW                                                                               \
    "INSERT INTO queue (message_id, number, kind, state, next_at, attempts, created_at, warned," \
    " give_up, notify, list_id, account_id, size, destination, address, original, orcpt,"        \
    " forwarder, reverse_path, reply)"                                                           \
    " VALUES ($1, $2, $3, $4, $16, 0, $5, 0, 0, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $17)"

bool queue_is_outbound(const struct message_queued *q)
{
    return q->kind == QUEUE_KIND_REMOTE && !span_is(q->destination, QUEUE_DESTINATION_LOCAL);
}

static bool has_to_wait(const struct message_facts *f, const struct message_queued *q)
{
    return f->remote_due_at && queue_is_outbound(q);
}

static int insert_row(struct database *db, const char *sql, const struct message_facts *f,
                      const struct message_queued *q, uint64_t size)
{
    bool waits = has_to_wait(f, q);
    return database_run(db, sql, "uuuuuuuuuttttttut", f->message_id, (uint64_t)q->number, (uint64_t)q->kind,
                        (uint64_t)q->state, f->queued_at, (uint64_t)q->notify, q->list_id, f->sender_account_id, size,
                        q->destination, q->address, q->original, q->orcpt, q->forwarder, f->reverse_path,
                        waits ? f->remote_due_at : f->queued_at,
                        span_text(waits ? "its sender's limit of that day was used up" : ""));
}

int queue_insert(struct store *s, const struct message_facts *f, uint64_t size)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < f->queued_count; i++) {
        rc = insert_row(s->db, INSERT_ROW, f, &f->queued[i], size);
        /* What falls due later is a reason to look when that is. */
        if (has_to_wait(f, &f->queued[i]))
            queue_news_rescan(&s->news);
        else
            queue_news_add(&s->news, f->queued[i].destination);
        s->queued.entries++;
    }
    return rc;
}

int queue_replay(struct database *db, const struct message_facts *f, uint64_t size)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < f->queued_count; i++)
        rc = insert_row(db, INSERT_ROW " ON CONFLICT (message_id, number) DO UPDATE SET state = excluded.state", f,
                        &f->queued[i], size);
    return rc;
}

/* ---- Out ---- */

int queue_log(struct store *s, const struct queue_facts *f)
{
    struct record_place place;
    if (f->count == 0)
        return 0;
    queue_facts_write(&s->facts, f);
    return store_append(s, RECORD_QUEUE, NULL, &place);
}

struct span queue_reply_clean(struct arena *arena, struct span reply)
{
    char *text = arena_alloc(arena, QUEUE_REPLY_MAX + 1);
    size_t size = 0;
    bool is_text = utf8_is_valid(reply);
    if (!text)
        return (struct span){NULL, 0};
    for (size_t i = 0; i < reply.size && size < QUEUE_REPLY_MAX; i++) {
        unsigned char c = (unsigned char)reply.data[i];
        bool printable = c >= ' ' && c != 127 && (c < 128 || is_text);
        text[size++] = printable ? (char)c : c == '\r' || c == '\n' || c == '\t' ? ' ' : '?';
    }
    /* A character that the limit cut in two goes whole. */
    while (size > 0 && !utf8_is_valid(span_from(text, size)))
        size--;
    return span_from(text, size);
}

/* ---- How many ---- */

int queue_count(struct store *s)
{
    int rc = database_find(s->db, &s->queued.held, "SELECT COUNT(*) FROM queue WHERE state = 1", "");
    rc = rc > 0 ? database_find(s->db, &s->queued.entries, "SELECT COUNT(*) FROM queue", "") : rc;
    s->queued_before = s->queued;
    return rc > 0 ? 0 : rc < 0 ? rc : -EIO;
}

void queue_count_gone(struct store *s, uint32_t state)
{
    s->queued.entries -= s->queued.entries > 0;
    s->queued.held -= state == QUEUE_STATE_HELD && s->queued.held > 0;
}

/* ---- What the courier says ---- */

static int entry_done(struct store *s, const struct delivery_result *r, struct queue_facts *done)
{
    uint64_t state;
    int rc = database_find(s->db, &state, "DELETE FROM queue WHERE message_id = $1 AND number = $2 RETURNING state",
                           "uu", r->message_id, (uint64_t)r->number);
    if (rc <= 0)
        return rc;
    queue_count_gone(s, (uint32_t)state);
    done->items[done->count++] = (struct queue_item){r->message_id, r->number};
    return store_message_release(s, r->message_id);
}

/* An entry that is to be given up does not wait again. */
static int entry_deferred(struct store *s, const struct delivery_result *r)
{
    struct span reply = queue_reply_clean(&s->arena, r->reply);
    if (!reply.data)
        return -ENOMEM;
    struct statement *st = database_query(
        s->db,
        "UPDATE queue SET attempts = attempts + 1, reply = $4, warned = CASE WHEN $5 = 1 THEN 1 ELSE "
        "warned END,"
        " next_at = CASE WHEN give_up = 1 THEN next_at ELSE $3 END"
        " WHERE message_id = $1 AND number = $2 RETURNING destination, next_at, state",
        "uuutu", r->message_id, (uint64_t)r->number, r->next_at, reply, (uint64_t)(r->kind == DELIVERY_WARNED));
    int rc = database_step(st);
    if (rc > 0 && database_u64(st, 2) == QUEUE_STATE_DUE && database_u64(st, 1) <= clock_steady())
        queue_news_add(&s->news, database_bytes(st, 0));
    database_end(st);
    return rc < 0 ? rc : 0;
}

bool queue_result_is_possible(const struct delivery_result *r)
{
    return r->message_id <= INT64_MAX && r->next_at <= INT64_MAX && r->kind >= DELIVERY_DONE &&
           r->kind <= DELIVERY_WARNED;
}

int queue_results(struct store *s, const struct delivery_result *results, size_t count)
{
    struct queue_facts done = {.change = QUEUE_CHANGE_DONE};
    done.items = arena_array(&s->arena, count + 1, sizeof(*done.items));
    int rc = done.items ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = results[i].kind == DELIVERY_DONE ? entry_done(s, &results[i], &done) : entry_deferred(s, &results[i]);
    if (rc == 0)
        rc = queue_log(s, &done);
    return rc == 0 ? 0 : store_fail(s, rc);
}
