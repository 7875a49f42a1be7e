/* The site's own black list, as processes look into it: one flat, pointer-free blob that the supervisor's helper
 * compiled from text files (policy/blacklist_text.h, policy/blacklist_compile.h) and that is handed out as a sealed
 * memfd.
 *
 * Addresses are sorted, disjoint ranges in which exceptions ("!" entries) are resolved already; names (of PTR records)
 * are found by their tails, so that a look-up takes microseconds whatever the size of the list. The blob is believed to
 * be damaged until blacklist_open has looked at every offset in it, once. Nothing here waits or allocates but
 * blacklist_open and blacklist_map.
 *
 * An exception wins over every listing, also one by name over one by address and the other way round: whoever knows
 * both the address and the checked name of a client asks for both and lets blacklist_decide say which one holds.
 */
#ifndef POLICY_BLACKLIST_H
#define POLICY_BLACKLIST_H

#include "base/span.h"

struct blacklist;

enum blacklist_verdict {
    BLACKLIST_NOTHING,  /* no entry speaks of it */
    BLACKLIST_LISTED,   /* refused */
    BLACKLIST_EXCEPTED, /* let in, whatever else lists it */
};

/* Which entry decided. The spans point into the list and stay good as long as it does. Only with a verdict other than
 * BLACKLIST_NOTHING. */
struct blacklist_hit {
    enum blacklist_verdict verdict;
    struct span reason; /* the entry's own words ("spam source, 2026-10-02"); often empty. Printable, no line breaks */
    struct span file;   /* the path of the file that has the entry */
    uint32_t line;      /* from 1 */
};

/* A view of `blob` (borrowed; it must stay unchanged as long as the list is used; 8-byte aligned). NULL when it is no
 * list of this version, is damaged, or there is no memory. */
MUST_USE struct blacklist *blacklist_open(struct span blob);
/* The same from a sealed memfd (borrowed), which is mapped. NULL also when the descriptor's seals don't keep its
 * content and size as they are. */
MUST_USE struct blacklist *blacklist_map(int fd);
/* NULL-safe; unmaps what blacklist_map mapped. */
void blacklist_close(struct blacklist *list);

/* `address`: 16 bytes in network order, IPv4 mapped (struct ip_address). `list` NULL: an empty list. */
enum blacklist_verdict blacklist_find_address(const struct blacklist *list, const unsigned char address[16],
                                              struct blacklist_hit *hit);
/* `name`: a host name as DNS gives it, in any case, with or without its last dot; longer than 255 bytes matches
 * nothing. `list` NULL: an empty list. */
enum blacklist_verdict blacklist_find_name(const struct blacklist *list, struct span name, struct blacklist_hit *hit);
/* Of an address's hit and its name's the one that holds: an exception, else a listing (the address's first). */
const struct blacklist_hit *blacklist_decide(const struct blacklist_hit *address, const struct blacklist_hit *name);

/* How many ranges of addresses, and how many names and patterns, it has. `list` NULL: none. */
size_t blacklist_range_count(const struct blacklist *list);
size_t blacklist_name_count(const struct blacklist *list);
/* The range number `number` (below the count; those of IPv4 first, each family rising): its ends, and what decides
 * about all addresses in it. Neighbours may have the same verdict. */
void blacklist_range_get(const struct blacklist *list, size_t number, unsigned char first[16], unsigned char last[16],
                         struct blacklist_hit *hit);

#endif
