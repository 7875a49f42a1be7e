#include "store/door_change_internal.h"

#include "base/clock.h"
#include "policy/remote_account.h"

#include <errno.h>

#define WORDS_MAX 400

/* ---- One wish ---- */

static int find_owner(struct door_edit *e, const struct door_wish *wish, struct door_owner *owner)
{
    if (e->count > 0 && e->last_level == wish->level && span_equal(e->last_text, wish->owner)) {
        *owner = e->last_owner;
        return 0;
    }
    int rc = door_owner_find(&e->directory, wish->level, wish->owner, &e->s->arena, owner, e->problem);
    if (rc <= 0)
        return rc < 0 ? rc : SAID;
    if (e->change->account_id && (owner->level < LEVEL_ACCOUNT || owner->id != e->change->account_id)) {
        buf_printf(e->problem, "'%.*s' is not yours: everybody changes their own door only", SPAN_ARG(wish->owner));
        return SAID;
    }
    e->last_owner = *owner;
    e->last_text = wish->owner;
    e->last_level = wish->level;
    return 0;
}

/* What a person has fetched is theirs alone: with a mailbox that is split they would bring mail of any making past the
 * doors of others. */
static bool is_for_the_site_to_set(struct door_edit *e, const struct door_wish *wish)
{
    struct remote_account account;
    if (!e->change->account_id || wish->kind != DOOR_REMOTE || wish->remove)
        return false;
    if (!remote_account_parse(wish->value, &e->s->arena, &account, e->problem))
        return true;
    if (account.split.size)
        buf_add_text(e->problem, "Only the administrator can have the mail of a whole domain fetched (split).");
    return account.split.size > 0;
}

static int check_kind(struct door_edit *e, const struct door_wish *wish)
{
    if (wish->kind == 0 || wish->kind >= DOOR_KIND_COUNT)
        buf_printf(e->problem, "there is no kind %u of door items", (unsigned)wish->kind);
    else if (wish->level > LEVEL_ADDRESS)
        buf_printf(e->problem, "there is no level %u", (unsigned)wish->level);
    else if (wish->name.size > DOOR_NAME_MAX || wish->value.size > DOOR_VALUE_MAX)
        buf_printf(e->problem, "a name has at most %d bytes and a value %d", DOOR_NAME_MAX, DOOR_VALUE_MAX);
    else if (wish->expires_at > INT64_MAX)
        buf_add_text(e->problem, "the time of expiry is out of range");
    else if (wish->locked && (wish->kind != DOOR_RULE || wish->level != LEVEL_SITE))
        buf_add_text(e->problem, "only a rule of the site can be locked");
    else if (wish->expires_at && (wish->kind == DOOR_RULE || wish->kind == DOOR_KNOWN || wish->kind == DOOR_CODE_FOR ||
                                  wish->kind == DOOR_REMOTE))
        buf_printf(e->problem, "a %s has no time of expiry", door_kind_name((enum door_kind)wish->kind));
    else if (!is_for_the_site_to_set(e, wish))
        return 0;
    return SAID;
}

static int say_missing(struct door_edit *e, const struct door_wish *wish)
{
    const char *kind = door_kind_name((enum door_kind)wish->kind);
    struct span owner = wish->owner.size ? wish->owner : span_text("the site");
    if (wish->kind == DOOR_RULE)
        buf_printf(e->problem, "'%.*s' is not set for %.*s: there is nothing to take away", SPAN_ARG(wish->name),
                   SPAN_ARG(owner));
    else
        buf_printf(e->problem, "%.*s has no %s '%.*s'", SPAN_ARG(owner), kind, SPAN_ARG(wish->name));
    return SAID;
}

/* The row that is to go: by its name as it is kept, or by another form of it. */
static int find_removed(struct door_edit *e, const struct door_wish *wish, struct door_step *step)
{
    struct span name = wish->name, value;
    struct arena *arena = &e->s->arena;
    enum door_kind kind = (enum door_kind)wish->kind;
    struct buf unsaid;
    int rc = door_get(e->s->db, &step->owner, kind, name, arena, &step->before);
    if (rc != 0)
        return no_memory_or(rc);
    buf_init(&unsaid, 4096);
    bool good = kind != DOOR_RULE && door_item_check(kind, (enum rule_level)wish->level, wish->name,
                                                     (struct span){"", 0}, arena, &name, &value, &unsaid);
    buf_release(&unsaid);
    if (!good)
        name = directory_lower(arena, wish->name);
    if (!name.data)
        return -ENOMEM;
    rc = door_get(e->s->db, &step->owner, kind, name, arena, &step->before);
    return rc == 0 ? say_missing(e, wish) : no_memory_or(rc);
}

