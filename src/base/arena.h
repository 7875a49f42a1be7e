/* An arena: memory that is taken piece by piece and given back all at once, one per connection and per transaction.
 *
 * Pieces are aligned for any type and zeroed. The limit is what the peer whose data it holds may cost us; past it
 * (and when memory runs out) arena_alloc returns NULL. No function here waits.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/span.h"

struct arena_block;

struct arena {
    struct arena_block *block;
    size_t used; /* bytes given out since init or reset */
    size_t limit;
    bool is_full;    /* the limit refused a piece */
    bool is_starved; /* memory ran out before the limit did: what failed for that may work another time */
};

void arena_init(struct arena *a, size_t limit);
/* Gives everything back but one block of ordinary size, which the next transaction uses again. */
void arena_reset(struct arena *a);
void arena_release(struct arena *a);

MUST_USE void *arena_alloc(struct arena *a, size_t size);
/* n elements of `size` bytes, with the multiplication checked. */
MUST_USE void *arena_array(struct arena *a, size_t n, size_t size);
/* A copy of s, with a NUL behind it that is not counted. A failed one is the span {NULL, 0}; an empty one is not. */
MUST_USE struct span arena_copy(struct arena *a, struct span s);
/* The same as a C string, NULL when it failed. */
MUST_USE char *arena_text(struct arena *a, struct span s);

#endif
