#include "store/door_cache.h"

#include <errno.h>

#define CACHE_MEMORY (64u << 20)
#define DOMAINS_MAX 500 /* with rules of their own some 30 KiB each */

void door_cache_init(struct door_cache *c, struct database *db)
{
    *c = (struct door_cache){.db = db};
    arena_init(&c->arena, CACHE_MEMORY);
    map_init(&c->domains);
}

void door_cache_release(struct door_cache *c)
{
    map_release(&c->domains);
    arena_release(&c->arena);
}

static void forget(struct door_cache *c)
{
    struct database *db = c->db;
    map_release(&c->domains);
    arena_reset(&c->arena);
    struct arena arena = c->arena;
    *c = (struct door_cache){.db = db, .arena = arena};
    map_init(&c->domains);
}

/* ---- Rules ---- */

int door_rules_put(struct database *db, const struct door_owner *owner, struct ruleset *set, struct arena *arena,
                   bool *any)
{
    /* What is locked comes last: from then on nothing else counts for that rule. */
    struct statement *st = database_query(db,
                                          "SELECT name, value, locked FROM door_item WHERE owner_id = $1 AND level = $2"
                                          " AND detail = $3 AND kind = 1 ORDER BY locked, name",
                                          "uut", owner->id, (uint64_t)owner->level, owner->detail);
    int rc;
    while ((rc = database_step(st)) > 0)
        /* A setting of a newer program, or that is no longer one, says nothing. */
        *any |= ruleset_put(set, arena, database_bytes(st, 0), database_bytes(st, 1), owner->level,
                            database_u64(st, 2) != 0);
    database_end(st);
    return rc;
}

static int write_rules(const struct ruleset *set, struct arena *arena, struct span *text)
{
    struct buf out;
    buf_init(&out, RULESET_TEXT_MAX);
    ruleset_write(set, &out);
    *text = buf_failed(&out) ? (struct span){NULL, 0} : arena_copy(arena, buf_span(&out));
    buf_release(&out);
    return text->data ? 0 : -ENOMEM;
}

static int read_kinds(struct door_cache *c, const struct door_owner *owner, uint32_t *kinds)
{
    for (unsigned kind = DOOR_WHITE; kind < DOOR_KIND_COUNT; kind++) {
        int rc = door_has(c->db, owner, (enum door_kind)kind);
        if (rc < 0)
            return rc;
        if (rc > 0)
            *kinds |= DOOR_KIND_BIT(kind);
    }
    return 0;
}

/* ---- The site ---- */

/* "192.0.2.0/24", or an address: false for a name. */
static bool parse_network(struct span key, bool *is_ipv4, unsigned *bits)
{
    struct ip_address ip;
    uint64_t size;
    size_t slash = span_find(key, '/');
    if (!ip_address_parse(span_head(key, slash), &ip))
        return false;
    *is_ipv4 = ip_address_is_ipv4(&ip);
    size = *is_ipv4 ? 32 : 128;
    if (slash < key.size && !span_parse_u64(span_skip(key, slash + 1), size, &size))
        return false;
    *bits = (unsigned)size;
    return true;
}

static void sizes_add(struct door_sizes *sizes, bool is_ipv4, unsigned bits)
{
    uint64_t *word = is_ipv4 ? &sizes->ipv4 : &sizes->ipv6[bits / 64];
    *word |= UINT64_C(1) << bits % 64;
}

bool door_sizes_have(const struct door_sizes *sizes, struct span key)
{
    bool is_ipv4;
    unsigned bits;
    if (!parse_network(key, &is_ipv4, &bits))
        return false;
    return (is_ipv4 ? sizes->ipv4 : sizes->ipv6[bits / 64]) >> bits % 64 & 1;
}

static int read_servers(struct door_cache *c, enum door_kind kind, struct door_sizes *sizes, bool *has_names)
{
    struct statement *st = database_query(
        c->db, "SELECT name FROM door_item WHERE owner_id = 0 AND level = 0 AND detail = '' AND kind = $1", "u",
        (uint64_t)kind);
    int rc;
    while ((rc = database_step(st)) > 0) {
        bool is_ipv4;
        unsigned bits;
        if (parse_network(database_bytes(st, 0), &is_ipv4, &bits))
            sizes_add(sizes, is_ipv4, bits);
        else
            *has_names = true;
    }
    database_end(st);
    return rc;
}

