#include "store/directory.h"

#include <errno.h>

struct resolver {
    const struct directory *directory;
    struct arena *arena;
    struct routing *routing;
    uint64_t *aliases; /* already followed: a loop ends there. Made with the first one: most addresses are accounts' */
    size_t alias_count, target_room;
    bool found, any_enabled, any_room;
};

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

/* Room for one target more; most addresses have just one. */
static bool make_room(struct resolver *r)
{
    if (r->routing->count < r->target_room)
        return true;
    size_t room = r->target_room ? DIRECTORY_TARGETS_MAX : 1;
    struct route_target *targets = arena_array(r->arena, room, sizeof(*targets));
    if (!targets)
        return false;
    for (size_t i = 0; i < r->routing->count; i++)
        targets[i] = r->routing->targets[i];
    r->routing->targets = targets;
    r->target_room = room;
    return true;
}

static int add_target(struct resolver *r, const struct route_target *target, bool enabled)
{
    r->found = true;
    r->any_enabled |= enabled;
    if (!enabled)
        return 0;
    r->any_room |= target->quota_left > 0;
    for (size_t i = 0; i < r->routing->count; i++)
        if (r->routing->targets[i].account_id == target->account_id)
            return 0;
    if (r->routing->count == DIRECTORY_TARGETS_MAX)
        return 0;
    if (!make_room(r))
        return -ENOMEM;
    r->routing->targets[r->routing->count++] = *target;
    return 0;
}

/* 1 when the account is there. */
static int try_account(struct resolver *r, struct span local_part, struct span domain)
{
    struct statement *st = database_query(
        r->directory->db,
        "SELECT a.id, a.enabled, a.quota, m.id,"
        " CASE a.quota WHEN 0 THEN 0 ELSE (SELECT SUM(o.bytes) FROM mailbox o WHERE o.account_id = a.id) END"
        " FROM domain d JOIN account a ON a.domain_id = d.id AND a.local_part = $2"
        " JOIN mailbox m ON m.account_id = a.id AND m.name = 'INBOX' WHERE d.name = $1",
        "tt", domain, local_part);
    int rc = database_step(st);
    if (rc > 0) {
        uint64_t quota = database_u64(st, 2), used = database_u64(st, 4);
        struct route_target target = {.account_id = database_u64(st, 0), .mailbox_id = database_u64(st, 3)};
        target.quota_left = quota == 0 ? UINT64_MAX : used < quota ? quota - used : 0;
        int added = add_target(r, &target, database_u64(st, 1) != 0);
        rc = added ? added : rc;
    }
    database_end(st);
    return rc;
}

static int alias_targets(struct resolver *r, uint64_t alias, struct span *targets, size_t *count)
{
    struct statement *st = database_query(
        r->directory->db, "SELECT address FROM alias_target WHERE alias_id = $1 ORDER BY place", "u", alias);
    int rc;
    *count = 0;
    while ((rc = database_step(st)) > 0 && *count < DIRECTORY_TARGETS_MAX) {
        targets[*count] = arena_copy(r->arena, database_bytes(st, 0));
        if (!targets[(*count)++].data) {
            rc = -ENOMEM;
            break;
        }
    }
    database_end(st);
    return rc < 0 ? rc : 0;
}

static int lookup(struct resolver *r, struct span local_part, struct span domain, int depth);

/* 1 when there is such an alias. Recursion ends at DIRECTORY_ALIAS_DEPTH, and each alias is followed once. */
static int try_alias(struct resolver *r, struct span local_part, struct span domain, int depth)
{
    uint64_t alias;
    int rc = database_find(
        r->directory->db, &alias,
        "SELECT a.id FROM domain d JOIN alias a ON a.domain_id = d.id AND a.local_part = $2 WHERE d.name = $1", "tt",
        domain, local_part);
    if (rc <= 0)
        return rc;
    for (size_t i = 0; i < r->alias_count; i++)
        if (r->aliases[i] == alias)
            return 1;
    if (depth >= DIRECTORY_ALIAS_DEPTH || r->alias_count == DIRECTORY_TARGETS_MAX)
        return 1;
    if (!r->aliases && !(r->aliases = arena_array(r->arena, DIRECTORY_TARGETS_MAX, sizeof(*r->aliases))))
        return -ENOMEM;
    r->aliases[r->alias_count++] = alias;
    struct span *targets = arena_array(r->arena, DIRECTORY_TARGETS_MAX, sizeof(*targets));
    size_t count = 0;
    rc = targets ? alias_targets(r, alias, targets, &count) : -ENOMEM;
    for (size_t i = 0; rc >= 0 && i < count; i++) {
        struct span target_local, target_domain;
        if (directory_split(targets[i], &target_local, &target_domain))
            rc = lookup(r, target_local, target_domain, depth + 1);
    }
    return rc < 0 ? rc : 1;
}

