#include "store/door_change_internal.h"

#include <errno.h>

/* The last change of the owner that still stands and is no undo. 1, 0, or a negative errno. */
static int find_last(struct door_edit *e, const struct door_owner *owner, uint64_t *number)
{
    return database_find(e->s->db, number,
                         "SELECT number FROM door_history WHERE owner_id = $1"
                         " AND (level = $2 OR ($2 = 2 AND level = 3)) AND ($3 = '' OR detail = $3)"
                         " AND undone = 0 AND undoes = 0 ORDER BY number DESC LIMIT 1",
                         "uut", owner->id, (uint64_t)owner->level, owner->detail);
}

static int find_change(struct door_edit *e, struct door_past *past)
{
    const struct door_change *c = e->change;
    struct door_owner owner = {LEVEL_ACCOUNT, c->account_id, {"", 0}};
    uint64_t number = c->number;
    int rc = 1;
    if (number == 0 && c->account_id == 0)
        rc = door_owner_find(&e->directory, LEVEL_DEFAULT, c->owner, &e->s->arena, &owner, e->problem);
    if (rc <= 0)
        return rc < 0 ? rc : SAID;
    if (number == 0)
        rc = find_last(e, &owner, &number);
    if (rc == 0) {
        buf_add_text(e->problem, "there is no change that could be taken back");
        return SAID;
    }
    rc = rc < 0 ? rc : door_history_get(e->s->db, number, &e->s->arena, past);
    /* Somebody else's is as unknown as one that there is not. */
    if (rc == 0 ||
        (rc > 0 && c->account_id && (past->owner.level < LEVEL_ACCOUNT || past->owner.id != c->account_id))) {
        buf_printf(e->problem, "there is no change %ju: the history shows those that there are", (uintmax_t)number);
        return SAID;
    }
    if (rc > 0 && past->undone) {
        buf_printf(e->problem, "change %ju was taken back already", (uintmax_t)number);
        return SAID;
    }
    return rc < 0 ? rc : 0;
}

/* What is there now: a row, or one of a forwarding's three settings. 1, 0, or a negative errno. */
static int present(struct door_edit *e, const struct door_step *step, struct door_item *item)
{
    struct door_item items[3];
    size_t count;
    if (step->after.kind != DOOR_RULE || !door_forward_is(step->after.name))
        return door_get(e->s->db, &step->owner, (enum door_kind)step->after.kind, step->after.name, &e->s->arena, item);
    int rc = door_forward_items(&e->directory, &step->owner, &e->s->arena, items, &count);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (span_equal_nocase(items[i].name, step->after.name)) {
            *item = items[i];
            return 1;
        }
    return rc;
}

/* Nothing that somebody did since is lost by taking back what was before. */
static int check_untouched(struct door_edit *e, const struct door_step *step)
{
    struct door_item item = {0};
    int rc = present(e, step, &item);
    if (rc < 0)
        return rc;
    const struct door_item *then = &step->after;
    bool same = rc > 0 ? step->is && span_equal(item.value, then->value) && item.locked == then->locked &&
                             item.expires_at == then->expires_at
                       : !step->is;
    if (same)
        return 0;
    buf_printf(e->problem, "'%.*s' was changed since: take that back first, or set it anew", SPAN_ARG(then->name));
    return SAID;
}

static int take_back(struct door_edit *e, const struct door_step *step)
{
    struct span text;
    int rc = door_owner_text(&e->directory, &step->owner, &e->s->arena, &text);
    if (rc == 0 && text.size == 0 && step->owner.level != LEVEL_SITE) {
        buf_printf(e->problem, "whose '%.*s' it was is gone", SPAN_ARG(step->after.name));
        return SAID;
    }
    rc = rc ? rc : check_untouched(e, step);
    if (rc)
        return rc;
    struct door_wish wish = {.kind = step->after.kind,
                             .level = step->after.level,
                             .owner = text,
                             .name = step->after.name,
                             .value = step->before.value,
                             .expires_at = step->before.expires_at,
                             .locked = step->before.locked,
                             .remove = !step->was,
                             /* What was fetched from a remote account is kept under its id for a while. */
                             .id = step->was && step->after.kind == DOOR_REMOTE ? step->before.id : 0};
    return door_wish_take(e, &wish);
}

int door_undo_take(struct door_edit *e)
{
    struct door_past past = {0};
    int rc = find_change(e, &past);
    rc = rc ? rc : door_steps_reserve(e, past.count);
    for (size_t i = 0; rc == 0 && i < past.count; i++)
        rc = take_back(e, &past.steps[i]);
    e->undoes = past.number;
    return rc;
}
