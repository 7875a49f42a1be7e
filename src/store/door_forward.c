/* The rule "forward": an alias of the account's own address, so that there is one place that says where mail goes. It
 * is no row of door_item. */
#include "store/door_change_internal.h"

#include <errno.h>

#define MODE "forward"
#define TO "forward.to"
#define KEEP "forward.keep"
#define WANTED 2 /* beside 0, SAID and errors: there are wishes about it */

bool door_forward_is(struct span name)
{
    return span_is_nocase(name, MODE) || span_is_nocase(name, TO) || span_is_nocase(name, KEEP);
}

struct forward {
    bool has_row;  /* an alias of the address */
    bool exists;   /* ... that leads to others, too */
    bool is_over;  /* it was said to be off */
    bool is_plain; /* that leads to one place, maybe with a copy */
    bool keep;
    struct span to;
};

static int read_alias(const struct directory *d, const struct door_owner *owner, struct span address,
                      struct arena *arena, struct forward *f)
{
    size_t others = 0;
    *f = (struct forward){.to = {"", 0}};
    struct statement *st =
        database_query(d->db,
                       "SELECT t.address FROM account a JOIN alias l ON l.domain_id = a.domain_id AND"
                       " l.local_part = a.local_part JOIN alias_target t ON t.alias_id = l.id WHERE a.id = $1"
                       " ORDER BY t.place LIMIT 3",
                       "u", owner->id);
    int rc;
    while ((rc = database_step(st)) > 0) {
        f->has_row = true;
        if (span_equal_nocase(database_bytes(st, 0), address)) {
            f->keep = true;
            continue;
        }
        others++;
        f->to = arena_copy(arena, database_bytes(st, 0));
        if (!f->to.data)
            rc = -ENOMEM;
        if (rc < 0)
            break;
    }
    database_end(st);
    /* One that leads to the mailbox only forwards nothing. */
    f->exists = others > 0;
    f->is_plain = others == 1;
    return rc < 0 ? rc : 0;
}

static size_t fill_items(const struct door_owner *owner, const struct forward *f, struct door_item items[3])
{
    const struct span names[3] = {SPAN(MODE), SPAN(TO), SPAN(KEEP)};
    const struct span values[3] = {span_text("on"), f->to, span_text(f->keep ? "on" : "off")};
    for (size_t i = 0; i < 3; i++)
        items[i] = (struct door_item){.kind = DOOR_RULE,
                                      .level = LEVEL_ACCOUNT,
                                      .owner_id = owner->id,
                                      .detail = {"", 0},
                                      .name = names[i],
                                      .value = values[i],
                                      .set_by = {"", 0}};
    return 3;
}

int door_forward_items(const struct directory *d, const struct door_owner *owner, struct arena *arena,
                       struct door_item items[3], size_t *count)
{
    struct forward f;
    struct span address;
    *count = 0;
    if (owner->level != LEVEL_ACCOUNT)
        return 0;
    int rc = door_owner_text(d, owner, arena, &address);
    rc = rc ? rc : read_alias(d, owner, address, arena, &f);
    if (rc == 0 && f.is_plain)
        *count = fill_items(owner, &f, items);
    return rc;
}

static bool default_of_keep(void)
{
    unsigned rule, parameter;
    return rule_parameter_find(span_text(KEEP), &rule, &parameter) &&
           strcmp(rules[rule].parameters[parameter].fallback, "on") == 0;
}

/* What one wish makes of it. */
static void want(struct forward *f, const struct door_step *step)
{
    struct span name = step->after.name, value = step->after.value;
    if (span_is_nocase(name, TO)) {
        f->exists = step->is && value.size > 0;
        f->to = step->is ? value : (struct span){"", 0};
    } else if (span_is_nocase(name, KEEP)) {
        f->keep = step->is ? span_is(value, "on") : default_of_keep();
    }
}

static int write_alias(struct door_edit *e, struct span address, const struct forward *f)
{
    struct span targets[2] = {f->keep ? address : f->to, f->to};
    struct change change = {.kind = f->exists ? CHANGE_ALIAS_PUT : CHANGE_ALIAS_REMOVE,
                            .subject = address,
                            .targets = targets,
                            .target_count = f->keep ? 2 : 1};
    struct edit edit = {.s = e->s, .change = &change, .problem = e->problem};
    return f->exists ? edit_alias_put(&edit) : edit_alias_remove(&edit);
}

static bool is_same(const struct forward *a, const struct forward *b)
{
    return a->exists == b->exists && (!a->exists || (a->keep == b->keep && span_equal(a->to, b->to)));
}

/* The wishes become the steps that they really are: from the items before to those after. */
static void rewrite_steps(struct door_edit *e, const struct door_step *model, const struct door_item *before,
                          size_t count_before, const struct door_item *after, size_t count_after)
{
    size_t kept = 0;
    for (size_t i = 0; i < e->count; i++)
        if (e->steps[i].after.kind != DOOR_RULE || !door_forward_is(e->steps[i].after.name))
            e->steps[kept++] = e->steps[i];
    for (size_t i = 0; i < 3 && (count_before || count_after); i++) {
        struct door_step *step = &e->steps[kept++];
        *step = *model;
        step->was = count_before > 0;
        step->is = count_after > 0;
        step->before = step->was ? before[i] : after[i];
        step->after = step->is ? after[i] : before[i];
        step->after.set_at = e->now;
        step->after.set_by = e->by;
    }
    e->count = kept;
}

