/* How many recipients at other sites each account sent to in a day (UTC): submission.daily_recipients. Mail that may
 * wait is counted for the day on which it goes out. The counts are in the database only. No function waits but for the
 * disk. */
#ifndef STORE_SENT_H
#define STORE_SENT_H

#include "base/clock.h"
#include "store/core.h"

#define SENT_DAY (86400ull * NANOSECONDS)

/* Days since 1970. */
uint64_t sent_today(void);
/* How many the account may still send to on that day, of `limit` (0 = none: UINT32_MAX). 0 or a negative errno. */
MUST_USE int sent_left(struct database *db, uint64_t account_id, uint64_t day, unsigned limit, uint32_t *left);
/* The first day behind `today` that has room for so many and begins before `until` (nanoseconds since 1970). 1 with the
 * day; 0: there is none; or a negative errno. */
MUST_USE int sent_day_with_room(struct database *db, uint64_t account_id, uint64_t today, unsigned limit,
                                uint64_t recipients, uint64_t until, uint64_t *day);
/* Counts them, for today or a day to come. In a batch. */
MUST_USE int sent_add(struct store *s, uint64_t account_id, uint64_t day, uint64_t recipients);

#endif
