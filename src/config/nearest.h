/* The known name nearest to a mistyped one, for "did you mean …?". Names longer than 64 bytes are near to nothing. No
 * function waits. */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include "base/span.h"

struct nearest {
    struct span wanted;
    const char *best; /* borrowed from the offers */
    size_t distance;
};

void nearest_init(struct nearest *n, struct span wanted);
/* `name` is compared without regard to ASCII case. */
void nearest_offer(struct nearest *n, const char *name);
/* An offer whose likeness to `wanted` is judged by `name`, and which is called `called`: "recipients" for
 * "smtp.recipients". */
void nearest_offer_as(struct nearest *n, const char *name, const char *called);
/* The best offer, or NULL when none is so near that a slip of the fingers explains it (a third of the letters, at least
 * one; or the name's first four letters or more). */
const char *nearest_get(const struct nearest *n);

/* Insertions, deletions, changes and swaps of neighbours between a and b; SIZE_MAX when one is longer than 64 bytes. */
size_t edit_distance(struct span a, struct span b);

#endif
