#include "store/directory.h"

#include <errno.h>

struct span directory_lower(struct arena *arena, struct span s)
{
    char *text = arena_text(arena, s);
    for (size_t i = 0; text && i < s.size; i++)
        text[i] = ascii_lower(text[i]);
    return span_from(text, text ? s.size : 0);
}

bool directory_split(struct span address, struct span *local_part, struct span *domain)
{
    size_t at = span_find_last(address, '@');
    if (at == address.size)
        return false;
    *local_part = span_head(address, at);
    *domain = span_skip(address, at + 1);
    return local_part->size > 0 && domain->size > 0;
}

static int read_domain(struct statement *st, struct arena *arena, struct directory_domain *domain)
{
    int rc = database_step(st);
    if (rc > 0) {
        *domain = (struct directory_domain){.id = database_u64(st, 0),
                                            .kind = database_u64(st, 1),
                                            .alias_of = database_u64(st, 2),
                                            .next_hop = arena_copy(arena, database_bytes(st, 3)),
                                            .name = arena_copy(arena, database_bytes(st, 4))};
        rc = domain->next_hop.data && domain->name.data ? 1 : -ENOMEM;
    }
    database_end(st);
    return rc;
}

int directory_domain(struct database *db, struct span name, struct arena *arena, struct directory_domain *domain)
{
    int rc = read_domain(
        database_query(db, "SELECT id, kind, alias_of, next_hop, name FROM domain WHERE name = $1", "t", name), arena,
        domain);
    if (rc <= 0 || domain->alias_of == 0)
        return rc;
    /* There are no chains: what this one says of itself is not asked. */
    return read_domain(database_query(db, "SELECT id, kind, alias_of, next_hop, name FROM domain WHERE id = $1", "u",
                                      domain->alias_of),
                       arena, domain);
}

static int login_credentials(const struct directory *d, struct arena *arena, struct login *login)
{
    enum { MOST = 16 };
    login->credentials = arena_array(arena, MOST, sizeof(*login->credentials));
    if (!login->credentials)
        return -ENOMEM;
    struct statement *st =
        database_query(d->db, "SELECT kind, value FROM credential WHERE account_id = $1 ORDER BY kind LIMIT 16", "u",
                       login->account_id);
    int rc = 0;
    while (login->count < MOST && (rc = database_step(st)) > 0) {
        struct login_credential *c = &login->credentials[login->count++];
        c->kind = arena_copy(arena, database_bytes(st, 0));
        c->value = arena_copy(arena, database_bytes(st, 1));
        if (!c->kind.data || !c->value.data) {
            rc = -ENOMEM;
            break;
        }
    }
    database_end(st);
    return rc < 0 ? rc : 0;
}

int directory_login(const struct directory *d, struct span name, struct arena *arena, struct login *login)
{
    *login = (struct login){0};
    struct span local_part, domain;
    if (name.size == 0 || name.size > DIRECTORY_ADDRESS_MAX)
        return 0;
    if (span_find(name, '@') == name.size) {
        local_part = name;
        domain = d->default_domain;
    } else if (!directory_split(name, &local_part, &domain)) {
        return 0;
    }
    struct statement *st =
        database_query(d->db,
                       "SELECT a.id, a.enabled, a.version, a.local_part || '@' || d.name FROM domain d"
                       " JOIN account a ON a.domain_id = d.id AND a.local_part = $2 WHERE d.name = $1",
                       "tt", directory_lower(arena, domain), directory_lower(arena, local_part));
    int rc = database_step(st);
    if (rc > 0) {
        login->account_id = database_u64(st, 0);
        login->enabled = database_u64(st, 1) != 0;
        login->version = database_u64(st, 2);
        login->address = arena_copy(arena, database_bytes(st, 3));
    }
    database_end(st);
    if (rc <= 0)
        return rc;
    rc = login_credentials(d, arena, login);
    return rc < 0 ? rc : 1;
}

static int account_of(const struct directory *d, uint64_t domain_id, struct span name, uint64_t *id)
{
    return database_find(d->db, id, "SELECT id FROM account WHERE domain_id = $1 AND local_part = $2", "ut", domain_id,
                         name);
}

/* 1: the address, whole or without its detail, is the account's own. */
static int is_own(const struct directory *d, uint64_t account_id, struct span name, uint64_t domain_id)
{
    uint64_t id = 0;
    int rc = account_of(d, domain_id, name, &id);
    size_t plain = directory_plain_size(d, name);
    if (rc == 0 && plain < name.size)
        rc = account_of(d, domain_id, span_head(name, plain), &id);
    return rc > 0 ? id == account_id : rc;
}

size_t directory_plain_size(const struct directory *d, struct span name)
{
    for (size_t i = 1; i < name.size; i++)
        if (memchr(d->detail_separator.data, name.data[i], d->detail_separator.size))
            return i;
    return name.size;
}

/* A login, or a window of POP-before-SMTP, may be older than the closing of its account. */
static int is_open(const struct directory *d, uint64_t account_id)
{
    uint64_t id = 0;
    return database_find(d->db, &id, "SELECT id FROM account WHERE id = $1 AND enabled <> 0", "u", account_id);
}

int directory_may_send(const struct directory *d, uint64_t account_id, struct span local_part, struct span domain,
                       struct arena *arena)
{
    struct routing routing;
    struct directory_domain home;
    if (local_part.size > DIRECTORY_ADDRESS_MAX || domain.size > DIRECTORY_ADDRESS_MAX || domain.size == 0)
        return 0;
    struct directory_query query = {.local_part = directory_lower(arena, local_part),
                                    .domain = directory_lower(arena, domain)};
    int rc = is_open(d, account_id);
    if (rc <= 0)
        return rc;
    /* First without its aliases: who has all mail forwarded still writes as before. */
    rc = directory_domain(d->db, query.domain, arena, &home);
    if (rc > 0)
        rc = is_own(d, account_id, query.local_part, home.id);
    if (rc != 0)
        return rc;
    struct directory past = *d;
    past.past_forwarding = true;
    rc = directory_resolve(&past, &query, arena, &routing);
    for (size_t i = 0; rc == 0 && i < routing.count; i++)
        if (routing.targets[i].kind == TARGET_MAILBOX && routing.targets[i].account_id == account_id)
            return 1;
    return rc;
}
