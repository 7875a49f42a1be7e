/* What the commands about aliases and about forwarding, which is an alias, share. */
#ifndef CTL_ALIAS_H
#define CTL_ALIAS_H

#include "base/arena.h"
#include "ctl/ctl.h"
#include "ctl/json.h"
#include "store_write.pb-c.h"

/* The targets behind the first argument; `first` goes before them, where it is not empty. Memory is the arena's. 0 or
 * an exit status with the sentence. */
MUST_USE int alias_take_targets(struct ctl *ctl, struct arena *arena, struct span first, StoreWrite__Alias *alias);
/* "info@example.org -> alice@example.org", or as JSON. */
void alias_write(struct ctl *ctl, struct json *json, const StoreWrite__Alias *alias);

#endif
