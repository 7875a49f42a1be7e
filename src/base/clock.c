#include "base/clock.h"

#include <time.h>

static bool fake;
static uint64_t fake_monotonic, fake_wall;
static const struct clock_page *kept;

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic(void)
{
    return fake ? fake_monotonic : read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall(void)
{
    return fake ? fake_wall : read_clock(CLOCK_REALTIME);
}

uint64_t clock_steady(void)
{
    if (fake || !kept)
        return clock_wall();
    /* Who sees the time behind a jump sees the doubt, too. */
    return clock_monotonic() + (uint64_t)atomic_load_explicit(&kept->offset, memory_order_acquire);
}

bool clock_is_trusted(void)
{
    return !kept || clock_monotonic() >= atomic_load_explicit(&kept->trusted_from, memory_order_relaxed);
}

uint64_t clock_sure(void)
{
    uint64_t steady = clock_steady();
    if (clock_is_trusted())
        return steady;
    uint64_t sure = atomic_load_explicit(&kept->sure, memory_order_relaxed);
    return steady < sure ? steady : sure;
}

void clock_follow(const struct clock_page *page)
{
    kept = page;
}

void clock_fake_start(uint64_t wall)
{
    fake_monotonic = read_clock(CLOCK_MONOTONIC);
    fake_wall = wall;
    fake = true;
}

void clock_fake_advance(uint64_t nanoseconds)
{
    fake_monotonic += nanoseconds;
    fake_wall += nanoseconds;
}

bool clock_is_fake(void)
{
    return fake;
}