/* The checks of policy/ say what is wrong without a full stop. */
static int say_wrong(struct door_edit *e)
{
    struct span said = buf_span(e->problem);
    if (said.size && !strchr(".?!", said.data[said.size - 1]))
        buf_add_char(e->problem, '.');
    return SAID;
}

static int fill_step(struct door_edit *e, const struct door_wish *wish, struct door_step *step)
{
    struct arena *arena = &e->s->arena;
    enum door_kind kind = (enum door_kind)wish->kind;
    struct door_item *after = &step->after;
    *after = (struct door_item){.kind = wish->kind,
                                .level = wish->level,
                                .owner_id = step->owner.id,
                                .detail = step->owner.detail,
                                .name = wish->name,
                                .value = {"", 0},
                                .expires_at = wish->expires_at,
                                .locked = wish->locked,
                                .set_at = e->now,
                                .set_by = e->by};
    if (kind == DOOR_RULE && wish->remove && door_forward_is(wish->name))
        return 0;
    if (wish->remove) {
        int rc = find_removed(e, wish, step);
        step->was = true;
        after->name = step->before.name;
        return rc;
    }
    step->is = true;
    if (!door_item_check(kind, (enum rule_level)wish->level, wish->name, wish->value, arena, &after->name,
                         &after->value, e->problem))
        return say_wrong(e);
    if (kind == DOOR_RULE && door_forward_is(after->name))
        return 0;
    int rc = door_get(e->s->db, &step->owner, kind, after->name, arena, &step->before);
    step->was = rc > 0;
    after->id = rc > 0 ? step->before.id : wish->id;
    return rc < 0 ? rc : 0;
}

/* Nothing is wished for twice: which of the two should count? */
static int check_once(struct door_edit *e, const struct door_step *step)
{
    struct buf key;
    buf_init(&key, 4096);
    const struct door_item *item = &step->after;
    buf_printf(&key, "%u %u %ju %ju ", item->kind, item->level, (uintmax_t)item->owner_id,
               (uintmax_t)item->detail.size);
    buf_add_span(&key, item->detail);
    buf_add_span(&key, item->name);
    int rc = buf_failed(&key) ? -ENOMEM : 0;
    bool twice = rc == 0 && map_get(&e->keys, buf_span(&key)) != NULL;
    if (rc == 0 && !twice)
        rc = map_put(&e->keys, buf_span(&key), e);
    buf_release(&key);
    if (!twice)
        return rc;
    buf_printf(e->problem, "'%.*s' stands there twice", SPAN_ARG(item->name));
    return SAID;
}

int door_steps_reserve(struct door_edit *e, size_t count)
{
    /* A forwarding becomes up to three. */
    e->steps = arena_array(&e->s->arena, count + 3, sizeof(*e->steps));
    return e->steps ? 0 : -ENOMEM;
}

int door_wish_take(struct door_edit *e, const struct door_wish *wish)
{
    struct door_step *step = &e->steps[e->count];
    *step = (struct door_step){.owner_text = wish->owner};
    int rc = check_kind(e, wish);
    rc = rc ? rc : find_owner(e, wish, &step->owner);
    rc = rc ? rc : fill_step(e, wish, step);
    rc = rc ? rc : check_once(e, step);
    if (rc)
        return rc;
    e->bytes += step->before.name.size + step->before.value.size + step->after.name.size + step->after.value.size;
    if (e->bytes > DOOR_CHANGE_BYTES_MAX) {
        buf_printf(e->problem, "That is too much for one change: make it in parts of at most %u MB.",
                   DOOR_CHANGE_BYTES_MAX >> 20);
        return SAID;
    }
    e->count++;
    return 0;
}

/* ---- Caps ---- */

static bool is_pattern(const struct door_item *item)
{
    return item->kind == DOOR_DENIED_NAME && span_find(item->name, '*') < item->name.size;
}

/* What owners get that was not there before. */
struct tally {
    const struct door_step *step; /* the first of them */
    size_t all, patterns, codes;
};

/* Of the owner itself; of an account together with all its addresses, of which anybody can have as many as they like,
 * where `together`. */
