#include "store/change_internal.h"

#include "base/clock.h"
#include "config/nearest.h"
#include "store/door.h"
#include "store/mailbox.h"

#include <errno.h>

#define LOCAL_PART_MAX 128
#define DOMAIN_MAX 255
#define NEAREST_OF 100000 /* accounts looked at for a "did you mean" */

bool edit_is_domain(struct span s)
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

bool edit_is_local_part(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] <= ' ' || s.data[i] == 127 || strchr("<>()[]\\,;:\"@", s.data[i]))
            return false;
    return s.size > 0 && s.size <= LOCAL_PART_MAX;
}

int edit_take_address(struct edit *e)
{
    struct span subject = e->change->subject;
    size_t at = span_find_last(subject, '@');
    struct span local_part = span_head(subject, at), domain = span_skip(subject, at + 1);
    bool is_alias = e->change->kind == CHANGE_ALIAS_PUT || e->change->kind == CHANGE_ALIAS_REMOVE;
    bool may_be_empty = is_alias && at < subject.size;
    if (!edit_is_domain(domain) || !(edit_is_local_part(local_part) || (may_be_empty && local_part.size == 0))) {
        buf_printf(e->problem, "\"%.*s\" is not an address like name@example.org.", SPAN_ARG(subject));
        return SAID;
    }
    e->local_part = directory_lower(&e->s->arena, local_part);
    e->domain = directory_lower(&e->s->arena, domain);
    return e->local_part.data && e->domain.data ? 0 : -ENOMEM;
}

int edit_find_domain(struct edit *e)
{
    struct directory_domain domain;
    int rc = directory_domain(e->s->db, e->domain, &e->s->arena, &domain);
    if (rc < 0)
        return rc;
    if (rc > 0 && span_equal(domain.name, e->domain)) {
        e->domain_id = domain.id;
        return 0;
    }
    if (rc > 0) {
        buf_printf(e->problem, "The domain %.*s is another name of %.*s: give the address as %.*s@%.*s.",
                   SPAN_ARG(e->domain), SPAN_ARG(domain.name), SPAN_ARG(e->local_part), SPAN_ARG(domain.name));
        return SAID;
    }
    buf_printf(e->problem, "The domain %.*s is not one of ours", SPAN_ARG(e->domain));
    /* Nobody wants to add what they are about to remove. */
    enum change_kind kind = e->change->kind;
    if (kind == CHANGE_ACCOUNT_ADD || kind == CHANGE_ALIAS_PUT || kind == CHANGE_LIST_PUT)
        buf_printf(e->problem, ": add it first with `ostiary domain add %.*s`", SPAN_ARG(e->domain));
    buf_add_char(e->problem, '.');
    return SAID;
}

int edit_find_row(struct edit *e, const char *sql)
{
    return database_find(e->s->db, &e->id, sql, "ut", e->domain_id, e->local_part);
}

int edit_say_unknown(struct edit *e, const char *what, const char *sql)
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
    int rc = edit_take_address(e);
    rc = rc ? rc : edit_find_domain(e);
    if (rc)
        return rc;
    rc = edit_find_row(e, FIND_ACCOUNT);
    if (rc != 0)
        return no_memory_or(rc);
    return edit_say_unknown(e, "account",
                            "SELECT local_part FROM account WHERE domain_id = $1 ORDER BY local_part LIMIT $2");
}

