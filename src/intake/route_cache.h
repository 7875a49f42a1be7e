/* What route.c remembers for a second: of this folder only. */
#ifndef INTAKE_ROUTE_CACHE_H
#define INTAKE_ROUTE_CACHE_H

#include "intake/route.h"

/* `key`: local@domain of the recipient. Does nothing with a route, or a door, that hangs on more than the address.
 * `by_address_only`: the reader says so of its one door; `sender_elsewhere`: nobody of the sender's domain is protected
 * here. NULL-safe in the cache, as all of this. */
void intake_route_remember(struct intake_route_cache *cache, struct span key, const struct intake_question *question,
                           const struct intake_route *route, bool by_address_only, bool sender_elsewhere);
/* False where it has to be asked. */
bool intake_route_recall(struct intake_route_cache *cache, struct arena *arena, struct span key,
                         const struct intake_question *question, struct intake_route *route);

#endif