static int find_tally(struct door_edit *e, struct map *tallies, const struct door_step *step, bool together,
                      struct tally **tally)
{
    const struct door_owner *o = &step->owner;
    bool with_addresses = together && o->level >= LEVEL_ACCOUNT;
    struct buf key;
    buf_init(&key, 4096);
    buf_printf(&key, "%d %d %ju ", (int)together, with_addresses ? LEVEL_ACCOUNT : (int)o->level, (uintmax_t)o->id);
    if (!with_addresses)
        buf_add_span(&key, o->detail);
    int rc = buf_failed(&key) ? -ENOMEM : 0;
    *tally = rc ? NULL : map_get(tallies, buf_span(&key));
    if (rc == 0 && !*tally) {
        *tally = arena_alloc(&e->s->arena, sizeof(**tally));
        if (*tally)
            **tally = (struct tally){.step = step};
        rc = *tally ? map_put(tallies, buf_span(&key), *tally) : -ENOMEM;
    }
    buf_release(&key);
    return rc;
}

static int count_step(struct door_edit *e, struct map *tallies, const struct door_step *step)
{
    struct tally *tally;
    int rc = find_tally(e, tallies, step, true, &tally);
    if (rc)
        return rc;
    tally->all++;
    bool pattern = is_pattern(&step->after), code = step->after.kind == DOOR_PASSCODE;
    if (pattern || code)
        rc = find_tally(e, tallies, step, false, &tally);
    if (rc == 0) {
        tally->patterns += pattern;
        tally->codes += code;
    }
    return rc;
}

/* Room for `more` rows of the owner; `sql` counts those that there are. */
static int check_room(struct door_edit *e, const struct door_step *step, const char *sql, size_t more, uint64_t most,
                      const char *what)
{
    uint64_t there = 0;
    int rc =
        database_find(e->s->db, &there, sql, "uut", step->owner.id, (uint64_t)step->owner.level, step->owner.detail);
    if (rc < 0)
        return rc;
    if (there + more <= most)
        return 0;
    buf_printf(e->problem, "%.*s would have more than %ju %s: remove some first",
               SPAN_ARG(step->owner_text.size ? step->owner_text : span_text("the site")), (uintmax_t)most, what);
    return SAID;
}

static int check_tally(struct door_edit *e, const struct tally *t)
{
    int rc = 0;
    if (t->all)
        rc = check_room(e, t->step,
                        "SELECT COUNT(*) FROM door_item WHERE owner_id = $1"
                        " AND ((level = $2 AND detail = $3) OR ($2 > 1 AND level > 1))",
                        t->all, DOOR_ITEMS_MAX, "settings and entries");
    if (rc == 0 && t->patterns)
        rc = check_room(e, t->step,
                        "SELECT COUNT(*) FROM door_item WHERE owner_id = $1 AND level = $2 AND detail = $3 AND kind = 7"
                        " AND name LIKE '%*%'",
                        t->patterns, DOOR_PATTERNS_MAX, "host names with a \"*\"");
    if (rc == 0 && t->codes)
        rc =
            check_room(e, t->step,
                       "SELECT COUNT(*) FROM door_item WHERE owner_id = $1 AND level = $2 AND detail = $3 AND kind = 8",
                       t->codes, DOOR_PASSCODES_MAX, "passcodes");
    return rc;
}

/* Each owner is counted once, however scattered their steps stand: no order of wishes gets round the caps, or makes the
 * writer count the same rows ten thousand times. */
static int check_caps(struct door_edit *e)
{
    struct map tallies;
    struct span key;
    void *tally;
    size_t position = 0;
    int rc = 0;
    map_init(&tallies);
    for (size_t i = 0; rc == 0 && i < e->count; i++)
        if (e->steps[i].is && !e->steps[i].was)
            rc = count_step(e, &tallies, &e->steps[i]);
    while (rc == 0 && map_next(&tallies, &position, &key, &tally))
        rc = check_tally(e, tally);
    map_release(&tallies);
    return rc;
}

/* ---- The whole ---- */

static bool makes_difference(const struct door_step *step)
{
    const struct door_item *a = &step->before, *b = &step->after;
    if (!step->was || !step->is)
        return step->was != step->is;
    return !span_equal(a->value, b->value) || a->expires_at != b->expires_at || a->locked != b->locked;
}

/* Readers keep the site's and the domains' rows in memory, and whether anybody at all protects their address. */
static bool is_kept_by_readers(const struct door_item *item)
{
    return item->level <= LEVEL_DOMAIN || (item->kind == DOOR_RULE && span_is(item->name, "protect-my-address"));
}

