/* How many recipients at other sites each account sent to today (UTC): submission.daily_recipients. The counts are in
 * the database only. No function waits but for the disk. */
#ifndef STORE_SENT_H
#define STORE_SENT_H

#include "store/core.h"

/* How many the account may still send to today, of `limit` (0 = none: UINT32_MAX). 0 or a negative errno. */
MUST_USE int sent_left(struct database *db, uint64_t account_id, unsigned limit, uint32_t *left);
/* Counts them. In a batch. */
MUST_USE int sent_add(struct store *s, uint64_t account_id, uint64_t recipients);

#endif
