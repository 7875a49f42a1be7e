#include "store/door_change_internal.h"

#include "store/remote_seen.h"
#include "store/wire.h"

#include <errno.h>

/* ---- Steps as bytes: for each {u32 whether it was (is) there} + the item, at least its key ---- */

static void write_side(struct buf *out, const struct door_step *steps, size_t count, bool after)
{
    for (size_t i = 0; i < count; i++) {
        bool there = after ? steps[i].is : steps[i].was;
        struct door_item item = after ? steps[i].after : steps[i].before;
        if (!there) {
            const struct door_item *key = &steps[i].after;
            item = (struct door_item){.kind = key->kind,
                                      .level = key->level,
                                      .owner_id = key->owner_id,
                                      .detail = key->detail,
                                      .name = key->name,
                                      .value = {"", 0},
                                      .set_by = {"", 0}};
        }
        wire_write_u32(out, there ? 1 : 0);
        door_facts_write(out, &item);
    }
}

static bool read_item(struct span *rest, bool *there, struct door_item *item)
{
    struct wire w = {*rest, false};
    *there = wire_read_u32(&w) == 1;
    *rest = w.rest;
    return !w.failed && door_facts_parse_next(rest, item);
}

/* Copies are in the arena. */
static bool read_steps(struct span before, struct span after, struct arena *arena, struct door_past *past)
{
    struct door_item item;
    bool there;
    size_t count = 0;
    for (struct span rest = before; rest.size && read_item(&rest, &there, &item); count++)
        ;
    past->steps = arena_array(arena, count + 1, sizeof(*past->steps));
    before = arena_copy(arena, before);
    after = arena_copy(arena, after);
    if (!past->steps || !before.data || !after.data)
        return false;
    for (past->count = 0; past->count < count; past->count++) {
        struct door_step *step = &past->steps[past->count];
        if (!read_item(&before, &step->was, &step->before) || !read_item(&after, &step->is, &step->after))
            break;
        step->owner = (struct door_owner){(enum rule_level)step->after.level, step->after.owner_id, step->after.detail};
    }
    return true;
}

/* ---- Writing ---- */

/* Whose history it belongs to: the narrowest that all of its items have in common. */
static struct door_owner common_owner(const struct door_edit *e)
{
    struct door_owner owner = e->steps[0].owner;
    for (size_t i = 1; i < e->count; i++) {
        const struct door_owner *o = &e->steps[i].owner;
        if (o->level == owner.level && o->id == owner.id && span_equal(o->detail, owner.detail))
            continue;
        if (o->level >= LEVEL_ACCOUNT && owner.level >= LEVEL_ACCOUNT && o->id == owner.id)
            owner = (struct door_owner){LEVEL_ACCOUNT, owner.id, {"", 0}};
        else
            return (struct door_owner){LEVEL_SITE, 0, {"", 0}};
    }
    return owner;
}

/* Only so many are kept of an owner, an address's counted with its account's. */
static int prune(struct door_edit *e, const struct door_owner *owner)
{
    int rc = database_run(e->s->db,
                          "DELETE FROM door_history WHERE number IN (SELECT h.number FROM (SELECT number,"
                          " SUM(length(before) + length(after)) OVER (ORDER BY number DESC) AS bytes FROM door_history"
                          " WHERE owner_id = $1 AND (level > 1) = ($2 > 1)) h WHERE h.bytes > $3)",
                          "uuu", owner->id, (uint64_t)owner->level, (uint64_t)DOOR_HISTORY_BYTES);
    return rc ? rc
              : database_run(
                    e->s->db,
                    "DELETE FROM door_history WHERE number IN (SELECT number FROM door_history WHERE owner_id = $1"
                    " AND (level > 1) = ($2 > 1) ORDER BY number DESC LIMIT 100 OFFSET $3)",
                    "uuu", owner->id, (uint64_t)owner->level, (uint64_t)DOOR_HISTORY_MAX);
}

/* What is taken back is marked, and what that had taken back counts again. */
static int mark_undone(struct door_edit *e)
{
    uint64_t inner = 0;
    if (e->undoes == 0)
        return 0;
    int rc = database_find(e->s->db, &inner, "UPDATE door_history SET undone = 1 WHERE number = $1 RETURNING undoes",
                           "u", e->undoes);
    if (rc > 0 && inner)
        rc = database_run(e->s->db, "UPDATE door_history SET undone = 0 WHERE number = $1", "u", inner);
    return rc < 0 ? rc : 0;
}

/* Never given twice, also where the last ones went with their account. */
static int next_number(struct door_edit *e, uint64_t *number)
{
    return database_find(e->s->db, number,
                         "INSERT INTO meta (name, value) VALUES ('door_history', 1)"
                         " ON CONFLICT (name) DO UPDATE SET value = meta.value + 1 RETURNING value",
                         "");
}

