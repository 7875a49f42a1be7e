/* Time. Deadlines are on the monotonic clock, dates on the wall clock; both in nanoseconds. Tests may hold both still
 * and move them by hand. No function here waits. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NANOSECONDS 1000000000ull
/* A deadline that never comes. */
#define CLOCK_NEVER UINT64_MAX

uint64_t clock_monotonic(void);
/* Since 1970-01-01 UTC. */
uint64_t clock_wall(void);

static inline uint64_t clock_in_seconds(uint64_t seconds)
{
    return clock_monotonic() + seconds * NANOSECONDS;
}

/* For tests: from now on both clocks stand still and move by clock_fake_advance only. */
void clock_fake_start(uint64_t wall);
void clock_fake_advance(uint64_t nanoseconds);
bool clock_is_fake(void);

#endif
