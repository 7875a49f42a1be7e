#include "store/change.h"

#include "base/clock.h"
#include "config/nearest.h"
#include "store/directory.h"
#include "store/mailbox.h"

#include <errno.h>

#define LOCAL_PART_MAX 128
#define DOMAIN_MAX 255
#define NEAREST_OF 100000 /* accounts looked at for a "did you mean" */
#define TARGETS_MAX DIRECTORY_TARGETS_MAX

/* One change as it goes along. `stop` ends it with nothing done: a sentence stands in problem. */
struct edit {
    struct store *s;
    const struct change *change;
    struct buf *problem;
    struct span local_part, domain; /* lower case, of the subject */
    uint64_t domain_id, id;
    uint64_t *seen; /* aliases that a put's targets lead to: each is followed once, however many ways lead there */
    size_t seen_count;
    bool loops;
};

/* The result of a step: 0 go on, 1 a sentence was said, or a negative errno. */
#define SAID 1

static int no_memory_or(int rc)
{
    return rc < 0 ? rc : 0;
}

static bool is_domain(struct span s)
{
    if (s.size == 0 || s.size > DOMAIN_MAX || s.data[0] == '.' || s.data[s.size - 1] == '.')
        return false;
    for (size_t i = 0; i < s.size; i++) {
        char c = ascii_lower(s.data[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && !(c == '.' && s.data[i - 1] != '.'))
            return false;
    }
    return true;
}

static bool is_local_part(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] <= ' ' || s.data[i] == 127 || strchr("<>()[]\\,;:\"@", s.data[i]))
            return false;
    return s.size > 0 && s.size <= LOCAL_PART_MAX;
}

static int take_address(struct edit *e)
{
    struct span local_part, domain;
    if (!directory_split(e->change->subject, &local_part, &domain) || !is_local_part(local_part) ||
        !is_domain(domain)) {
        buf_printf(e->problem, "\"%.*s\" is not an address like name@example.org.", SPAN_ARG(e->change->subject));
        return SAID;
    }
    e->local_part = directory_lower(&e->s->arena, local_part);
    e->domain = directory_lower(&e->s->arena, domain);
    return e->local_part.data && e->domain.data ? 0 : -ENOMEM;
}

static int find_domain(struct edit *e)
{
    int rc = database_find(e->s->db, &e->domain_id, "SELECT id FROM domain WHERE name = $1", "t", e->domain);
    if (rc != 0)
        return no_memory_or(rc);
    buf_printf(e->problem, "The domain %.*s is not one of ours", SPAN_ARG(e->domain));
    /* Nobody wants to add what they are about to remove. */
    if (e->change->kind == CHANGE_ACCOUNT_ADD || e->change->kind == CHANGE_ALIAS_PUT)
        buf_printf(e->problem, ": add it first with `ostiary domain add %.*s`", SPAN_ARG(e->domain));
    buf_add_char(e->problem, '.');
    return SAID;
}

static int find_row(struct edit *e, const char *sql)
{
    return database_find(e->s->db, &e->id, sql, "ut", e->domain_id, e->local_part);
}

#define FIND_ACCOUNT "SELECT id FROM account WHERE domain_id = $1 AND local_part = $2"
#define FIND_ALIAS "SELECT id FROM alias WHERE domain_id = $1 AND local_part = $2"

static int say_unknown(struct edit *e, const char *what, const char *sql)
{
    struct span best = {NULL, 0};
    size_t best_distance = e->local_part.size / 3 + 1;
    struct statement *st = database_query(e->s->db, sql, "uu", e->domain_id, (uint64_t)NEAREST_OF);
    int rc;
    while ((rc = database_step(st)) > 0) {
        size_t distance = edit_distance(e->local_part, database_bytes(st, 0));
        if (distance <= best_distance && (best.size == 0 || distance < best_distance)) {
            best = arena_copy(&e->s->arena, database_bytes(st, 0));
            best_distance = distance;
        }
    }
    database_end(st);
    buf_printf(e->problem, "There is no %s %.*s@%.*s", what, SPAN_ARG(e->local_part), SPAN_ARG(e->domain));
    if (best.size)
        buf_printf(e->problem, "; did you mean %.*s@%.*s?", SPAN_ARG(best), SPAN_ARG(e->domain));
    else
        buf_add_char(e->problem, '.');
    return rc < 0 ? rc : SAID;
}

