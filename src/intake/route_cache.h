/* What route.c remembers for a second: of this folder only. */
#ifndef INTAKE_ROUTE_CACHE_H
#define INTAKE_ROUTE_CACHE_H

#include "intake/route.h"

/* `key`: local@domain of the recipient. Does nothing with a route that hangs on more than the address.
 * `by_address_only`: the reader says of its one door that it is the same for all senders, none of whom is protected
 * here; another door is asked for each time. NULL-safe in the cache, as all of this. */
void intake_route_remember(struct intake_route_cache *cache, struct span key, const struct intake_question *question,
                           const struct intake_route *route, bool by_address_only);
/* False where it has to be asked. */
bool intake_route_recall(struct intake_route_cache *cache, struct arena *arena, struct span key,
                         const struct intake_question *question, struct intake_route *route);

#endif
