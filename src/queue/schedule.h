/* When a queue entry is tried again, when its sender is told that it takes long, and when it is given up. Pure: the
 * time, the settings and the chance come in. RFC 5321 section 4.5.4.1. */
#ifndef QUEUE_SCHEDULE_H
#define QUEUE_SCHEDULE_H

#include "base/span.h"

struct schedule {
    uint64_t first, longest;      /* seconds between attempts: doubled from one to the other */
    uint64_t warn_after, give_up; /* seconds since the message came; warn_after 0: never */
};

/* Nanoseconds from the last of `attempts` attempts (at least 1) to the next one, varied by up to a fifth either way, so
 * that what failed together does not come back together. `random` is any number. Never less than a second. */
uint64_t schedule_wait(const struct schedule *schedule, unsigned attempts, uint64_t random);

/* What is to be done with an entry that could not be delivered at `now` (both in nanoseconds since 1970), which was the
 * last of `attempts`. A clock that went ahead by days makes nothing old: nothing is given up, and nobody is told,
 * before it was tried for half of that time, by what lies between attempts at the least. One that went back keeps
 * nothing for ever: where `now` is before created_at, it is over when it was tried for all of that time. */
enum schedule_step {
    SCHEDULE_RETRY,
    SCHEDULE_WARN, /* the same, and its sender is told now */
    SCHEDULE_GIVE_UP,
};
enum schedule_step schedule_step(const struct schedule *schedule, uint64_t created_at, uint64_t now, unsigned attempts,
                                 bool was_warned);

/* The time of the next attempt, nanoseconds since 1970: after the wait, not before `not_before` (its destination's
 * back-off; 0: none), and not after the time to give up, when the last attempt is made. */
uint64_t schedule_next(const struct schedule *schedule, unsigned attempts, uint64_t created_at, uint64_t now,
                       uint64_t not_before, uint64_t random);

#endif
