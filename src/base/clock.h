/* Time. Deadlines are on the monotonic clock, dates on the wall clock; both in nanoseconds. Tests may hold both still
 * and move them by hand. No function here waits. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define NANOSECONDS 1000000000ull
/* A deadline that never comes. */
#define CLOCK_NEVER UINT64_MAX

uint64_t clock_monotonic(void);
/* Since 1970-01-01 UTC. */
uint64_t clock_wall(void);
/* Since 1970, too, but it does not jump when somebody sets the wall clock: for all that hangs on age or falls due. It
 * goes with the monotonic clock; proc/clock_keeper.h keeps it near the wall clock. Where no server runs it is that. */
uint64_t clock_steady(void);
/* False for some time after the wall clock jumped for good, or began where it can't have been: what is old by it is not
 * to be deleted. */
bool clock_is_trusted(void);
/* The steady clock; while it is not trusted, at the latest the time when the doubt began: what was good then stays so,
 * and what had ended by then has ended. */
uint64_t clock_sure(void);

/* What the keeper tells all processes, in shared memory. */
struct clock_page {
    _Atomic int64_t offset;        /* of the steady clock, from the monotonic one */
    _Atomic uint64_t trusted_from; /* monotonic */
    _Atomic uint64_t sure;         /* before that: since 1970, it is that late for sure */
};
/* From now on the steady clock is the keeper's. The page stays the caller's. */
void clock_follow(const struct clock_page *page);

static inline uint64_t clock_in_seconds(uint64_t seconds)
{
    return clock_monotonic() + seconds * NANOSECONDS;
}

/* For tests: from now on both clocks stand still and move by clock_fake_advance only. */
void clock_fake_start(uint64_t wall);
void clock_fake_advance(uint64_t nanoseconds);
bool clock_is_fake(void);

#endif
