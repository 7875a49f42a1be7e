#include "store/queue.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/mailbox.h"

#include <errno.h>

/* ---- Looking ---- */

static bool is_matched(struct span match, struct span value)
{
    if (match.data[0] != '@')
        return span_equal_nocase(value, match);
    return span_ends_nocase(value, match);
}

static bool is_chosen(const struct queue_choice *choice, struct statement *st)
{
    struct span match = choice->match;
    if (match.size == 0)
        return true;
    return is_matched(match, database_bytes(st, 2)) || is_matched(match, database_bytes(st, 3)) ||
           is_matched(match, database_bytes(st, 4)) || is_matched(match, database_bytes(st, 5));
}

static bool take_row(struct arena *arena, struct statement *st, struct queue_row *row)
{
    *row = (struct queue_row){.message_id = database_u64(st, 0),
                              .number = (uint32_t)database_u64(st, 1),
                              .reverse_path = arena_copy(arena, database_bytes(st, 2)),
                              .address = arena_copy(arena, database_bytes(st, 3)),
                              .original = arena_copy(arena, database_bytes(st, 4)),
                              .destination = arena_copy(arena, database_bytes(st, 5)),
                              .reply = arena_copy(arena, database_bytes(st, 6)),
                              .kind = (uint32_t)database_u64(st, 7),
                              .state = (uint32_t)database_u64(st, 8),
                              .attempts = database_u64(st, 9),
                              .next_at = database_u64(st, 10),
                              .created_at = database_u64(st, 11),
                              .size = database_u64(st, 12),
                              .warned = database_u64(st, 13) != 0,
                              .give_up = database_u64(st, 14) != 0};
    return row->reverse_path.data && row->address.data && row->original.data && row->destination.data &&
           row->reply.data;
}

/* Where the walk begins and ends: the rows of one message are neighbours. */
static struct queue_place walk_start(const struct queue_choice *choice, struct queue_place after)
{
    if (choice->message_id == 0 || after.message_id >= choice->message_id)
        return after;
    return (struct queue_place){choice->message_id, 0};
}

int queue_list(struct database *db, const struct queue_choice *choice, struct queue_place after, size_t limit,
               struct arena *arena, struct queue_page *page)
{
    limit = limit < QUEUE_PAGE ? limit : QUEUE_PAGE;
    *page = (struct queue_page){.last = walk_start(choice, after)};
    page->rows = arena_array(arena, limit + 1, sizeof(*page->rows));
    if (!page->rows || page->last.message_id > INT64_MAX || choice->message_id > INT64_MAX)
        return page->rows ? -EINVAL : -ENOMEM;
    struct statement *st =
        database_query(db,
                       "SELECT message_id, number, reverse_path, address, original, destination, reply, kind, state,"
                       " attempts, next_at, created_at, size, warned, give_up FROM queue"
                       " WHERE (message_id, number) > ($1, $2) AND message_id <= $3 ORDER BY message_id, number",
                       "uuu", page->last.message_id, (uint64_t)page->last.number,
                       choice->message_id ? choice->message_id : (uint64_t)INT64_MAX);
    int rc = 0;
    size_t looked_at = 0;
    while (rc >= 0 && (rc = database_step(st)) > 0) {
        page->more = page->count == limit || looked_at == QUEUE_LOOKED_AT;
        if (page->more)
            break;
        looked_at++;
        page->last = (struct queue_place){database_u64(st, 0), (uint32_t)database_u64(st, 1)};
        if ((choice->number && choice->number != page->last.number) || !is_chosen(choice, st))
            continue;
        if (!take_row(arena, st, &page->rows[page->count++]))
            rc = -ENOMEM;
    }
    database_end(st);
    return rc < 0 ? rc : 0;
}

/* ---- Changing ---- */

static int set_state(struct store *s, const struct queue_row *row, enum queue_state state)
{
    return database_run(s->db, "UPDATE queue SET state = $3, next_at = $4 WHERE message_id = $1 AND number = $2",
                        "uuuu", row->message_id, (uint64_t)row->number, (uint64_t)state,
                        state == QUEUE_STATE_DUE ? clock_steady() : row->next_at);
}

/* Each: 1 when it made a difference. `logged` takes what has to be in the volume. */
static int do_retry(struct store *s, const struct queue_row *row)
{
    if (row->state != QUEUE_STATE_DUE)
        return 0;
    int rc = database_run(s->db, "UPDATE queue SET next_at = $3, give_up = 0 WHERE message_id = $1 AND number = $2",
                          "uuu", row->message_id, (uint64_t)row->number, clock_steady());
    return rc ? rc : 1;
}

static int do_hold(struct store *s, const struct queue_row *row)
{
    if (row->state != QUEUE_STATE_DUE)
        return 0;
    int rc = set_state(s, row, QUEUE_STATE_HELD);
    s->queued.held += rc == 0;
    return rc ? rc : 1;
}

static int do_release(struct store *s, const struct queue_row *row)
{
    if (row->state != QUEUE_STATE_HELD)
        return 0;
    int rc = set_state(s, row, QUEUE_STATE_DUE);
    s->queued.held -= rc == 0 && s->queued.held > 0;
    return rc ? rc : 1;
}

static int do_drop(struct store *s, const struct queue_row *row)
{
    int rc = database_run(s->db, "DELETE FROM queue WHERE message_id = $1 AND number = $2", "uu", row->message_id,
                          (uint64_t)row->number);
    rc = rc ? rc : store_message_release(s, row->message_id);
    queue_count_gone(s, row->state);
    return rc ? rc : 1;
}

