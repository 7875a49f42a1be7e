/* Makes the writer's disk fail: loaded by LD_PRELOAD in front of the C library, told by a page of shared memory.
 *
 * OSTIARY_FAULTS names a file of one page, which is mapped before the sandbox closes. Whoever holds the other end of it
 * sets `error` last: from then on `skip` calls of the kinds in `kinds` still work, the next `count` fail.
 */
/* Both names of each call are made here, so neither may stand for the other. */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FAULT_SYNC = 1, FAULT_PWRITE = 2, FAULT_PWRITEV = 4 };

/* tests/system/test_faults.py knows this layout. */
struct faults {
    _Atomic uint32_t error; /* an errno; 0: nothing fails */
    _Atomic uint32_t kinds; /* mask of FAULT_… */
    _Atomic uint32_t skip, count;
    _Atomic uint32_t failed, loaded; /* calls that failed, writers that mapped this page */
};

static struct faults *faults;

/* The other processes keep their disk: it is the writer that has one to lose. */
static int is_writer(void)
{
    char words[64] = "";
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, words, sizeof words - 1) < 0)
        _exit(99);
    close(fd);
    return !memcmp(words, "ostiary\0process\0writer", sizeof "ostiary\0process\0writer");
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("OSTIARY_FAULTS");
    if (!path || !is_writer())
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        fprintf(stderr, "fault shim: %s: %s\n", path, strerror(errno));
        _exit(99);
    }
    close(fd);
    faults = page;
    atomic_fetch_add(&faults->loaded, 1);
}

static int fails(unsigned kind)
{
    unsigned error = faults ? atomic_load(&faults->error) : 0;
    if (!error || !(atomic_load(&faults->kinds) & kind))
        return 0;
    if (atomic_load(&faults->skip)) {
        atomic_fetch_sub(&faults->skip, 1);
        return 0;
    }
    if (!atomic_load(&faults->count))
        return 0;
    atomic_fetch_sub(&faults->count, 1);
    atomic_fetch_add(&faults->failed, 1);
    errno = (int)error;
    return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define EXPORTED __attribute__((visibility("default")))

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
    return fails(FAULT_PWRITE) ? -1 : NEXT(pwrite)(fd, data, size, offset);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return fails(FAULT_PWRITE) ? -1 : NEXT(pwrite64)(fd, data, size, offset);
}

EXPORTED ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return fails(FAULT_PWRITEV) ? -1 : NEXT(pwritev)(fd, pieces, count, offset);
}

EXPORTED ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    return fails(FAULT_PWRITEV) ? -1 : NEXT(pwritev64)(fd, pieces, count, offset);
}
