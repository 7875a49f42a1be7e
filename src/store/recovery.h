/* What a start does with the volumes: finds the newest, cuts off what was never acknowledged, finishes a removal. Waits
 * for the disk. */
#ifndef STORE_RECOVERY_H
#define STORE_RECOVERY_H

#include "store/core.h"

/* With the lock held and the database migrated. 0, or a negative errno with a sentence. */
MUST_USE int store_recover(struct store *s, struct buf *problem);

#endif
