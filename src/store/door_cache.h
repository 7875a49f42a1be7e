/* What a reader keeps in memory of the doors of the site and the domains: rules merged, which kinds of lists there are,
 * patterns of host names. Good as long as meta's door_version stays; bounded. What accounts have set is asked of the
 * database each time. No function waits but for the disk. */
#ifndef STORE_DOOR_CACHE_H
#define STORE_DOOR_CACHE_H

#include "policy/ruleset.h"
#include "store/door.h"

#define DOOR_KIND_BIT(kind) (1u << (kind))

struct door_pattern {
    struct span text;
    uint64_t expires_at; /* seconds since 1970; 0: never */
};

/* Of a domain, or of the site. */
struct door_base {
    uint64_t domain_id; /* 0: the site */
    uint32_t kinds;     /* DOOR_KIND_BIT()s of what the domain (the site) itself has; rules left out */
    struct span rules;  /* what travels: ruleset_write() of `set` */
    const struct ruleset *set;
};

struct door_cache {
    struct database *db;
    uint64_t version; /* 0: empty */
    struct arena arena;
    struct map domains; /* 8-byte id -> struct door_base in the arena */
    struct door_base site;
    struct door_pattern *patterns; /* DOOR_DENIED_NAME with "*" */
    size_t pattern_count;
    bool has_approved_names, has_denied_names;
    bool anybody_protects; /* somebody at some level has protect-my-address on */
    /* How many bits the networks in the lists of servers have: bit n of a /n; a single address is 32 or 128. Spares
     * look-ups: most lists have two or three sizes. */
    struct door_sizes {
        uint64_t ipv4, ipv6[3];
    } approved, denied;
};

void door_cache_init(struct door_cache *c, struct database *db);
void door_cache_release(struct door_cache *c);
/* Looks whether it is still good, and makes it anew where not. 0 or a negative errno. */
MUST_USE int door_cache_refresh(struct door_cache *c);
/* The base of a domain: valid until the next refresh. 0 or a negative errno. */
MUST_USE int door_cache_domain(struct door_cache *c, uint64_t domain_id, const struct door_base **base);
/* Could an entry "192.0.2.0/24" (or an address) be in the list? */
bool door_sizes_have(const struct door_sizes *sizes, struct span key);

/* Puts the owner's rules over `set`. *any: there are some. The texts are in the arena. */
MUST_USE int door_rules_put(struct database *db, const struct door_owner *owner, struct ruleset *set,
                            struct arena *arena, bool *any);

#endif
