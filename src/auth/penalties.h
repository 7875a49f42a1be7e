/* How long the answer to a failure is held back. Failures are counted in memory by key (an address, a network, an
 * account); beyond some that go free each more doubles the delay, and each minute forgives one. Times are monotonic
 * nanoseconds. No function waits. */
#ifndef AUTH_PENALTIES_H
#define AUTH_PENALTIES_H

#include "base/list.h"
#include "base/map.h"

/* Past that many keys the one that failed longest ago is forgotten. */
#define PENALTIES_MAX 20000

struct penalties {
    struct map entries;
    struct list_node by_age; /* the last to fail at the end */
};

void penalties_init(struct penalties *p);
void penalties_release(struct penalties *p);
/* Counts a failure. The delay of its answer in nanoseconds: 0 for the first `free_failures` ones, then 0.5 s, 1 s, 2 s,
 * 4 s, 8 s, never more. Without memory it is the longest. */
uint64_t penalties_add(struct penalties *p, struct span key, unsigned free_failures, uint64_t now);
/* Failures that are not forgiven yet. */
unsigned penalties_count(const struct penalties *p, struct span key, uint64_t now);

#endif