int edit_need_free(struct edit *e, const char *also_account, const char *also_alias, const char *also_list)
{
    const struct {
        const char *sql, *what;
    } rows[] = {{also_account, "an account"}, {also_alias, "an alias"}, {also_list, "a mailing list"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rc = rows[i].sql ? edit_find_row(e, rows[i].sql) : 0;
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        buf_printf(e->problem, "%.*s@%.*s is already %s.", SPAN_ARG(e->local_part), SPAN_ARG(e->domain), rows[i].what);
        return SAID;
    }
    return 0;
}

int edit_log_removal(struct edit *e, enum record_type type)
{
    id_facts_write(&e->s->facts, e->id);
    struct record_place place;
    return store_append(e->s, type, NULL, &place);
}

int edit_take_target(struct edit *e, const struct directory *directory, struct span text, struct span *address,
                     struct routing *routing)
{
    struct directory_query query = {.reverse_path = {"", 0}};
    struct span local_part, domain;
    if (!directory_split(text, &local_part, &domain) || !edit_is_local_part(local_part) || !edit_is_domain(domain)) {
        buf_printf(e->problem, "\"%.*s\" is not an address like name@example.org.", SPAN_ARG(text));
        return SAID;
    }
    *address = directory_lower(&e->s->arena, text);
    if (!address->data)
        return -ENOMEM;
    query.local_part = span_head(*address, local_part.size);
    query.domain = span_skip(*address, local_part.size + 1);
    int rc = directory_resolve(directory, &query, &e->s->arena, routing);
    if (rc < 0)
        return rc;
    /* Elsewhere the local part's case may matter. */
    if (routing->route == ROUTED_NOT_OURS) {
        struct span kept = arena_copy(&e->s->arena, text);
        if (!kept.data)
            return -ENOMEM;
        memcpy((char *)(uintptr_t)kept.data + local_part.size, address->data + local_part.size,
               kept.size - local_part.size);
        *address = kept;
    }
    if (routing->route != ROUTED_NO_USER || routing->is_loop)
        return 0;
    buf_printf(e->problem, "%.*s is nobody here: neither an account nor an alias or a mailing list.",
               SPAN_ARG(*address));
    return SAID;
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
    int rc = edit_take_address(e);
    rc = rc ? rc : edit_find_domain(e);
    rc = rc ? rc : edit_need_free(e, FIND_ACCOUNT, FIND_ALIAS, FIND_LIST);
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
    rc = rc ? rc : door_forget_account(e->s->db, e->id);
    rc = rc ? rc : door_touch(e->s);
    rc = rc ? rc : edit_log_removal(e, RECORD_ACCOUNT_REMOVED);
    /* Its forwarding is a part of it. */
    uint64_t id = e->id;
    rc = rc ? rc : edit_alias_drop(e);
    e->id = id;
    return rc;
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

static bool is_acceptable(const struct change *c, struct buf *problem)
{
    if (c->credential_count > CHANGE_CREDENTIALS_MAX)
        buf_printf(problem, "An account has at most %d credentials.", CHANGE_CREDENTIALS_MAX);
    else if (c->quota > INT64_MAX)
        buf_add_text(problem, "The quota is too large.");
    else if (c->name.size > 1024 || (c->name.size && memchr(c->name.data, 0, c->name.size)))
        buf_add_text(problem, "The name is longer than 1024 bytes or has a NUL in it.");
    else
        return true;
    return false;
}

int store_change(struct store *s, const struct change *change, uint64_t *id, struct buf *problem)
{
    static int (*const steps[])(struct edit *) = {
        [CHANGE_DOMAIN_ADD] = edit_domain_add,   [CHANGE_DOMAIN_REMOVE] = edit_domain_remove,
        [CHANGE_ACCOUNT_ADD] = account_add,      [CHANGE_ACCOUNT_REMOVE] = account_remove,
        [CHANGE_ACCOUNT_SET] = account_set,      [CHANGE_ACCOUNT_CREDENTIALS] = account_credentials,
        [CHANGE_ALIAS_PUT] = edit_alias_put,     [CHANGE_ALIAS_REMOVE] = edit_alias_remove,
        [CHANGE_DOMAIN_SET] = edit_domain_set,   [CHANGE_LIST_PUT] = edit_list_put,
        [CHANGE_LIST_REMOVE] = edit_list_remove, [CHANGE_LIST_JOIN] = edit_list_join,
        [CHANGE_LIST_LEAVE] = edit_list_leave,
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