static int need_account(struct edit *e)
{
    int rc = take_address(e);
    rc = rc ? rc : find_domain(e);
    if (rc)
        return rc;
    rc = find_row(e, FIND_ACCOUNT);
    if (rc != 0)
        return no_memory_or(rc);
    return say_unknown(e, "account",
                       "SELECT local_part FROM account WHERE domain_id = $1 ORDER BY local_part LIMIT $2");
}

static int need_free_address(struct edit *e, bool alias_may_be)
{
    int rc = find_row(e, FIND_ACCOUNT);
    const char *what = "an account";
    if (rc == 0 && !alias_may_be) {
        rc = find_row(e, FIND_ALIAS);
        what = "an alias";
    }
    if (rc <= 0)
        return rc;
    buf_printf(e->problem, "%.*s@%.*s is already %s.", SPAN_ARG(e->local_part), SPAN_ARG(e->domain), what);
    return SAID;
}

static int removed(struct edit *e, enum record_type type)
{
    id_facts_write(&e->s->facts, e->id);
    struct record_place place;
    return store_append(e->s, type, NULL, &place);
}

static int domain_add(struct edit *e)
{
    e->domain = directory_lower(&e->s->arena, e->change->subject);
    if (!is_domain(e->domain)) {
        buf_printf(e->problem,
                   "\"%.*s\" is not a domain name like example.org (international names are written as xn--…).",
                   SPAN_ARG(e->change->subject));
        return SAID;
    }
    int rc = database_find(e->s->db, &e->id, "SELECT id FROM domain WHERE name = $1", "t", e->domain);
    if (rc > 0) {
        buf_printf(e->problem, "The domain %.*s is already one of ours.", SPAN_ARG(e->domain));
        return SAID;
    }
    e->id = e->s->volumes.lsn;
    if (rc == 0)
        rc = database_run(e->s->db, "INSERT INTO domain (id, name) VALUES ($1, $2)", "ut", e->id, e->domain);
    return rc ? rc : change_log_domain(e->s, e->id);
}

static int domain_remove(struct edit *e)
{
    e->domain = directory_lower(&e->s->arena, e->change->subject);
    int rc = find_domain(e);
    if (rc)
        return rc;
    uint64_t used = 0;
    rc = database_find(e->s->db, &used,
                       "SELECT (SELECT COUNT(*) FROM account WHERE domain_id = $1) + (SELECT COUNT(*) FROM alias WHERE "
                       "domain_id = $1)",
                       "u", e->domain_id);
    if (rc > 0 && used > 0) {
        buf_printf(e->problem, "The domain %.*s still has %ju accounts and aliases: remove them first.",
                   SPAN_ARG(e->domain), (uintmax_t)used);
        return SAID;
    }
    e->id = e->domain_id;
    rc = rc < 0 ? rc : database_run(e->s->db, "DELETE FROM domain WHERE id = $1", "u", e->id);
    return rc ? rc : removed(e, RECORD_DOMAIN_REMOVED);
}

static int credentials_put(struct edit *e)
{
    int rc = database_run(e->s->db, "DELETE FROM credential WHERE account_id = $1", "u", e->id);
    for (size_t i = 0; rc == 0 && i < e->change->credential_count; i++)
        rc = database_run(e->s->db,
                          "INSERT INTO credential (account_id, kind, value) VALUES ($1, $2, $3)"
                          " ON CONFLICT (account_id, kind) DO UPDATE SET value = excluded.value",
                          "utb", e->id, e->change->credentials[i].kind, e->change->credentials[i].value);
    return rc;
}

static int account_add(struct edit *e)
{
    int rc = take_address(e);
    rc = rc ? rc : find_domain(e);
    rc = rc ? rc : need_free_address(e, false);
    if (rc)
        return rc;
    e->id = e->s->volumes.lsn;
    rc = database_run(e->s->db,
                      "INSERT INTO account (id, domain_id, local_part, name, enabled, quota, created_at, version)"
                      " VALUES ($1, $2, $3, $4, 1, $5, $6, $1)",
                      "uuttuu", e->id, e->domain_id, e->local_part, e->change->name, e->change->quota,
                      clock_wall() / NANOSECONDS);
    rc = rc ? rc : credentials_put(e);
    rc = rc ? rc : change_log_account(e->s, e->id);
    uint64_t inbox;
    return rc ? rc : mailbox_create(e->s, e->id, span_text("INBOX"), 0, &inbox);
}