static int apply(struct door_edit *e)
{
    size_t kept = 0;
    bool touched = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < e->count; i++) {
        struct door_step *step = &e->steps[i];
        if (!makes_difference(step))
            continue;
        if (step->after.kind != DOOR_RULE || !door_forward_is(step->after.name))
            rc = step->is ? door_put(e->s, &step->after) : door_remove(e->s, step->before.id);
        touched |= is_kept_by_readers(&step->after);
        e->steps[kept++] = *step;
    }
    e->count = kept;
    return rc == 0 && touched ? door_touch(e->s) : rc;
}

/* Who it is, and whether they still are. */
static int take_person(struct door_edit *e)
{
    struct door_owner owner = {LEVEL_ACCOUNT, e->change->account_id, {"", 0}};
    e->by = e->change->by.size ? e->change->by : span_text("admin");
    if (e->change->account_id == 0)
        return 0;
    int rc = door_owner_text(&e->directory, &owner, &e->s->arena, &e->own);
    if (rc == 0 && e->own.size == 0) {
        buf_add_text(e->problem, "the account is gone");
        return SAID;
    }
    e->by = e->own;
    return rc;
}

/* Each change is a record of the volumes: nobody fills the disk with theirs. */
static int check_pace(struct door_edit *e)
{
    uint64_t day = 86400 * NANOSECONDS, count = 0, bytes = 0;
    if (e->change->account_id == 0)
        return 0;
    struct statement *st = database_query(e->s->db,
                                          "SELECT COUNT(*), COALESCE(SUM(length(before) + length(after)), 0)"
                                          " FROM door_history WHERE owner_id = $1 AND level > 1 AND at > $2 AND"
                                          " made_by = $3",
                                          "uut", e->change->account_id, e->now > day ? e->now - day : 0, e->own);
    int rc = database_step(st);
    if (rc > 0) {
        count = database_u64(st, 0);
        bytes = database_u64(st, 1);
    }
    database_end(st);
    if (rc < 0 || (count < DOOR_PERSON_CHANGES && bytes < DOOR_PERSON_BYTES))
        return rc < 0 ? rc : 0;
    buf_add_text(e->problem, "that is more than may be changed within a day: go on tomorrow, or ask the administrator");
    return SAID;
}

static int check_change(struct door_edit *e)
{
    const struct door_change *c = e->change;
    if (c->count > DOOR_CHANGE_ITEMS_MAX)
        buf_printf(e->problem, "one change has at most %d items", DOOR_CHANGE_ITEMS_MAX);
    else if (c->words.size > WORDS_MAX || c->by.size > WORDS_MAX)
        buf_printf(e->problem, "the words for the history are longer than %d bytes", WORDS_MAX);
    else if (c->undo && c->count)
        buf_add_text(e->problem, "what takes a change back can't wish for something, too");
    else if (c->number > INT64_MAX)
        buf_printf(e->problem, "there is no change %ju", (uintmax_t)c->number);
    else
        return 0;
    return SAID;
}

static int run(struct door_edit *e, struct door_outcome *outcome)
{
    int rc = check_change(e);
    rc = rc ? rc : take_person(e);
    rc = rc ? rc : check_pace(e);
    if (rc)
        return rc;
    if (e->change->undo)
        rc = door_undo_take(e);
    else
        rc = door_steps_reserve(e, e->change->count);
    for (size_t i = 0; rc == 0 && i < e->change->count; i++)
        rc = door_wish_take(e, &e->change->wishes[i]);
    rc = rc ? rc : check_caps(e);
    /* The last thing that may say no: nothing is written before. */
    rc = rc ? rc : door_forward_apply(e);
    rc = rc ? rc : apply(e);
    if (rc == 0 && e->count)
        rc = door_history_add(e, &outcome->number);
    return rc;
}

int store_door_change(struct store *s, const struct door_change *change, struct door_outcome *outcome,
                      struct buf *problem)
{
    *outcome = (struct door_outcome){0};
    arena_reset(&s->arena);
    struct door_edit e = {.s = s, .change = change, .problem = problem, .now = clock_steady()};
    e.directory = (struct directory){.db = s->db, .detail_separator = span_text(s->detail_separator)};
    map_init(&e.keys);
    int rc = run(&e, outcome);
    map_release(&e.keys);
    if (rc < 0)
        return store_fail(s, rc);
    if (rc == 0) {
        outcome->steps = e.steps;
        outcome->count = e.count;
    }
    return 0;
}
