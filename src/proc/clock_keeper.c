#include "proc/clock_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t away(int64_t a, int64_t b)
{
    return a < b ? b - a : a - b;
}

static bool is_near(int64_t a, int64_t b)
{
    return away(a, b) <= (int64_t)(CLOCK_JUMP_SECONDS * NANOSECONDS);
}

static void publish(struct clock_keeper *k, const struct clock_readings *now)
{
    int64_t slept = (int64_t)(now->boot - now->monotonic);
    atomic_store_explicit(&k->page->offset, k->base + slept, memory_order_release);
}

/* `sure`: the last time that nobody doubts. Another doubt that comes before the end of the first does not move it. */
static void doubt(struct clock_keeper *k, const struct clock_readings *now, uint64_t sure)
{
    if (now->monotonic >= atomic_load_explicit(&k->page->trusted_from, memory_order_relaxed))
        atomic_store_explicit(&k->page->sure, sure, memory_order_relaxed);
    atomic_store_explicit(&k->page->trusted_from, now->monotonic + CLOCK_DOUBT_SECONDS * NANOSECONDS,
                          memory_order_relaxed);
}

/* Further than a clock that runs badly may be: it was not set yet. */
static bool is_behind(uint64_t last_used, const struct clock_readings *now)
{
    return last_used > now->wall + CLOCK_BELIEVED_SECONDS * NANOSECONDS;
}

int clock_keeper_init(struct clock_keeper *k, const struct clock_readings *now, uint64_t last_used, bool *in_doubt)
{
    *k = (struct clock_keeper){.fd = memfd_create("ostiary-clock", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    void *page = k->fd < 0 || ftruncate(k->fd, sizeof *k->page) < 0
                     ? MAP_FAILED
                     : mmap(NULL, sizeof *k->page, PROT_READ | PROT_WRITE, MAP_SHARED, k->fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    k->page = page;
    /* Ours is the last mapping that may write. */
    if (fcntl(k->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    k->base = (int64_t)(now->wall - now->boot);
    publish(k, now);
    k->behind = is_behind(last_used, now) ? last_used : 0;
    *in_doubt = k->behind || (last_used && now->wall > last_used + CLOCK_AWAY_SECONDS * NANOSECONDS);
    if (*in_doubt)
        doubt(k, now, last_used);
    clock_follow(k->page);
    return 0;
}

void clock_keeper_release(struct clock_keeper *k)
{
    if (k->page) {
        clock_follow(NULL);
        munmap(k->page, sizeof *k->page);
    }
    if (k->fd >= 0)
        close(k->fd);
    *k = (struct clock_keeper){.fd = -1};
}

static void believe(struct clock_keeper *k, const struct clock_readings *now, int64_t base, uint64_t sure)
{
    doubt(k, now, sure);
    k->base = base;
    k->since = 0;
}

static enum clock_change look_elsewhere(struct clock_keeper *k, const struct clock_readings *now, int64_t base)
{
    if (!k->since || !is_near(base, k->elsewhere)) {
        k->elsewhere = base;
        k->since = now->boot ? now->boot : 1;
        return CLOCK_JUMPED;
    }
    k->elsewhere = base;
    if (now->boot - k->since < CLOCK_BELIEVED_SECONDS * NANOSECONDS)
        return CLOCK_SAME;
    believe(k, now, base, now->boot + (uint64_t)k->base);
    return CLOCK_BELIEVED;
}

enum clock_change clock_keeper_look(struct clock_keeper *k, const struct clock_readings *now, int64_t *nanoseconds)
{
    int64_t base = (int64_t)(now->wall - now->boot);
    enum clock_change change = CLOCK_SAME;
    uint64_t behind = k->behind;
    k->behind = is_behind(behind, now) ? behind : 0;
    *nanoseconds = base - k->base;
    if (is_near(base, k->base)) {
        change = k->since ? CLOCK_RETURNED : CLOCK_SAME;
        k->since = 0;
        k->base = base;
    } else if (behind && !k->behind) {
        /* As at a start: all ages hang on the time that it had before, not on where it began. */
        believe(k, now, base, behind);
        change = CLOCK_MENDED;
    } else {
        change = look_elsewhere(k, now, base);
    }
    publish(k, now);
    return change;
}

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NANOSECONDS + (uint64_t)now.tv_nsec;
}

struct clock_readings clock_read_all(void)
{
    return (struct clock_readings){
        .monotonic = read_clock(CLOCK_MONOTONIC), .boot = read_clock(CLOCK_BOOTTIME), .wall = clock_wall()};
}

int clock_keeper_follow(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || (uint64_t)status.st_size < sizeof(struct clock_page))
        return -EINVAL;
    void *page = mmap(NULL, sizeof(struct clock_page), PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    clock_follow(page); /* for as long as the process lives */
    return 0;
}