static int account_remove(struct edit *e)
{
    int rc = need_account(e);
    if (rc)
        return rc;
    rc = account_entries_release(e->s, e->id);
    static const char *const statements[] = {
        "DELETE FROM keyword WHERE mailbox_id IN (SELECT id FROM mailbox WHERE account_id = $1)",
        "DELETE FROM mailbox WHERE account_id = $1",
        "DELETE FROM credential WHERE account_id = $1",
        "DELETE FROM account WHERE id = $1",
    };
    for (size_t i = 0; rc == 0 && i < sizeof(statements) / sizeof(statements[0]); i++)
        rc = database_run(e->s->db, statements[i], "u", e->id);
    return rc ? rc : removed(e, RECORD_ACCOUNT_REMOVED);
}

static int account_set(struct edit *e)
{
    const struct change *c = e->change;
    int rc = need_account(e);
    if (rc == 0 && c->set_name)
        rc = database_run(e->s->db, "UPDATE account SET name = $2 WHERE id = $1", "ut", e->id, c->name);
    if (rc == 0 && c->set_enabled)
        rc = database_run(e->s->db, "UPDATE account SET enabled = $2 WHERE id = $1", "uu", e->id, (uint64_t)c->enabled);
    if (rc == 0 && c->set_quota)
        rc = database_run(e->s->db, "UPDATE account SET quota = $2 WHERE id = $1", "uu", e->id, c->quota);
    return rc ? rc : change_log_account(e->s, e->id);
}

/* Its owner's session holds a grant with the id, and the account may be gone since. */
static int need_account_id(struct edit *e)
{
    int rc = database_find(e->s->db, &e->id, "SELECT id FROM account WHERE id = $1", "u", e->change->account_id);
    if (rc == 0)
        buf_add_text(e->problem, "The account is gone.");
    return rc ? no_memory_or(rc) : SAID;
}

static int account_credentials(struct edit *e)
{
    int rc = e->change->account_id ? need_account_id(e) : need_account(e);
    rc = rc ? rc : credentials_put(e);
    if (rc == 0)
        rc = database_run(e->s->db, "UPDATE account SET version = $2 WHERE id = $1", "uu", e->id, e->s->volumes.lsn);
    return rc ? rc : change_log_account(e->s, e->id);
}

static bool is_seen(const struct edit *e, uint64_t alias)
{
    for (size_t i = 0; i < e->seen_count; i++)
        if (e->seen[i] == alias)
            return true;
    return false;
}

static int alias_find(struct edit *e, struct span local_part, struct span domain, uint64_t *alias)
{
    return database_find(
        e->s->db, alias,
        "SELECT a.id FROM domain d JOIN alias a ON a.domain_id = d.id AND a.local_part = $2 WHERE d.name = $1", "tt",
        domain, local_part);
}

/* Does following the target lead back to the alias that is being put? */
static int leads_back(struct edit *e, struct span local_part, struct span domain, int depth)
{
    /* Too long a chain would be cut off at delivery. */
    e->loops |=
        depth >= DIRECTORY_ALIAS_DEPTH || (span_equal(local_part, e->local_part) && span_equal(domain, e->domain));
    uint64_t alias = 0;
    int rc = e->loops ? 0 : alias_find(e, local_part, domain, &alias);
    if (rc <= 0 || is_seen(e, alias))
        return no_memory_or(rc);
    if (e->seen_count == TARGETS_MAX) {
        e->loops = true; /* so many are cut off at delivery as well */
        return 0;
    }
    e->seen[e->seen_count++] = alias;
    struct span *next = arena_array(&e->s->arena, TARGETS_MAX, sizeof(*next));
    size_t count = 0;
    struct statement *st =
        database_query(e->s->db, "SELECT address FROM alias_target WHERE alias_id = $1 ORDER BY place", "u", alias);
    rc = next ? 0 : -ENOMEM;
    while (rc >= 0 && count < TARGETS_MAX && (rc = database_step(st)) > 0)
        next[count++] = arena_copy(&e->s->arena, database_bytes(st, 0));
    database_end(st);
    for (size_t i = 0; rc >= 0 && i < count && !e->loops; i++) {
        struct span l, d;
        if (directory_split(next[i], &l, &d))
            rc = leads_back(e, l, d, depth + 1);
    }
    return no_memory_or(rc);
}

