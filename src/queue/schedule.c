#include "queue/schedule.h"

#include "base/clock.h"

uint64_t schedule_wait(const struct schedule *schedule, unsigned attempts, uint64_t random)
{
    uint64_t longest = schedule->longest < schedule->first ? schedule->first : schedule->longest;
    uint64_t wait = schedule->first;
    for (unsigned i = 1; i < attempts && wait < longest; i++)
        wait *= 2;
    wait = (wait < longest ? wait : longest) * NANOSECONDS;
    uint64_t fifth = wait / 5;
    if (fifth)
        wait = wait - fifth + random % (2 * fifth);
    return wait < NANOSECONDS ? NANOSECONDS : wait;
}

/* Was it tried for half of that time? The waits of schedule_wait at their shortest. */
static bool was_tried(const struct schedule *schedule, unsigned attempts, uint64_t seconds)
{
    uint64_t longest = schedule->longest < schedule->first ? schedule->first : schedule->longest;
    uint64_t wait = schedule->first ? schedule->first : 1, spent = 0;
    for (unsigned i = 1; i < attempts; i++) {
        spent += wait - wait / 5;
        if (spent >= seconds / 2)
            return true;
        wait = wait * 2 < longest ? wait * 2 : longest ? longest : 1;
    }
    return spent >= seconds / 2;
}

enum schedule_step schedule_step(const struct schedule *schedule, uint64_t created_at, uint64_t now, unsigned attempts,
                                 bool was_warned)
{
    uint64_t age = now > created_at ? (now - created_at) / NANOSECONDS : 0;
    if (age >= schedule->give_up && was_tried(schedule, attempts, schedule->give_up))
        return SCHEDULE_GIVE_UP;
    bool is_late = schedule->warn_after && age >= schedule->warn_after && !was_warned;
    return is_late && was_tried(schedule, attempts, schedule->warn_after) ? SCHEDULE_WARN : SCHEDULE_RETRY;
}

uint64_t schedule_next(const struct schedule *schedule, unsigned attempts, uint64_t created_at, uint64_t now,
                       uint64_t not_before, uint64_t random)
{
    uint64_t next = now + schedule_wait(schedule, attempts, random);
    uint64_t end = created_at + schedule->give_up * NANOSECONDS;
    if (next < not_before)
        next = not_before;
    return next > end && end > now ? end : next;
}
