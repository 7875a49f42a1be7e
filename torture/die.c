/* Kills the process that has the store at its k-th change of the disk: loaded by LD_PRELOAD in front of the C library,
 * told by a page of shared memory.
 *
 * Between two such calls a process changes nothing that outlives it, so to die at each of them is to die at every
 * instant that can be told apart afterwards, each statement of the database's among them. OSTIARY_FAULTS names a file
 * of one page. Whoever holds the other end of it sets `at` last: 0 counts only.
 */
/* Both names of each call are made here, so neither may stand for the other. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* torture/upgrade.py knows this layout. */
struct page {
    _Atomic uint32_t at;    /* which call is the last one; 0: none */
    _Atomic uint32_t half;  /* 1: half of what the call would have written is written; 0: it never happened */
    _Atomic uint32_t count; /* calls so far */
    _Atomic uint32_t died;  /* processes */
};

static struct page *page;

/* The writer, or a command of the command line that has the store to itself: no other process changes it. */
static int has_store(void)
{
    static const char writer[] = "ostiary\0process\0writer";
    char words[256] = "";
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, words, sizeof words - 1);
    if (size < 0)
        _exit(99);
    close(fd);
    const char *verb = words + strlen(words) + 1;
    return !memcmp(words, writer, sizeof writer) || !strcmp(verb, "store");
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("OSTIARY_FAULTS");
    if (!path || !has_store())
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        fprintf(stderr, "die: %s: %s\n", path, strerror(errno));
        _exit(99);
    }
    close(fd);
    page = map;
}

static void die(void)
{
    atomic_fetch_add(&page->died, 1);
    /* The sandbox allows a signal to oneself, and no waiting for one. */
    for (;;)
        raise(SIGKILL);
}

/* Is this the last call? */
static int is_last(void)
{
    return page && atomic_fetch_add(&page->count, 1) + 1 == atomic_load(&page->at);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define EXPORTED __attribute__((visibility("default")))
#define BEFORE     \
    if (is_last()) \
    die()

EXPORTED int fdatasync(int fd)
{
    BEFORE;
    return NEXT(fdatasync)(fd);
}

EXPORTED int fsync(int fd)
{
    BEFORE;
    return NEXT(fsync)(fd);
}

EXPORTED int ftruncate(int fd, off_t size)
{
    BEFORE;
    return NEXT(ftruncate)(fd, size);
}

EXPORTED int ftruncate64(int fd, off64_t size)
{
    BEFORE;
    return NEXT(ftruncate64)(fd, size);
}

EXPORTED int unlink(const char *path)
{
    BEFORE;
    return NEXT(unlink)(path);
}

EXPORTED int unlinkat(int at, const char *path, int flags)
{
    BEFORE;
    return NEXT(unlinkat)(at, path, flags);
}

EXPORTED int rename(const char *from, const char *to)
{
    BEFORE;
    return NEXT(rename)(from, to);
}

EXPORTED int renameat(int from_at, const char *from, int to_at, const char *to)
{
    BEFORE;
    return NEXT(renameat)(from_at, from, to_at, to);
}

EXPORTED int mkdir(const char *path, mode_t mode)
{
    BEFORE;
    return NEXT(mkdir)(path, mode);
}

EXPORTED int mkdirat(int at, const char *path, mode_t mode)
{
    BEFORE;
    return NEXT(mkdirat)(at, path, mode);
}

EXPORTED int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    BEFORE;
    return NEXT(linkat)(from_at, from, to_at, to, flags);
}

static void die_half(int fd, const void *data, size_t size, off64_t offset)
{
    if (atomic_load(&page->half) && size > 1 && NEXT(pwrite64)(fd, data, size / 2, offset) < 0)
        _exit(98);
    die();
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (is_last())
        die_half(fd, data, size, offset);
    return NEXT(pwrite)(fd, data, size, offset);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    if (is_last())
        die_half(fd, data, size, offset);
    return NEXT(pwrite64)(fd, data, size, offset);
}

EXPORTED ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    if (is_last())
        die_half(fd, pieces->iov_base, pieces->iov_len, offset);
    return NEXT(pwritev)(fd, pieces, count, offset);
}

EXPORTED ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    if (is_last())
        die_half(fd, pieces->iov_base, pieces->iov_len, offset);
    return NEXT(pwritev64)(fd, pieces, count, offset);
}

/* A file that is made is a change, too. */
#define MODE_OF(flags)                                         \
    mode_t mode = 0;                                           \
    if ((flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE) { \
        va_list rest;                                          \
        va_start(rest, flags);                                 \
        mode = va_arg(rest, mode_t);                           \
        va_end(rest);                                          \
    }                                                          \
    if ((flags)&O_CREAT && is_last())                          \
    die()

EXPORTED int open(const char *path, int flags, ...)
{
    MODE_OF(flags);
    return NEXT(open)(path, flags, mode);
}

EXPORTED int open64(const char *path, int flags, ...)
{
    MODE_OF(flags);
    return NEXT(open64)(path, flags, mode);
}

EXPORTED int openat(int at, const char *path, int flags, ...)
{
    MODE_OF(flags);
    return NEXT(openat)(at, path, flags, mode);
}

EXPORTED int openat64(int at, const char *path, int flags, ...)
{
    MODE_OF(flags);
    return NEXT(openat64)(at, path, flags, mode);
}
