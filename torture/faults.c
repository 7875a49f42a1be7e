/* Makes the disk fail: loaded by LD_PRELOAD in front of the C library, told by faults.h's page of shared memory. */
/* Both names of each call are made here, so neither may stand for the other. */
#undef _FILE_OFFSET_BITS
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct faults *faults;
static uint32_t own_role;

static uint32_t find_role(void)
{
    /* What is not read stays 0: behind the last word there are empty ones. */
    char words[8192] = "";
    int fd = openat(AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, words, sizeof words - 3) < 0)
        _exit(99);
    close(fd);
    static const char process[] = "ostiary\0process";
    const char *verb = words + strlen(words) + 1;
    if (memcmp(words, process, sizeof process) == 0 || strcmp(verb, "store") == 0)
        verb += strlen(verb) + 1;
    for (size_t i = 0; i < sizeof fault_roles / sizeof *fault_roles; i++)
        if (strcmp(verb, fault_roles[i]) == 0)
            return 1u << i;
    return 0;
}

/* Before the sandbox closes. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("OSTIARY_FAULTS");
    own_role = path ? find_role() : 0;
    if (!own_role)
        return;
    int fd = openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        fprintf(stderr, "faults: %s: %s\n", path, strerror(errno));
        _exit(99);
    }
    close(fd);
    faults = page;
    if (own_role == 1)
        atomic_fetch_add(&faults->loaded, 1);
}

/* One less, unless it is 0 already: several processes count. */
static int take_one(_Atomic uint32_t *number)
{
    uint32_t value = atomic_load(number);
    while (value && !atomic_compare_exchange_weak(number, &value, value - 1))
        ;
    return value != 0;
}

EXPORTED uint32_t fault_strikes(uint32_t kind)
{
    uint32_t error = faults ? atomic_load(&faults->error) : 0;
    if (!error || !(atomic_load(&faults->kinds) & kind) || !(atomic_load(&faults->roles) & own_role))
        return 0;
    atomic_fetch_add(&faults->seen, 1);
    if (take_one(&faults->skip) || !take_one(&faults->count))
        return 0;
    atomic_fetch_add(&faults->failed, 1);
    return error;
}

/* For calls that work or don't. */
static int fails(uint32_t kind)
{
    uint32_t error = fault_strikes(kind);
    if (error)
        errno = error == FAULT_SHORT ? EIO : (int)error;
    return error != 0;
}

/* For writes: how many of the bytes may go, -1 with errno for none at all. */
static ssize_t allowed(uint32_t kind, size_t size)
{
    uint32_t error = fault_strikes(kind);
    if (error && (error != FAULT_SHORT || size < 2)) {
        errno = error == FAULT_SHORT ? ENOSPC : (int)error;
        return -1;
    }
    return (ssize_t)(error ? size / 2 : size);
}

EXPORTED int fdatasync(int fd)
{
    return fails(FAULT_SYNC) ? -1 : NEXT(fdatasync)(fd);
}

EXPORTED int fsync(int fd)
{
    return fails(FAULT_SYNC) ? -1 : NEXT(fsync)(fd);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t may = allowed(FAULT_PWRITE, size);
    return may < 0 ? -1 : NEXT(pwrite)(fd, data, (size_t)may, offset);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    ssize_t may = allowed(FAULT_PWRITE, size);
    return may < 0 ? -1 : NEXT(pwrite64)(fd, data, (size_t)may, offset);
}

/* A short one ends within the first piece. */
static int shorten(const struct iovec *pieces, int count, struct iovec *first, const struct iovec **out)
{
    ssize_t may = count > 0 ? allowed(FAULT_PWRITEV, pieces->iov_len) : 0;
    *out = pieces;
    if (may < 0)
        return -1;
    if (count == 0 || (size_t)may == pieces->iov_len)
        return count;
    *first = (struct iovec){pieces->iov_base, (size_t)may};
    *out = first;
    return 1;
}

EXPORTED ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    struct iovec first;
    const struct iovec *some;
    int may = shorten(pieces, count, &first, &some);
    return may < 0 ? -1 : NEXT(pwritev)(fd, some, may, offset);
}

EXPORTED ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    struct iovec first;
    const struct iovec *some;
    int may = shorten(pieces, count, &first, &some);
    return may < 0 ? -1 : NEXT(pwritev64)(fd, some, may, offset);
}

EXPORTED ssize_t write(int fd, const void *data, size_t size)
{
    /* What is logged goes to the same place from all: its loss is no matter here. */
    ssize_t may = fd == STDERR_FILENO ? (ssize_t)size : allowed(FAULT_WRITE, size);
    return may < 0 ? -1 : NEXT(write)(fd, data, (size_t)may);
}

EXPORTED int ftruncate(int fd, off_t size)
{
    return fails(FAULT_SIZE) ? -1 : NEXT(ftruncate)(fd, size);
}

EXPORTED int ftruncate64(int fd, off64_t size)
{
    return fails(FAULT_SIZE) ? -1 : NEXT(ftruncate64)(fd, size);
}

#define OPEN(flags, call)                                              \
    unsigned mode = 0;                                                 \
    int makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE; \
    if (makes) {                                                       \
        va_list arguments;                                             \
        va_start(arguments, flags);                                    \
        mode = va_arg(arguments, unsigned);                            \
        va_end(arguments);                                             \
    }                                                                  \
    return makes && fails(FAULT_NAME) ? -1 : call

EXPORTED int open(const char *path, int flags, ...)
{
    OPEN(flags, NEXT(open)(path, flags, mode));
}

EXPORTED int open64(const char *path, int flags, ...)
{
    OPEN(flags, NEXT(open64)(path, flags, mode));
}

EXPORTED int openat(int at, const char *path, int flags, ...)
{
    OPEN(flags, NEXT(openat)(at, path, flags, mode));
}

EXPORTED int openat64(int at, const char *path, int flags, ...)
{
    OPEN(flags, NEXT(openat64)(at, path, flags, mode));
}

EXPORTED ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return fails(FAULT_RECEIVE) ? -1 : NEXT(recvmsg)(fd, message, flags);
}

EXPORTED int mkdir(const char *path, mode_t mode)
{
    return fails(FAULT_NAME) ? -1 : NEXT(mkdir)(path, mode);
}

EXPORTED int mkdirat(int at, const char *path, mode_t mode)
{
    return fails(FAULT_NAME) ? -1 : NEXT(mkdirat)(at, path, mode);
}

EXPORTED int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    return fails(FAULT_NAME) ? -1 : NEXT(linkat)(from_at, from, to_at, to, flags);
}

EXPORTED int rename(const char *from, const char *to)
{
    return fails(FAULT_NAME) ? -1 : NEXT(rename)(from, to);
}

EXPORTED int renameat(int from_at, const char *from, int to_at, const char *to)
{
    return fails(FAULT_NAME) ? -1 : NEXT(renameat)(from_at, from, to_at, to);
}

EXPORTED int unlink(const char *path)
{
    return fails(FAULT_NAME) ? -1 : NEXT(unlink)(path);
}

EXPORTED int unlinkat(int at, const char *path, int flags)
{
    return fails(FAULT_NAME) ? -1 : NEXT(unlinkat)(at, path, flags);
}
