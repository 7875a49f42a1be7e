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

/* Was it tried for so long? The waits of schedule_wait at their shortest. */
static bool was_tried(const struct schedule *schedule, unsigned attempts, uint64_t seconds)
{
    uint64_t longest = schedule->longest < schedule->first ? schedule->first : schedule->longest;
    uint64_t wait = schedule->first ? schedule->first : 1, spent = 0;
    for (unsigned i = 1; i < attempts; i++) {
        spent += wait - wait / 5;
        if (spent >= seconds)
            return true;
        wait = wait * 2 < longest ? wait * 2 : longest ? longest : 1;
    }
    return spent >= seconds;
}

/* A clock that went ahead makes nothing old that was not tried for half of the time. It went back where the entry is of
 * the future: then its age says nothing, and the attempts alone tell. */
static bool is_over(const struct schedule *schedule, uint64_t created_at, uint64_t now, unsigned attempts,
                    uint64_t seconds)
{
    if (created_at > now)
        return was_tried(schedule, attempts, seconds);
    return (now - created_at) / NANOSECONDS >= seconds && was_tried(schedule, attempts, seconds / 2);
}

enum schedule_step schedule_step(const struct schedule *schedule, uint64_t created_at, uint64_t now, unsigned attempts,
                                 bool was_warned)
{
    if (is_over(schedule, created_at, now, attempts, schedule->give_up))
        return SCHEDULE_GIVE_UP;
    bool is_told = schedule->warn_after == 0 || was_warned;
    return !is_told && is_over(schedule, created_at, now, attempts, schedule->warn_after) ? SCHEDULE_WARN
                                                                                          : SCHEDULE_RETRY;
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
