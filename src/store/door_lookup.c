#include "store/door_lookup.h"

#include "store/door_judge.h"

#include <errno.h>

#define KEYS_AT_ONCE 8
#define PASSCODE_BYTES 64 /* longer ones are none of ours */

static const struct door_owner the_site = {LEVEL_SITE, 0, {"", 0}};

void door_lookup_init(struct door_lookup *l, struct database *db, struct arena *arena, uint64_t now)
{
    *l = (struct door_lookup){.db = db, .arena = arena, .now = now};
}

#define HAS(kind) \
    "EXISTS (SELECT 1 FROM door_item WHERE owner_id = $1 AND level = $2 AND detail = $3 AND kind = " #kind ")"

int door_lookup_kinds(struct database *db, const struct door_owner *owners, size_t count, uint32_t *kinds)
{
    uint64_t any;
    int rc = database_find(db, &any, "SELECT 1 FROM door_item WHERE owner_id = $1 LIMIT 1", "u", owners[0].id);
    for (size_t i = 0; rc > 0 && i < count; i++) {
        uint64_t mask = 0;
        rc = database_find(db, &mask,
                           "SELECT 2 * " HAS(1) " + 4 * " HAS(2) " + 8 * " HAS(3) " + 16 * " HAS(4) " + 256 * " HAS(
                               8) " + 1024 * " HAS(10),
                           "uut", owners[i].id, (uint64_t)owners[i].level, owners[i].detail);
        kinds[i] = (uint32_t)mask;
    }
    return rc < 0 ? rc : 0;
}

/* Up to KEYS_AT_ONCE of them: the place of the first that is there, `count` where none is. */
static int find_some(struct door_lookup *l, const struct door_owner *owner, enum door_kind kind,
                     const struct span *keys, size_t count, size_t *place)
{
    struct span k[KEYS_AT_ONCE];
    for (size_t i = 0; i < KEYS_AT_ONCE; i++)
        k[i] = keys[i < count ? i : 0];
    struct statement *st =
        database_query(l->db,
                       "SELECT name FROM door_item WHERE owner_id = $1 AND level = $2 AND detail = $3 AND kind = $4"
                       " AND name IN ($5, $6, $7, $8, $9, $10, $11, $12) AND (expires_at = 0 OR expires_at > $13)",
                       "uututtttttttu", owner->id, (uint64_t)owner->level, owner->detail, (uint64_t)kind, k[0], k[1],
                       k[2], k[3], k[4], k[5], k[6], k[7], l->now);
    int rc;
    *place = count;
    while ((rc = database_step(st)) > 0)
        for (size_t i = 0; i < *place; i++)
            if (span_equal(keys[i], database_bytes(st, 0)))
                *place = i;
    database_end(st);
    return rc;
}

int door_lookup_keys(struct door_lookup *l, const struct door_owner *owner, enum door_kind kind,
                     const struct span *keys, size_t count, size_t *place)
{
    for (size_t i = 0; i < count; i += KEYS_AT_ONCE) {
        size_t some = count - i < KEYS_AT_ONCE ? count - i : KEYS_AT_ONCE, found;
        int rc = find_some(l, owner, kind, keys + i, some, &found);
        if (rc < 0)
            return rc;
        *place = i + found;
        if (found < some)
            return 1;
    }
    return 0;
}

static void add_hit(struct list_hit *hits, size_t room, size_t *count, enum list_kind kind, unsigned level,
                    struct span entry)
{
    if (*count < room)
        hits[(*count)++] = (struct list_hit){kind, level, entry};
}

static int make_sender_keys(struct door_lookup *l)
{
    if (l->sender_keys)
        return 0;
    l->sender_keys = arena_array(l->arena, DOOR_KEYS_MAX, sizeof(*l->sender_keys));
    if (!l->sender_keys)
        return -ENOMEM;
    int count = door_sender_keys(l->reverse_path, l->ip, l->arena, l->sender_keys, DOOR_KEYS_MAX);
    l->sender_key_count = count < 0 ? 0 : (size_t)count;
    return count < 0 ? count : 0;
}

