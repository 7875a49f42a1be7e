#include "store/change.h"

#include <errno.h>

static struct span keep(struct store *s, struct statement *st, int column, bool *failed)
{
    struct span copy = arena_copy(&s->arena, database_bytes(st, column));
    *failed |= copy.data == NULL;
    return copy;
}

static int append(struct store *s, enum record_type type)
{
    struct record_place place;
    return store_append(s, type, NULL, &place);
}

int change_log_domain(struct store *s, uint64_t id)
{
    struct statement *st =
        database_query(s->db, "SELECT name, kind, alias_of, next_hop FROM domain WHERE id = $1", "u", id);
    struct domain_facts f = {.id = id};
    int rc = database_step(st);
    bool failed = false;
    if (rc > 0) {
        f.name = keep(s, st, 0, &failed);
        f.kind = (uint32_t)database_u64(st, 1);
        f.alias_of = database_u64(st, 2);
        f.next_hop = keep(s, st, 3, &failed);
    }
    database_end(st);
    if (rc <= 0 || failed)
        return failed ? -ENOMEM : rc;
    domain_facts_write(&s->facts, &f);
    return append(s, RECORD_DOMAIN);
}

static int read_credentials(struct store *s, struct account_facts *f)
{
    f->credentials = arena_array(&s->arena, CHANGE_CREDENTIALS_MAX, sizeof(*f->credentials));
    if (!f->credentials)
        return -ENOMEM;
    struct statement *st = database_query(
        s->db, "SELECT kind, value FROM credential WHERE account_id = $1 ORDER BY kind LIMIT 16", "u", f->id);
    int rc = 1;
    bool failed = false;
    while (!failed && f->credential_count < CHANGE_CREDENTIALS_MAX && (rc = database_step(st)) > 0) {
        struct credential_facts *c = &f->credentials[f->credential_count++];
        c->kind = keep(s, st, 0, &failed);
        c->value = keep(s, st, 1, &failed);
    }
    database_end(st);
    return failed ? -ENOMEM : rc < 0 ? rc : 0;
}

int change_log_account(struct store *s, uint64_t id)
{
    struct account_facts f = {.id = id};
    struct statement *st =
        database_query(s->db,
                       "SELECT a.domain_id, a.local_part, d.name, a.name, a.enabled, a.quota, a.created_at, a.version"
                       " FROM account a JOIN domain d ON d.id = a.domain_id WHERE a.id = $1",
                       "u", id);
    int rc = database_step(st);
    bool failed = false;
    if (rc > 0) {
        f.domain_id = database_u64(st, 0);
        f.local_part = keep(s, st, 1, &failed);
        f.domain = keep(s, st, 2, &failed);
        f.name = keep(s, st, 3, &failed);
        f.enabled = database_u64(st, 4) != 0;
        f.quota = database_u64(st, 5);
        f.created_at = database_u64(st, 6);
        f.version = database_u64(st, 7);
    }
    database_end(st);
    if (rc <= 0 || failed)
        return failed ? -ENOMEM : rc;
    rc = read_credentials(s, &f);
    if (rc != 0)
        return rc;
    account_facts_write(&s->facts, &f);
    return append(s, RECORD_ACCOUNT);
}

static int read_targets(struct store *s, struct alias_facts *f)
{
    uint64_t count = 0;
    int rc = database_find(s->db, &count, "SELECT COUNT(*) FROM alias_target WHERE alias_id = $1", "u", f->id);
    f->targets = rc > 0 ? arena_array(&s->arena, count + 1, sizeof(*f->targets)) : NULL;
    if (!f->targets)
        return rc < 0 ? rc : -ENOMEM;
    struct statement *st =
        database_query(s->db, "SELECT address FROM alias_target WHERE alias_id = $1 ORDER BY place", "u", f->id);
    bool failed = false;
    while (!failed && f->target_count < count && (rc = database_step(st)) > 0)
        f->targets[f->target_count++] = keep(s, st, 0, &failed);
    database_end(st);
    return failed ? -ENOMEM : rc < 0 ? rc : 0;
}

int change_log_alias(struct store *s, uint64_t id)
{
    struct alias_facts f = {.id = id};
    struct statement *st = database_query(
        s->db,
        "SELECT a.domain_id, a.local_part, d.name FROM alias a JOIN domain d ON d.id = a.domain_id WHERE a.id = $1",
        "u", id);
    int rc = database_step(st);
    bool failed = false;
    if (rc > 0) {
        f.domain_id = database_u64(st, 0);
        f.local_part = keep(s, st, 1, &failed);
        f.domain = keep(s, st, 2, &failed);
    }
    database_end(st);
    if (rc <= 0 || failed)
        return failed ? -ENOMEM : rc;
    rc = read_targets(s, &f);
    if (rc != 0)
        return rc;
    alias_facts_write(&s->facts, &f);
    return append(s, RECORD_ALIAS);
}

static int read_members(struct store *s, struct mailing_list_facts *f)
{
    uint64_t count = 0;
    int rc = database_find(s->db, &count, "SELECT COUNT(*) FROM list_member WHERE list_id = $1", "u", f->id);
    f->members = rc > 0 ? arena_array(&s->arena, count + 1, sizeof(*f->members)) : NULL;
    if (!f->members)
        return rc < 0 ? rc : -ENOMEM;
    struct statement *st = database_query(
        s->db, "SELECT number, address, bounces, suspended FROM list_member WHERE list_id = $1 ORDER BY number", "u",
        f->id);
    bool failed = false;
    while (!failed && f->member_count < count && (rc = database_step(st)) > 0) {
        struct mailing_list_member *m = &f->members[f->member_count++];
        m->number = database_u64(st, 0);
        m->address = keep(s, st, 1, &failed);
        m->bounces = (uint32_t)database_u64(st, 2);
        m->suspended = database_u64(st, 3) != 0;
    }
    database_end(st);
    return failed ? -ENOMEM : rc < 0 ? rc : 0;
}

int change_log_list(struct store *s, uint64_t id)
{
    struct mailing_list_facts f = {.id = id};
    struct statement *st = database_query(s->db,
                                          "SELECT l.domain_id, l.local_part, d.name, l.name, l.owner, l.posting"
                                          " FROM list l JOIN domain d ON d.id = l.domain_id WHERE l.id = $1",
                                          "u", id);
    int rc = database_step(st);
    bool failed = false;
    if (rc > 0) {
        f.domain_id = database_u64(st, 0);
        f.local_part = keep(s, st, 1, &failed);
        f.domain = keep(s, st, 2, &failed);
        f.name = keep(s, st, 3, &failed);
        f.owner = keep(s, st, 4, &failed);
        f.posting = (uint32_t)database_u64(st, 5);
    }
    database_end(st);
    if (rc <= 0 || failed)
        return failed ? -ENOMEM : rc;
    rc = read_members(s, &f);
    if (rc != 0)
        return rc;
    mailing_list_facts_write(&s->facts, &f);
    return append(s, RECORD_MAILING_LIST);
}
