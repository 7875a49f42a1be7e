#include "store/change_internal.h"

#include <errno.h>

#define TARGETS_MAX DIRECTORY_TARGETS_MAX

static int say_loop(struct edit *e, struct span target)
{
    buf_printf(e->problem, "The alias would lead to itself through %.*s.", SPAN_ARG(target));
    return SAID;
}

/* Its own address stands for the mailbox of the account of that name. */
static int check_self(struct edit *e, struct span target)
{
    uint64_t account;
    int rc =
        e->local_part.size ? database_find(e->s->db, &account, FIND_ACCOUNT, "ut", e->domain_id, e->local_part) : 0;
    return rc < 0 ? rc : rc > 0 ? 0 : say_loop(e, target);
}

static bool is_self(const struct edit *e, struct span target)
{
    struct span local_part, domain;
    return directory_split(target, &local_part, &domain) && span_equal_nocase(local_part, e->local_part) &&
           span_equal_nocase(domain, e->domain);
}

static int check_target(struct edit *e, const struct directory *directory, struct span given, struct span *target)
{
    struct routing routing = {0};
    if (is_self(e, given)) {
        *target = directory_lower(&e->s->arena, given);
        return target->data ? check_self(e, *target) : -ENOMEM;
    }
    int rc = edit_take_target(e, directory, given, target, &routing);
    return rc == 0 && routing.is_loop ? say_loop(e, *target) : rc;
}

static int alias_store(struct edit *e, const struct span *targets, size_t count)
{
    int found = edit_find_row(e, FIND_ALIAS);
    int rc = found < 0 ? found : 0;
    if (found == 0) {
        e->id = e->s->volumes.lsn;
        rc = database_run(e->s->db, "INSERT INTO alias (id, domain_id, local_part) VALUES ($1, $2, $3)", "uut", e->id,
                          e->domain_id, e->local_part);
    }
    if (rc == 0)
        rc = database_run(e->s->db, "DELETE FROM alias_target WHERE alias_id = $1", "u", e->id);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = database_run(e->s->db, "INSERT INTO alias_target (alias_id, place, address) VALUES ($1, $2, $3)", "uut",
                          e->id, (uint64_t)i, targets[i]);
    return rc ? rc : change_log_alias(e->s, e->id);
}

int edit_alias_put(struct edit *e)
{
    size_t count = e->change->target_count;
    int rc = edit_take_address(e);
    rc = rc ? rc : edit_find_domain(e);
    rc = rc ? rc : edit_need_free(e, NULL, NULL, FIND_LIST);
    if (rc)
        return rc;
    if (count == 0 || count > TARGETS_MAX) {
        buf_printf(e->problem, "An alias needs between 1 and %d targets.", TARGETS_MAX);
        return SAID;
    }
    struct span *targets = arena_array(&e->s->arena, count, sizeof(*targets));
    if (!targets)
        return -ENOMEM;
    /* As it will be, so that what would come back to itself is seen. */
    for (size_t i = 0; i < count; i++) {
        targets[i] = directory_lower(&e->s->arena, e->change->targets[i]);
        if (!targets[i].data)
            return -ENOMEM;
    }
    struct directory_alias pending = {e->domain_id, e->local_part, targets, count};
    struct directory directory = {
        .db = e->s->db, .detail_separator = span_text(e->s->detail_separator), .pending = &pending};
    struct span *kept = arena_array(&e->s->arena, count, sizeof(*kept));
    rc = kept ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = check_target(e, &directory, e->change->targets[i], &kept[i]);
    return rc ? rc : alias_store(e, kept, count);
}

static int drop(struct edit *e)
{
    int rc = database_run(e->s->db, "DELETE FROM alias_target WHERE alias_id = $1", "u", e->id);
    if (rc == 0)
        rc = database_run(e->s->db, "DELETE FROM alias WHERE id = $1", "u", e->id);
    return rc ? rc : edit_log_removal(e, RECORD_ALIAS_REMOVED);
}

int edit_alias_drop(struct edit *e)
{
    int rc = edit_find_row(e, FIND_ALIAS);
    return rc <= 0 ? rc : drop(e);
}

int edit_alias_remove(struct edit *e)
{
    int rc = edit_take_address(e);
    rc = rc ? rc : edit_find_domain(e);
    if (rc)
        return rc;
    rc = edit_find_row(e, FIND_ALIAS);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return edit_say_unknown(e, "alias",
                                "SELECT local_part FROM alias WHERE domain_id = $1 ORDER BY local_part LIMIT $2");
    return drop(e);
}