/* The state that all the wishes together want. *model is a copy of one of their steps. WANTED where there are some. */
static int gather(struct door_edit *e, struct door_step *model, struct forward *present, struct forward *wanted,
                  struct span *address)
{
    const struct door_step *mode = NULL;
    bool any = false;
    for (size_t i = 0; i < e->count; i++) {
        const struct door_step *step = &e->steps[i];
        if (step->after.kind != DOOR_RULE || !door_forward_is(step->after.name))
            continue;
        if (step->owner.level != LEVEL_ACCOUNT || (any && step->owner.id != model->owner.id)) {
            buf_add_text(e->problem,
                         any ? "set the forwarding of one account at a time"
                             : "forwarding is set for an account: 'ostiary alias' does it for other addresses");
            return SAID;
        }
        if (!any) {
            *model = *step;
            int rc = door_owner_text(&e->directory, &step->owner, &e->s->arena, address);
            rc = rc ? rc : read_alias(&e->directory, &step->owner, *address, &e->s->arena, present);
            if (rc)
                return rc;
            *wanted = *present;
            if (!present->exists)
                wanted->keep = default_of_keep();
            any = true;
        }
        if (span_is_nocase(step->after.name, MODE))
            mode = step;
        want(wanted, step);
    }
    if (mode)
        wanted->exists = mode->is && !span_is(mode->after.value, "off");
    wanted->is_over = mode && !wanted->exists;
    return any ? WANTED : 0;
}

/* 1: nothing would be sent on, since all of it leads back to the account's mailbox, by whatever name. 0, or a negative
 * errno. */
static int leads_back(struct door_edit *e, uint64_t account_id, struct span address, struct span to)
{
    struct directory_query query = {.reverse_path = {"", 0}};
    struct directory_domain home;
    struct routing routing;
    struct directory d = e->directory;
    struct arena *arena = &e->s->arena;
    struct directory_alias own = {.targets = &address, .target_count = 1};
    if (!directory_split(address, &own.local_part, &query.domain))
        return 0;
    int rc = directory_domain(d.db, query.domain, arena, &home);
    if (rc <= 0 || !directory_split(to, &query.local_part, &query.domain))
        return rc < 0 ? rc : 0;
    own.domain_id = home.id;
    d.pending = &own;
    rc = directory_resolve(&d, &query, arena, &routing);
    for (size_t i = 0; rc == 0 && i < routing.count; i++)
        if (routing.targets[i].kind != TARGET_MAILBOX || routing.targets[i].account_id != account_id)
            return 0;
    return rc < 0 ? rc : routing.count > 0;
}

/* What can't be, in a sentence. */
static int check(struct door_edit *e, const struct door_step *model, struct span address, const struct forward *present,
                 const struct forward *wanted)
{
    if (present->exists && !present->is_plain) {
        buf_printf(e->problem,
                   "%.*s has an alias with several targets: see 'ostiary alias list %.*s', and change it with 'ostiary "
                   "alias'",
                   SPAN_ARG(address), SPAN_ARG(address));
        return SAID;
    }
    if (!wanted->exists)
        return 0;
    if (wanted->to.size == 0) {
        buf_printf(e->problem, "where should the mail of %.*s go? set forward.to, too", SPAN_ARG(address));
        return SAID;
    }
    int rc = leads_back(e, model->owner.id, address, wanted->to);
    if (rc <= 0)
        return rc;
    buf_printf(e->problem, "%.*s leads back to the mailbox of %.*s itself: name another address as forward.to",
               SPAN_ARG(wanted->to), SPAN_ARG(address));
    return SAID;
}

int door_forward_apply(struct door_edit *e)
{
    struct door_step model;
    struct forward present = {0}, wanted = {0};
    struct span address = {"", 0};
    int rc = gather(e, &model, &present, &wanted, &address);
    if (rc != WANTED)
        return rc;
    rc = check(e, &model, address, &present, &wanted);
    if (rc != 0)
        return rc;
    struct door_item before[3], after[3];
    size_t count_before = 0, count_after = 0;
    rc = door_forward_items(&e->directory, &model.owner, &e->s->arena, before, &count_before);
    /* One that leads to the own mailbox alone is shown nowhere, and goes when forwarding is said to be off. */
    bool is_leftover = present.has_row && !present.exists && wanted.is_over;
    if (rc == 0 && is_leftover) {
        present.to = address;
        count_before = fill_items(&model.owner, &present, before);
    }
    if (rc == 0 && (is_leftover || !is_same(&present, &wanted)))
        rc = write_alias(e, address, &wanted);
    rc = rc ? rc : door_forward_items(&e->directory, &model.owner, &e->s->arena, after, &count_after);
    if (rc == 0)
        rewrite_steps(e, &model, before, count_before, after, count_after);
    return rc;
}