int door_lookup_senders(struct door_lookup *l, const struct door_owner *owner, uint32_t kinds, struct list_hit *hits,
                        size_t room, size_t *count)
{
    static const struct {
        enum door_kind kind;
        enum list_kind list;
    } lists[] = {{DOOR_WHITE, LIST_KIND_WHITE}, {DOOR_BLACK, LIST_KIND_BLACK}, {DOOR_KNOWN, LIST_KIND_KNOWN}};
    if (kinds == 0 || l->reverse_path.size == 0)
        return 0;
    int rc = make_sender_keys(l);
    for (size_t i = 0; rc >= 0 && i < sizeof(lists) / sizeof(lists[0]); i++) {
        size_t place = 0;
        if (!(kinds & DOOR_KIND_BIT(lists[i].kind)))
            continue;
        rc = door_lookup_keys(l, owner, lists[i].kind, l->sender_keys, l->sender_key_count, &place);
        if (rc > 0)
            add_hit(hits, room, count, lists[i].list, owner->level, l->sender_keys[place]);
    }
    return rc < 0 ? rc : 0;
}

/* ---- Servers ---- */

static int find_address(struct door_lookup *l, enum door_kind kind, const struct door_sizes *sizes,
                        struct list_hit *hits, size_t *count)
{
    struct span *keys = l->ip ? arena_array(l->arena, DOOR_KEYS_MAX, sizeof(*keys)) : NULL;
    if (!keys)
        return l->ip ? -ENOMEM : 0;
    int rc = door_address_keys(l->ip, l->arena, keys, DOOR_KEYS_MAX);
    size_t all = rc < 0 ? 0 : (size_t)rc, kept = 0, place = 0;
    for (size_t i = 0; i < all; i++)
        if (door_sizes_have(sizes, keys[i]))
            keys[kept++] = keys[i];
    rc = rc < 0 ? rc : door_lookup_keys(l, &the_site, kind, keys, kept, &place);
    if (rc > 0)
        add_hit(hits, LIST_HITS_MAX, count, kind == DOOR_APPROVED ? LIST_KIND_APPROVED : LIST_KIND_DENIED, LEVEL_SITE,
                keys[place]);
    return rc < 0 ? rc : 0;
}

/* A HELO name or the sender's domain in the list of denied ones. */
static int find_denied_name(struct door_lookup *l, struct span name, struct list_hit *hits, size_t *count)
{
    size_t place = 0;
    struct span *keys = name.size ? arena_array(l->arena, DOOR_KEYS_MAX, sizeof(*keys)) : NULL;
    if (!keys)
        return name.size ? -ENOMEM : 0;
    int rc = door_host_keys(name, l->arena, keys, DOOR_KEYS_MAX);
    rc = rc < 0 ? rc : door_lookup_keys(l, &the_site, DOOR_DENIED, keys, (size_t)rc, &place);
    if (rc > 0)
        add_hit(hits, LIST_HITS_MAX, count, LIST_KIND_DENIED, LEVEL_SITE, keys[place]);
    return rc < 0 ? rc : 0;
}

static int find_servers(struct door_lookup *l, const struct door_cache *c, struct list_hit *hits, size_t *count)
{
    struct span local_part, domain = {NULL, 0};
    int rc = 0;
    if (c->site.kinds & DOOR_KIND_BIT(DOOR_APPROVED))
        rc = find_address(l, DOOR_APPROVED, &c->approved, hits, count);
    if (rc != 0 || !(c->site.kinds & DOOR_KIND_BIT(DOOR_DENIED)))
        return rc;
    rc = find_address(l, DOOR_DENIED, &c->denied, hits, count);
    rc = rc ? rc : find_denied_name(l, l->helo, hits, count);
    if (rc == 0 && directory_split(l->reverse_path, &local_part, &domain))
        rc = find_denied_name(l, domain, hits, count);
    return rc;
}

int door_lookup_servers(struct door_lookup *l, const struct door_cache *c, struct list_hit *hits, size_t room,
                        size_t *count)
{
    if (!(c->site.kinds & (DOOR_KIND_BIT(DOOR_APPROVED) | DOOR_KIND_BIT(DOOR_DENIED))))
        return 0;
    if (!l->servers_known) {
        struct list_hit *found = arena_array(l->arena, LIST_HITS_MAX, sizeof(*found));
        int rc = found ? find_servers(l, c, found, &l->server_count) : -ENOMEM;
        if (rc != 0)
            return rc;
        l->servers = found;
        l->servers_known = true;
    }
    for (size_t i = 0; i < l->server_count; i++)
        add_hit(hits, room, count, l->servers[i].kind, l->servers[i].level, l->servers[i].entry);
    return 0;
}

