/* How long the answer to a failed login is held back. Failures are counted in memory by key (an address, a name); each
 * more doubles the delay, each minute forgives one. Only failures are delayed: whoever knows the password never waits,
 * whatever others try on the account. Times are monotonic nanoseconds. No function waits.
 */
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
/* Counts a failure. The delay of its answer in nanoseconds: 0, then 0.5 s, 1 s, 2 s, 4 s, 8 s, never more. Without
 * memory it is the longest. */
uint64_t penalties_add(struct penalties *p, struct span key, uint64_t now);
/* Failures that are not forgiven yet. */
unsigned penalties_count(const struct penalties *p, struct span key, uint64_t now);

#endif
