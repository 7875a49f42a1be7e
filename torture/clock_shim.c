/* Sets the wall clock of a whole server: loaded by LD_PRELOAD in front of the C library. OSTIARY_CLOCK names a file of
 * one page, mapped before the sandbox closes, whose first number is how many nanoseconds the wall clock is ahead. The
 * monotonic clock stays as it is: nobody can set that. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ll
#define EXPORTED __attribute__((visibility("default")))

static _Atomic int64_t *ahead;
static int (*next_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("OSTIARY_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    next_gettime = (__typeof__(next_gettime))dlsym(RTLD_NEXT, "clock_gettime");
    if (path && (page == MAP_FAILED || !next_gettime)) {
        fprintf(stderr, "clock shim: %s can't be mapped\n", path);
        _exit(99);
    }
    if (path)
        ahead = page;
    if (fd >= 0)
        close(fd);
}

EXPORTED int clock_gettime(clockid_t id, struct timespec *now)
{
    if (!next_gettime) /* before the constructor, where somebody else's runs first */
        next_gettime = (__typeof__(next_gettime))dlsym(RTLD_NEXT, "clock_gettime");
    int result = next_gettime(id, now);
    if (result || !ahead || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE))
        return result;
    int64_t moved = (int64_t)now->tv_sec * SECOND + now->tv_nsec + atomic_load(ahead);
    now->tv_sec = moved / SECOND;
    now->tv_nsec = moved % SECOND;
    return 0;
}

EXPORTED time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}

EXPORTED int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}