/* The site's patterns of denied names. */
static int match_patterns(const struct door_cache *c, struct span name, uint64_t now, struct arena *arena,
                          struct span *entry)
{
    for (size_t i = 0; i < c->pattern_count; i++) {
        const struct door_pattern *p = &c->patterns[i];
        if ((p->expires_at && p->expires_at <= now) || !door_name_matches(p->text, name))
            continue;
        *entry = arena_copy(arena, p->text);
        return entry->data ? 1 : -ENOMEM;
    }
    return 0;
}

int door_name_hits(struct door_cache *c, struct span name, bool proven, uint64_t now, struct arena *arena,
                   struct list_hit *hits, size_t room, size_t *count)
{
    struct door_lookup l;
    size_t place = 0;
    struct span entry, *keys = arena_array(arena, DOOR_NAME_KEYS_MAX, sizeof(*keys));
    int rc = keys ? door_cache_refresh(c) : -ENOMEM;
    *count = 0;
    if (rc != 0)
        return rc;
    door_lookup_init(&l, c->db, arena, now);
    if (proven && c->has_approved_names) {
        rc = door_host_keys(name, arena, keys, DOOR_KEYS_MAX);
        rc = rc < 0 ? rc : door_lookup_keys(&l, &the_site, DOOR_APPROVED, keys, (size_t)rc, &place);
        if (rc > 0)
            add_hit(hits, room, count, LIST_KIND_APPROVED, LEVEL_SITE, keys[place]);
    }
    if (rc < 0 || !c->has_denied_names)
        return rc < 0 ? rc : 0;
    rc = door_name_keys(name, arena, keys, DOOR_NAME_KEYS_MAX);
    rc = rc < 0 ? rc : door_lookup_keys(&l, &the_site, DOOR_DENIED_NAME, keys, (size_t)rc, &place);
    if (rc > 0)
        entry = keys[place];
    else if (rc == 0)
        rc = match_patterns(c, name, now, arena, &entry);
    if (rc > 0)
        add_hit(hits, room, count, LIST_KIND_DENIED_NAME, LEVEL_SITE, entry);
    return rc < 0 ? rc : 0;
}

/* ---- Passcodes ---- */

static bool is_equal(struct span a, struct span b)
{
    char x[PASSCODE_BYTES] = {0}, y[PASSCODE_BYTES] = {0};
    size_t size = a.size < PASSCODE_BYTES ? a.size : PASSCODE_BYTES;
    if (size)
        memcpy(x, a.data, size);
    size = b.size < PASSCODE_BYTES ? b.size : PASSCODE_BYTES;
    if (size)
        memcpy(y, b.data, size);
    bool same = span_equal_secret(span_from(x, sizeof(x)), span_from(y, sizeof(y)));
    explicit_bzero(x, sizeof(x));
    explicit_bzero(y, sizeof(y));
    return same & (a.size == b.size) & (a.size <= PASSCODE_BYTES);
}

int door_lookup_passcode(struct door_lookup *l, const struct door_owner *owner, struct span code,
                         enum passcode_fact *result, struct span *name)
{
    if (code.size == 0)
        return 0;
    struct statement *st =
        database_query(l->db,
                       "SELECT name, value, expires_at FROM door_item WHERE owner_id = $1"
                       " AND level = $2 AND detail = $3 AND kind = 8 ORDER BY name LIMIT $4",
                       "uutu", owner->id, (uint64_t)owner->level, owner->detail, (uint64_t)DOOR_PASSCODES_MAX);
    int rc;
    while ((rc = database_step(st)) > 0) {
        uint64_t expires_at = database_u64(st, 2);
        bool expired = expires_at != 0 && expires_at <= l->now;
        if (!is_equal(database_bytes(st, 1), code) || *result == PASSCODE_RIGHT)
            continue;
        *result = expired ? PASSCODE_EXPIRED : PASSCODE_RIGHT;
        *name = arena_copy(l->arena, database_bytes(st, 0));
        if (!name->data) {
            rc = -ENOMEM;
            break;
        }
    }
    database_end(st);
    return rc;
}
