/* Bounces of a mailing list's copies: counted at the member they were for. */
#ifndef STORE_LIST_BOUNCE_H
#define STORE_LIST_BOUNCE_H

#include "store/core.h"

/* Enough of them (courier.list_bounces) suspend the member, which a rebuild keeps as well; every thirty days the counts
 * of all who are not suspended are halved. In a batch. 1, also when the member has left meanwhile; 0 when the list is
 * gone; a negative errno. */
MUST_USE int list_bounce_count(struct store *s, uint64_t list_id, uint64_t member);

#endif
