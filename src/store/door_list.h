/* Door items in pages, for people to read. No function waits but for the disk. */
#ifndef STORE_DOOR_LIST_H
#define STORE_DOOR_LIST_H

#include "store/door.h"

#define DOOR_PAGE 1000
#define DOOR_PAGE_BYTES (600u << 10) /* of texts: a page fits a frame, with its owners' names */

struct door_list_query {
    struct span owner;   /* door_owner_find() */
    bool levels_above;   /* its account's, domain's and the site's, too */
    bool everything;     /* all owners'; with an owner or account_id: that account's and all its addresses' */
    uint64_t account_id; /* a person asks: sees their own, and above it what everybody may know. 0: the administrator */
    uint32_t kinds;      /* mask of 1 << kind; 0: all */
    struct span match;   /* this name; "@…" and "*…": those that end so; empty: all */
    uint64_t after_id;
    size_t limit;
};

struct door_listed {
    struct door_item item;
    struct span owner; /* as text */
};

/* The items behind after_id, in the order of ids; a forwarding's settings, which have the id 0, come on the first page.
 * 0; 0 with a sentence in `problem`; a negative errno. */
MUST_USE int door_list(const struct directory *d, const struct door_list_query *query, struct arena *arena,
                       struct door_listed **items, size_t *count, bool *more, struct buf *problem);

#endif