static int read_patterns(struct door_cache *c)
{
    c->patterns = arena_array(&c->arena, DOOR_PATTERNS_MAX, sizeof(*c->patterns));
    if (!c->patterns)
        return -ENOMEM;
    struct statement *st =
        database_query(c->db,
                       "SELECT name, expires_at FROM door_item WHERE owner_id = 0 AND level = 0 AND detail = ''"
                       " AND kind = 7 AND name LIKE '%*%' ORDER BY id LIMIT $1",
                       "u", (uint64_t)DOOR_PATTERNS_MAX);
    int rc;
    while ((rc = database_step(st)) > 0) {
        struct span text = arena_copy(&c->arena, database_bytes(st, 0));
        if (!text.data) {
            rc = -ENOMEM;
            break;
        }
        c->patterns[c->pattern_count++] = (struct door_pattern){text, database_u64(st, 1)};
    }
    database_end(st);
    return rc;
}

static bool is_protected_by_default(const struct ruleset *set)
{
    return span_is(ruleset_get(set, "protect-my-address")->text, "on");
}

static int read_site(struct door_cache *c)
{
    struct door_owner site = {LEVEL_SITE, 0, {"", 0}};
    struct ruleset *set = arena_alloc(&c->arena, sizeof(*set));
    bool any = false, denied_names = false;
    uint64_t id;
    if (!set)
        return -ENOMEM;
    ruleset_init(set);
    int rc = door_rules_put(c->db, &site, set, &c->arena, &any);
    c->site.set = set;
    rc = rc ? rc : write_rules(set, &c->arena, &c->site.rules);
    rc = rc ? rc : read_kinds(c, &site, &c->site.kinds);
    if (rc == 0 && (c->site.kinds & DOOR_KIND_BIT(DOOR_APPROVED)))
        rc = read_servers(c, DOOR_APPROVED, &c->approved, &c->has_approved_names);
    if (rc == 0 && (c->site.kinds & DOOR_KIND_BIT(DOOR_DENIED)))
        rc = read_servers(c, DOOR_DENIED, &c->denied, &denied_names);
    c->has_denied_names = c->site.kinds & DOOR_KIND_BIT(DOOR_DENIED_NAME);
    if (rc == 0 && c->has_denied_names)
        rc = read_patterns(c);
    if (rc != 0)
        return rc;
    rc = database_find(c->db, &id,
                       "SELECT id FROM door_item WHERE kind = 1 AND name = 'protect-my-address' AND value <> 'off'"
                       " LIMIT 1",
                       "");
    c->anybody_protects = rc > 0 || is_protected_by_default(set);
    return rc < 0 ? rc : 0;
}

int door_cache_refresh(struct door_cache *c)
{
    uint64_t version;
    int rc = database_find(c->db, &version, "SELECT value FROM meta WHERE name = 'door_version'", "");
    if (rc <= 0)
        return rc ? rc : -EIO;
    if (version == c->version && c->domains.count < DOMAINS_MAX)
        return 0;
    forget(c);
    rc = read_site(c);
    c->version = rc ? 0 : version;
    return rc;
}

/* ---- Domains ---- */

static int read_domain(struct door_cache *c, uint64_t domain_id, struct door_base *base)
{
    struct door_owner owner = {LEVEL_DOMAIN, domain_id, {"", 0}};
    uint64_t id;
    *base = (struct door_base){.domain_id = domain_id, .rules = c->site.rules, .set = c->site.set};
    int rc =
        database_find(c->db, &id, "SELECT id FROM door_item WHERE owner_id = $1 AND level = 1 LIMIT 1", "u", domain_id);
    if (rc <= 0)
        return rc;
    struct ruleset *set = arena_alloc(&c->arena, sizeof(*set));
    bool any = false;
    if (!set)
        return -ENOMEM;
    *set = *c->site.set;
    rc = door_rules_put(c->db, &owner, set, &c->arena, &any);
    rc = rc ? rc : read_kinds(c, &owner, &base->kinds);
    if (rc != 0 || !any)
        return rc;
    base->set = set;
    return write_rules(set, &c->arena, &base->rules);
}

int door_cache_domain(struct door_cache *c, uint64_t domain_id, const struct door_base **base)
{
    struct span key = span_from(&domain_id, sizeof(domain_id));
    struct door_base *known = map_get(&c->domains, key);
    *base = known;
    if (known)
        return 0;
    known = arena_alloc(&c->arena, sizeof(*known));
    int rc = known ? read_domain(c, domain_id, known) : -ENOMEM;
    rc = rc ? rc : map_put(&c->domains, key, known);
    /* A half of it must not be taken for the whole next time. */
    if (rc)
        c->version = 0;
    else
        *base = known;
    return rc;
}