static int target_check(struct edit *e, struct span target, struct span *lower)
{
    struct span local_part, domain;
    *lower = directory_lower(&e->s->arena, target);
    if (!directory_split(*lower, &local_part, &domain) || !is_local_part(local_part) || !is_domain(domain)) {
        buf_printf(e->problem, "The target \"%.*s\" is not an address like name@example.org.", SPAN_ARG(target));
        return SAID;
    }
    struct directory directory = {.db = e->s->db, .detail_separator = span_text(e->s->detail_separator)};
    struct routing routing;
    int rc = directory_resolve(&directory, local_part, domain, &e->s->arena, &routing);
    if (rc < 0)
        return rc;
    rc = leads_back(e, local_part, domain, 0);
    if (rc == 0 && e->loops) {
        buf_printf(e->problem, "The alias would lead to itself through %.*s.", SPAN_ARG(*lower));
        return SAID;
    }
    if (rc == 0 && (routing.route == ROUTED_NO_USER || routing.route == ROUTED_NOT_OURS)) {
        buf_printf(e->problem, "The target %.*s is %s.", SPAN_ARG(*lower),
                   routing.route == ROUTED_NO_USER ? "neither an account nor an alias here"
                                                   : "not in one of our domains");
        return SAID;
    }
    return rc;
}

static int alias_store(struct edit *e, const struct span *targets, size_t count)
{
    int found = find_row(e, FIND_ALIAS);
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

static int alias_put(struct edit *e)
{
    size_t count = e->change->target_count;
    int rc = take_address(e);
    rc = rc ? rc : find_domain(e);
    rc = rc ? rc : need_free_address(e, true);
    if (rc)
        return rc;
    if (count == 0 || count > TARGETS_MAX) {
        buf_printf(e->problem, "An alias needs between 1 and %d targets.", TARGETS_MAX);
        return SAID;
    }
    struct span *targets = arena_array(&e->s->arena, count, sizeof(*targets));
    e->seen = arena_array(&e->s->arena, TARGETS_MAX, sizeof(*e->seen));
    rc = targets && e->seen ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = target_check(e, e->change->targets[i], &targets[i]);
    return rc ? rc : alias_store(e, targets, count);
}

static int alias_remove(struct edit *e)
{
    int rc = take_address(e);
    rc = rc ? rc : find_domain(e);
    if (rc)
        return rc;
    rc = find_row(e, FIND_ALIAS);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return say_unknown(e, "alias",
                           "SELECT local_part FROM alias WHERE domain_id = $1 ORDER BY local_part LIMIT $2");
    rc = database_run(e->s->db, "DELETE FROM alias_target WHERE alias_id = $1", "u", e->id);
    if (rc == 0)
        rc = database_run(e->s->db, "DELETE FROM alias WHERE id = $1", "u", e->id);
    return rc ? rc : removed(e, RECORD_ALIAS_REMOVED);
}

static bool is_acceptable(const struct change *c, struct buf *problem)
{
    if (c->credential_count > CHANGE_CREDENTIALS_MAX)
        buf_printf(problem, "An account has at most %d credentials.", CHANGE_CREDENTIALS_MAX);
    else if (c->quota > INT64_MAX)
        buf_add_text(problem, "The quota is too large.");
    else if (c->name.size > 1024 || (c->name.size && memchr(c->name.data, 0, c->name.size)))
        buf_add_text(problem, "The person's name is longer than 1024 bytes or has a NUL in it.");
    else
        return true;
    return false;
}

int store_change(struct store *s, const struct change *change, uint64_t *id, struct buf *problem)
{
    static int (*const steps[])(struct edit *) = {
        [CHANGE_DOMAIN_ADD] = domain_add,   [CHANGE_DOMAIN_REMOVE] = domain_remove,
        [CHANGE_ACCOUNT_ADD] = account_add, [CHANGE_ACCOUNT_REMOVE] = account_remove,
        [CHANGE_ACCOUNT_SET] = account_set, [CHANGE_ACCOUNT_CREDENTIALS] = account_credentials,
        [CHANGE_ALIAS_PUT] = alias_put,     [CHANGE_ALIAS_REMOVE] = alias_remove,
    };
    *id = 0;
    if ((unsigned)change->kind >= sizeof(steps) / sizeof(steps[0]) || !steps[change->kind]) {
        buf_add_text(problem, "There is no such change.");
        return 0;
    }
    if (!is_acceptable(change, problem))
        return 0;
    /* Accounts are about to change under the counters in memory: they are written, forgotten, and loaded again when
     * next needed. */
    int rc = mailboxes_flush(s);
    if (rc == 0)
        mailboxes_clear(s);
    arena_reset(&s->arena);
    struct edit edit = {.s = s, .change = change, .problem = problem};
    if (rc == 0)
        rc = steps[change->kind](&edit);
    if (rc < 0)
        return store_fail(s, rc);
    *id = rc == 0 ? edit.id : 0;
    return 0;
}