int door_history_add(struct door_edit *e, uint64_t *number)
{
    struct door_owner owner = common_owner(e);
    struct buf before, after, words;
    buf_init(&before, 4 * DOOR_CHANGE_BYTES_MAX);
    buf_init(&after, 4 * DOOR_CHANGE_BYTES_MAX);
    buf_init(&words, 4096);
    write_side(&before, e->steps, e->count, false);
    write_side(&after, e->steps, e->count, true);
    if (e->undoes && e->change->words.size == 0)
        buf_printf(&words, "undo %ju", (uintmax_t)e->undoes);
    else
        buf_add_span(&words, e->change->words);
    int rc = buf_failed(&before) || buf_failed(&after) || buf_failed(&words) ? -ENOMEM : 0;
    if (rc == 0)
        rc = next_number(e, number);
    if (rc > 0)
        rc = database_run(
            e->s->db,
            "INSERT INTO door_history (number, at, made_by, words, level, owner_id, detail, undone, undoes,"
            " before, after) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10)",
            "uuttuutubb", *number, e->now, e->by, buf_span(&words), (uint64_t)owner.level, owner.id, owner.detail,
            e->undoes, buf_span(&before), buf_span(&after));
    rc = rc ? rc : mark_undone(e);
    rc = rc ? rc : prune(e, &owner);
    rc = rc ? rc : remote_seen_drop_parted(e->s->db, e->now);
    buf_release(&before);
    buf_release(&after);
    buf_release(&words);
    return rc;
}

/* ---- Reading ---- */

#define COLUMNS "number, at, made_by, words, level, owner_id, detail, undone, undoes, before, after"

static bool read_past(struct statement *st, struct arena *arena, struct door_past *past)
{
    *past = (struct door_past){
        .number = database_u64(st, 0),
        .at = database_u64(st, 1),
        .by = arena_copy(arena, database_bytes(st, 2)),
        .words = arena_copy(arena, database_bytes(st, 3)),
        .owner = {(enum rule_level)database_u64(st, 4), database_u64(st, 5), arena_copy(arena, database_bytes(st, 6))},
        .undone = database_u64(st, 7) != 0,
        .undoes = database_u64(st, 8)};
    return past->by.data && past->words.data && past->owner.detail.data &&
           read_steps(database_bytes(st, 9), database_bytes(st, 10), arena, past);
}

int door_history_get(struct database *db, uint64_t number, struct arena *arena, struct door_past *past)
{
    struct statement *st = database_query(db, "SELECT " COLUMNS " FROM door_history WHERE number = $1", "u", number);
    int rc = database_step(st);
    if (rc > 0 && !read_past(st, arena, past))
        rc = -ENOMEM;
    database_end(st);
    return rc;
}

int door_history_list(struct database *db, const struct door_owner *owner, uint64_t before, struct arena *arena,
                      struct door_past *past, size_t *count, bool *more)
{
    size_t room = *count, bytes = 0;
    uint64_t until = before ? before : INT64_MAX;
    struct statement *st =
        owner
            ? database_query(db,
                             "SELECT " COLUMNS " FROM door_history WHERE owner_id = $1 AND number < $2"
                             " AND (level = $3 OR ($3 = 2 AND level = 3)) AND ($4 = '' OR detail = $4)"
                             " ORDER BY number DESC LIMIT $5",
                             "uuutu", owner->id, until, (uint64_t)owner->level, owner->detail, (uint64_t)room + 1)
            : database_query(db, "SELECT " COLUMNS " FROM door_history WHERE number < $1 ORDER BY number DESC LIMIT $2",
                             "uu", until, (uint64_t)room + 1);
    int rc = 0;
    *count = 0;
    *more = false;
    while ((rc = database_step(st)) > 0) {
        *more = *count == room || bytes > DOOR_HISTORY_PAGE_BYTES;
        if (*more)
            break;
        if (!read_past(st, arena, &past[*count])) {
            rc = -ENOMEM;
            break;
        }
        (*count)++;
        bytes += database_bytes(st, 9).size + database_bytes(st, 10).size;
    }
    database_end(st);
    return rc < 0 ? rc : 0;
}

#define TELLING 20 /* changes that are looked through */

/* The newest step about the item says it, unless something else has changed it since. */
static void tell(const struct door_past *past, size_t count, struct door_item *item)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < past[i].count; k++) {
            const struct door_step *step = &past[i].steps[k];
            if (step->after.kind != item->kind || step->after.level != item->level ||
                !span_equal(step->after.name, item->name))
                continue;
            if (step->is && span_equal(step->after.value, item->value)) {
                item->set_by = past[i].by;
                item->set_at = past[i].at;
            }
            return;
        }
}

int door_history_tell(struct database *db, const struct door_owner *owner, struct arena *arena, struct door_item *items,
                      size_t count)
{
    size_t found = TELLING;
    bool more;
    struct door_past *past = arena_array(arena, TELLING, sizeof(*past));
    int rc = past ? door_history_list(db, owner, 0, arena, past, &found, &more) : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++)
        tell(past, found, &items[i]);
    return rc;
}
