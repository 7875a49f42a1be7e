/* How often something was done in a minute, by key: so that nobody can make us ask one server again and again. Bounded:
 * the key whose minute began first is forgotten. No function waits.
 */
#ifndef DELIVER_RATES_H
#define DELIVER_RATES_H

#include "base/list.h"
#include "base/map.h"

#define RATES_MAX 10000

struct rates {
    struct map map;
    struct list_node by_age;
};

void rates_init(struct rates *r);
/* Counts one, unless there were `most` in the minute that began with the first of them: then false. Also false without
 * memory. */
MUST_USE bool rates_take(struct rates *r, struct span key, unsigned most, uint64_t now);

#endif