static int do_bounce(struct store *s, const struct queue_row *row)
{
    int rc = database_run(s->db, "UPDATE queue SET give_up = 1 WHERE message_id = $1 AND number = $2", "uu",
                          row->message_id, (uint64_t)row->number);
    rc = rc ? rc : set_state(s, row, QUEUE_STATE_DUE);
    s->queued.held -= row->state == QUEUE_STATE_HELD && s->queued.held > 0;
    return rc ? rc : 1;
}

static const struct {
    int (*step)(struct store *, const struct queue_row *);
    enum queue_change logged; /* 0: nothing has to be */
    bool is_news;             /* the courier has something to do */
} actions[] = {
    [QUEUE_DO_RETRY] = {do_retry, 0, true},
    [QUEUE_DO_HOLD] = {do_hold, QUEUE_CHANGE_HELD, false},
    [QUEUE_DO_RELEASE] = {do_release, QUEUE_CHANGE_RELEASED, true},
    [QUEUE_DO_DROP] = {do_drop, QUEUE_CHANGE_DONE, false},
    [QUEUE_DO_BOUNCE] = {do_bounce, QUEUE_CHANGE_RELEASED, true},
};

int queue_change(struct store *s, const struct queue_choice *choice, enum queue_action action, struct queue_page *page,
                 uint64_t *changed)
{
    struct queue_place after = page->last;
    *changed = 0;
    if ((unsigned)action >= sizeof(actions) / sizeof(actions[0]) || !actions[action].step)
        return -EINVAL;
    arena_reset(&s->arena);
    int rc = queue_list(s->db, choice, after, QUEUE_PAGE, &s->arena, page);
    struct queue_facts facts = {.change = actions[action].logged};
    if (rc >= 0 && !(facts.items = arena_array(&s->arena, page->count + 1, sizeof(*facts.items))))
        rc = -ENOMEM;
    for (size_t i = 0; rc >= 0 && i < page->count; i++) {
        const struct queue_row *row = &page->rows[i];
        rc = actions[action].step(s, row);
        if (rc <= 0)
            continue;
        ++*changed;
        facts.items[facts.count++] = (struct queue_item){row->message_id, row->number};
        if (actions[action].is_news)
            queue_news_ask(&s->news, row->destination);
    }
    if (rc >= 0)
        rc = facts.change ? queue_log(s, &facts) : 0;
    return rc < 0 ? store_fail(s, rc) : 0;
}

/* ---- Pausing ---- */

static const char *const names[] = {[QUEUE_IN] = "paused_in", [QUEUE_OUT] = "paused_out"};

/* What came while intake was paused was put off again and again: now it is looked at. */
static int hurry_waiting(struct store *s)
{
    queue_news_add(&s->news, span_text(QUEUE_DESTINATION_LOCAL));
    return database_run(s->db,
                        "UPDATE queue SET next_at = $1 WHERE (message_id, number) IN (SELECT message_id, number"
                        " FROM queue WHERE state = 0 AND destination = $2 AND next_at > $1 ORDER BY next_at LIMIT $3)",
                        "utu", clock_steady(), span_text(QUEUE_DESTINATION_LOCAL), (uint64_t)QUEUE_LOOKED_AT);
}

int queue_pause(struct store *s, enum queue_direction direction, bool paused)
{
    int rc = database_run(s->db,
                          "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = "
                          "excluded.value",
                          "tu", span_text(names[direction]), (uint64_t)paused);
    if (rc == 0 && direction == QUEUE_OUT)
        queue_news_rescan(&s->news);
    if (rc == 0 && direction == QUEUE_IN && !paused)
        rc = hurry_waiting(s);
    return rc ? store_fail(s, rc) : 0;
}

int queue_is_paused(struct database *db, enum queue_direction direction)
{
    uint64_t value = 0;
    int rc = database_find(db, &value, "SELECT value FROM meta WHERE name = $1", "t", span_text(names[direction]));
    return rc < 0 ? rc : value != 0;
}

/* ---- The clock ---- */

#define LONGER_NANOSECONDS (86400ull * NANOSECONDS)
#define SLACK_NANOSECONDS (60ull * NANOSECONDS)

int queue_mend_times(struct store *s)
{
    uint64_t now = clock_steady(), found, tried = now + s->queue_wait + s->queue_wait / 5 + SLACK_NANOSECONDS;
    uint64_t latest = now + s->queue_life + LONGER_NANOSECONDS;
    int rc = database_find(s->db, &found,
                           "SELECT next_at FROM (SELECT next_at, attempts FROM queue WHERE state = 0 AND next_at > $1"
                           " ORDER BY next_at DESC LIMIT $3) AS late WHERE attempts > 0 OR next_at > $2 LIMIT 1",
                           "uuu", tried, latest, (uint64_t)QUEUE_LOOKED_AT);
    if (rc <= 0)
        return rc;
    rc = database_begin(s->db);
    if (rc)
        return rc;
    /* Only that: the clock may be wrong now, and when it is right again, all ages hang on when they came. */
    rc = database_run(s->db,
                      "UPDATE queue SET next_at = $1"
                      " WHERE (message_id, number) IN (SELECT message_id, number FROM queue"
                      " WHERE state = 0 AND next_at > $2 ORDER BY next_at DESC LIMIT $4)"
                      " AND (attempts > 0 OR next_at > $3)",
                      "uuuu", now, tried, latest, (uint64_t)QUEUE_LOOKED_AT);
    if (!rc)
        rc = database_commit(s->db);
    if (rc) {
        database_rollback(s->db);
        return rc;
    }
    log_write(LOG_MAJOR, "store", NULL,
              "entries of the queue were to wait for longer than any may, as the clock was set back; they are due now");
    queue_news_rescan(&s->news);
    return 0;
}
