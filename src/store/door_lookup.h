/* Look-ups in the lists of door items for one attempt: the keys of its sender and client are made once. No function
 * waits but for the disk. */
#ifndef STORE_DOOR_LOOKUP_H
#define STORE_DOOR_LOOKUP_H

#include "policy/facts.h"
#include "store/door_cache.h"

struct door_lookup {
    struct database *db;
    struct arena *arena;
    uint64_t now; /* seconds since 1970 */
    struct span reverse_path, helo;
    const struct ip_address *ip; /* or NULL */
    struct span *sender_keys;
    size_t sender_key_count;
    const struct list_hit *servers; /* of the site's lists of servers: the same for every recipient */
    size_t server_count;
    bool servers_known;
};

void door_lookup_init(struct door_lookup *l, struct database *db, struct arena *arena, uint64_t now);

/* Which kinds of items each of the owners (an account, then an address of it) has: DOOR_KIND_BIT()s of rule, white,
 * black, known, passcode and address. One seek where there is nothing at all. */
MUST_USE int door_lookup_kinds(struct database *db, const struct door_owner *owners, size_t count, uint32_t *kinds);

/* Appends a hit for each of the lists of `kinds` that has the sender: its narrowest entry. */
MUST_USE int door_lookup_senders(struct door_lookup *l, const struct door_owner *owner, uint32_t kinds,
                                 struct list_hit *hits, size_t room, size_t *count);
/* The site's approved and denied servers: by address, HELO name and the sender's domain. */
MUST_USE int door_lookup_servers(struct door_lookup *l, const struct door_cache *c, struct list_hit *hits, size_t room,
                                 size_t *count);
/* Compares with every code of the owner, in a time that does not tell which one it was or how much of it fits. Leaves
 * *result alone where the code is none of them, or was right already. */
MUST_USE int door_lookup_passcode(struct door_lookup *l, const struct door_owner *owner, struct span code,
                                  enum passcode_fact *result, struct span *name);
/* The first of `keys` that stands in the list and has not expired: 1 with its place, 0, or a negative errno. */
MUST_USE int door_lookup_keys(struct door_lookup *l, const struct door_owner *owner, enum door_kind kind,
                              const struct span *keys, size_t count, size_t *place);

#endif