static int lookup_exact(struct resolver *r, struct span local_part, struct span domain, int depth)
{
    int rc = try_account(r, local_part, domain);
    return rc != 0 ? rc : try_alias(r, local_part, domain, depth);
}

static int lookup(struct resolver *r, struct span local_part, struct span domain, int depth)
{
    int rc = lookup_exact(r, local_part, domain, depth);
    for (size_t i = 1; rc == 0 && i < local_part.size; i++) {
        if (!memchr(r->directory->detail_separator.data, local_part.data[i], r->directory->detail_separator.size))
            continue;
        return lookup_exact(r, span_head(local_part, i), domain, depth);
    }
    return rc;
}

/* <postmaster> without a domain: RFC 5321 section 4.5.1. */
static int bare_domain(const struct directory *d, struct arena *arena, struct span *domain)
{
    *domain = directory_lower(arena, d->default_domain);
    if (domain->size)
        return 1;
    struct statement *st = database_query(d->db, "SELECT name FROM domain ORDER BY id LIMIT 1", "");
    int rc = database_step(st);
    if (rc > 0)
        *domain = arena_copy(arena, database_bytes(st, 0));
    database_end(st);
    return rc;
}

int directory_resolve(const struct directory *d, struct span local_part, struct span domain, struct arena *arena,
                      struct routing *routing)
{
    *routing = (struct routing){.route = ROUTED_NOT_OURS};
    if (local_part.size > DIRECTORY_ADDRESS_MAX || domain.size > DIRECTORY_ADDRESS_MAX)
        return 0;
    struct resolver *r = arena_alloc(arena, sizeof(*r));
    if (!r)
        return -ENOMEM;
    *r = (struct resolver){.directory = d, .arena = arena, .routing = routing};
    struct span name = directory_lower(arena, local_part), home = directory_lower(arena, domain);
    if (domain.size == 0) {
        int rc = span_is(name, "postmaster") ? bare_domain(d, arena, &home) : 0;
        if (rc <= 0)
            return rc;
    }
    int rc = lookup(r, name, home, 0);
    if (rc < 0)
        return rc;
    if (!r->found) {
        uint64_t id;
        rc = database_find(d->db, &id, "SELECT id FROM domain WHERE name = $1", "t", home);
        routing->route = rc > 0 ? ROUTED_NO_USER : ROUTED_NOT_OURS;
        return rc < 0 ? rc : 0;
    }
    routing->route = !r->any_enabled ? ROUTED_DISABLED : !r->any_room ? ROUTED_OVER_QUOTA : ROUTED_LOCAL;
    if (routing->route != ROUTED_LOCAL)
        routing->count = 0;
    return 0;
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

int directory_may_send(const struct directory *d, uint64_t account_id, struct span local_part, struct span domain,
                       struct arena *arena)
{
    struct routing routing;
    struct resolver *r = arena_alloc(arena, sizeof(*r));
    if (local_part.size > DIRECTORY_ADDRESS_MAX || domain.size > DIRECTORY_ADDRESS_MAX || domain.size == 0)
        return 0;
    routing = (struct routing){0};
    if (!r)
        return -ENOMEM;
    *r = (struct resolver){.directory = d, .arena = arena, .routing = &routing};
    int rc = lookup(r, directory_lower(arena, local_part), directory_lower(arena, domain), 0);
    for (size_t i = 0; rc > 0 && i < routing.count; i++)
        if (routing.targets[i].account_id == account_id)
            return 1;
    return rc < 0 ? rc : 0;
}
