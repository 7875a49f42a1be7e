/* Notes what the server does to its files: loaded by LD_PRELOAD in front of the C library. recording.h says how.
 *
 * OSTIARY_RECORDING names the recording, which is mapped before the sandbox closes. The processes that have no files
 * (gate, desk, auth, ...) record nothing: their sandbox does not even let them ask what a descriptor is.
 */
/* Both names of each call are made here, so neither may stand for the other. */
#undef _FILE_OFFSET_BITS
#include "recording.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct recording *recording;
static bool is_writer, is_within; /* a call of several entries */

static bool is_one_with_files(void)
{
    char words[64] = "";
    int fd = openat(AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, words, sizeof words - 1);
    if (n < 0)
        _exit(99);
    close(fd);
    static const char process[] = "ostiary\0process", writer[] = "ostiary\0process\0writer";
    is_writer = (size_t)n >= sizeof writer && memcmp(words, writer, sizeof writer) == 0;
    return is_writer || (size_t)n < sizeof process || memcmp(words, process, sizeof process) != 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("OSTIARY_RECORDING");
    if (!path || !is_one_with_files())
        return;
    int fd = openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    struct stat status;
    void *memory = fd < 0 || fstat(fd, &status) < 0
                       ? MAP_FAILED
                       : mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED || ((struct recording *)memory)->magic != RECORDING_MAGIC) {
        fprintf(stderr, "recorder: %s: %s\n", path, memory == MAP_FAILED ? strerror(errno) : "no recording");
        _exit(99);
    }
    close(fd);
    recording = memory;
    if (is_writer)
        atomic_fetch_add(&recording->writers, 1);
}

/* Appends an entry; errno stays. */
static void note(struct recorded entry, const char *name, const char *new_name, const struct iovec *data)
{
    int kept = errno;
    entry.name_size = name ? (uint32_t)strlen(name) : 0;
    entry.new_name_size = new_name ? (uint32_t)strlen(new_name) : 0;
    entry.data_size = data ? (uint32_t)data->iov_len : 0;
    uint64_t bytes = sizeof entry + entry.name_size + entry.new_name_size + entry.data_size;
    entry.size = (bytes + 7) & ~7ull;
    uint64_t at = atomic_fetch_add(&recording->tail, entry.size);
    if (at + entry.size > recording->room) {
        atomic_fetch_add(&recording->lost, 1);
        return;
    }
    char *to = (char *)recording + at;
    memcpy(to, &entry, sizeof entry);
    to += sizeof entry;
    if (name)
        memcpy(to, name, entry.name_size);
    to += entry.name_size;
    if (new_name)
        memcpy(to, new_name, entry.new_name_size);
    to += entry.new_name_size;
    if (data)
        memcpy(to, data->iov_base, data->iov_len);
    uint64_t end_at = atomic_load(&recording->end_at);
    if (is_writer && !is_within && end_at && at >= end_at &&
        atomic_compare_exchange_strong(&recording->end_at, &end_at, 0))
        _exit(97); /* between two calls: what is recorded and what was done are the same */
    errno = kept;
}

/* The inode of a file with a name on the recorded file system, else 0. */
static uint64_t inode_of(int fd)
{
    struct stat status;
    int kept = errno;
    bool is_ours = recording && fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) &&
                   status.st_dev == recording->device && status.st_nlink > 0;
    errno = kept;
    return is_ours ? status.st_ino : 0;
}

/* ---- Names ---- */

struct name {
    uint64_t parent; /* 0: on another file system */
    char base[NAME_MAX + 1];
};

static void find_name(int at, const char *path, struct name *name)
{
    char copy[PATH_MAX], copy_too[PATH_MAX];
    struct stat status;
    int kept = errno;
    *name = (struct name){0};
    if (recording && strlen(path) < sizeof copy) {
        snprintf(copy, sizeof copy, "%s", path);
        snprintf(copy_too, sizeof copy_too, "%s", path);
        snprintf(name->base, sizeof name->base, "%s", basename(copy_too));
        bool is_in_place = !strchr(path, '/') && at != AT_FDCWD;
        int rc = is_in_place ? fstat(at, &status) : fstatat(at, dirname(copy), &status, 0);
        if (rc == 0 && status.st_dev == recording->device)
            name->parent = status.st_ino;
    }
    errno = kept;
}

static bool is_there(int at, const char *path)
{
    struct stat status;
    int kept = errno;
    bool there = fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
    errno = kept;
    return there;
}

static void note_new(enum recorded_kind kind, const struct name *name, uint64_t inode)
{
    if (name->parent && inode)
        note((struct recorded){.kind = kind, .parent = name->parent, .inode = inode}, name->base, NULL, NULL);
}

static uint64_t inode_at(int at, const char *path)
{
    struct stat status;
    int kept = errno;
    bool there =
        recording && fstatat(at, path, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_dev == recording->device;
    errno = kept;
    return there ? status.st_ino : 0;
}

static int opened(int fd, bool was_there, int flags, const struct name *name)
{
    if (fd < 0 || !recording || (flags & O_TMPFILE) == O_TMPFILE)
        return fd;
    uint64_t inode = inode_of(fd);
    if (!was_there && (flags & O_CREAT))
        note_new(RECORDED_FILE, name, inode);
    else if (inode && (flags & O_TRUNC))
        note((struct recorded){.kind = RECORDED_SIZE, .inode = inode}, NULL, NULL, NULL);
    return fd;
}

#define OPEN(function, at, path, flags, call)                                                  \
    unsigned mode = 0;                                                                         \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                       \
        va_list arguments;                                                                     \
        va_start(arguments, flags);                                                            \
        mode = va_arg(arguments, unsigned);                                                    \
        va_end(arguments);                                                                     \
    }                                                                                          \
    struct name name = {0};                                                                    \
    bool creates = recording && (flags & O_CREAT), was_there = !creates || is_there(at, path); \
    if (creates)                                                                               \
        find_name(at, path, &name);                                                            \
    return opened(NEXT(function) call, was_there, flags, &name)

EXPORTED int open(const char *path, int flags, ...)
{
    OPEN(open, AT_FDCWD, path, flags, (path, flags, mode));
}

EXPORTED int open64(const char *path, int flags, ...)
{
    OPEN(open64, AT_FDCWD, path, flags, (path, flags, mode));
}

EXPORTED int openat(int at, const char *path, int flags, ...)
{
    OPEN(openat, at, path, flags, (at, path, flags, mode));
}

EXPORTED int openat64(int at, const char *path, int flags, ...)
{
    OPEN(openat64, at, path, flags, (at, path, flags, mode));
}

EXPORTED int mkdirat(int at, const char *path, mode_t mode)
{
    struct name name;
    int rc = NEXT(mkdirat)(at, path, mode);
    find_name(at, path, &name);
    if (rc == 0)
        note_new(RECORDED_DIRECTORY, &name, inode_at(at, path));
    return rc;
}

EXPORTED int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

EXPORTED int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    struct name name;
    int rc = NEXT(linkat)(from_at, from, to_at, to, flags);
    find_name(to_at, to, &name);
    if (rc == 0)
        note_new(RECORDED_LINK, &name, inode_at(to_at, to));
    return rc;
}

EXPORTED int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

EXPORTED int unlinkat(int at, const char *path, int flags)
{
    struct name name;
    find_name(at, path, &name);
    int rc = NEXT(unlinkat)(at, path, flags);
    if (rc == 0 && name.parent)
        note((struct recorded){.kind = RECORDED_UNLINK, .parent = name.parent}, name.base, NULL, NULL);
    return rc;
}

EXPORTED int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

EXPORTED int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

EXPORTED int renameat(int from_at, const char *from, int to_at, const char *to)
{
    struct name old, new;
    find_name(from_at, from, &old);
    find_name(to_at, to, &new);
    int rc = NEXT(renameat)(from_at, from, to_at, to);
    if (rc == 0 && old.parent && new.parent)
        note((struct recorded){.kind = RECORDED_RENAME, .parent = old.parent, .inode = new.parent}, old.base, new.base,
             NULL);
    return rc;
}

EXPORTED int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

/* ---- Contents ---- */

static ssize_t written(ssize_t n, int fd, const void *data, uint64_t offset)
{
    uint64_t inode = n > 0 ? inode_of(fd) : 0;
    if (inode)
        note((struct recorded){.kind = RECORDED_WRITE, .inode = inode, .offset = offset}, NULL, NULL,
             &(struct iovec){(void *)(uintptr_t)data, (size_t)n});
    return n;
}

/* The same of pieces. They are entries of their own: a power cut may fall between them. */
static ssize_t written_pieces(ssize_t n, int fd, const struct iovec *pieces, uint64_t offset)
{
    for (size_t rest = n > 0 ? (size_t)n : 0; rest > 0; pieces++) {
        size_t size = pieces->iov_len < rest ? pieces->iov_len : rest;
        is_within = size < rest;
        written((ssize_t)size, fd, pieces->iov_base, offset);
        offset += size;
        rest -= size;
    }
    return n;
}

/* Where a write without an offset went. */
static uint64_t written_at(int fd, ssize_t n)
{
    off64_t now = lseek64(fd, 0, SEEK_CUR);
    return now < n ? 0 : (uint64_t)(now - n);
}

EXPORTED ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t n = NEXT(write)(fd, data, size);
    return n > 0 && inode_of(fd) ? written(n, fd, data, written_at(fd, n)) : n;
}

EXPORTED ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    ssize_t n = NEXT(writev)(fd, pieces, count);
    return n > 0 && inode_of(fd) ? written_pieces(n, fd, pieces, written_at(fd, n)) : n;
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return written(NEXT(pwrite)(fd, data, size, offset), fd, data, (uint64_t)offset);
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return written(NEXT(pwrite64)(fd, data, size, offset), fd, data, (uint64_t)offset);
}

EXPORTED ssize_t pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    return written_pieces(NEXT(pwritev)(fd, pieces, count, offset), fd, pieces, (uint64_t)offset);
}

EXPORTED ssize_t pwritev64(int fd, const struct iovec *pieces, int count, off64_t offset)
{
    return written_pieces(NEXT(pwritev64)(fd, pieces, count, offset), fd, pieces, (uint64_t)offset);
}

static int noted(int rc, int fd, enum recorded_kind kind, uint64_t offset)
{
    uint64_t inode = rc == 0 ? inode_of(fd) : 0;
    if (inode)
        note((struct recorded){.kind = kind, .inode = inode, .offset = offset}, NULL, NULL, NULL);
    return rc;
}

EXPORTED int ftruncate(int fd, off_t size)
{
    return noted(NEXT(ftruncate)(fd, size), fd, RECORDED_SIZE, (uint64_t)size);
}

EXPORTED int ftruncate64(int fd, off64_t size)
{
    return noted(NEXT(ftruncate64)(fd, size), fd, RECORDED_SIZE, (uint64_t)size);
}

EXPORTED int fdatasync(int fd)
{
    return noted(NEXT(fdatasync)(fd), fd, RECORDED_SYNC, 0);
}

EXPORTED int fsync(int fd)
{
    return noted(NEXT(fsync)(fd), fd, RECORDED_SYNC, 0);
}

/* ---- What is not played again: it must not happen to a file that counts ---- */

EXPORTED void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *memory = NEXT(mmap)(address, size, protection, flags, fd, offset);
    if (recording && fd >= 0 && memory != MAP_FAILED && (protection & PROT_WRITE) && (flags & MAP_SHARED))
        noted(0, fd, RECORDED_MAPPED, 0);
    return memory;
}

EXPORTED void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset)
{
    void *memory = NEXT(mmap64)(address, size, protection, flags, fd, offset);
    if (recording && fd >= 0 && memory != MAP_FAILED && (protection & PROT_WRITE) && (flags & MAP_SHARED))
        noted(0, fd, RECORDED_MAPPED, 0);
    return memory;
}

EXPORTED int fallocate(int fd, int mode, off_t offset, off_t size)
{
    return noted(NEXT(fallocate)(fd, mode, offset, size), fd, RECORDED_MAPPED, 0);
}

EXPORTED int posix_fallocate(int fd, off_t offset, off_t size)
{
    return noted(NEXT(posix_fallocate)(fd, offset, size), fd, RECORDED_MAPPED, 0);
}

EXPORTED ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size,
                                 unsigned flags)
{
    ssize_t n = NEXT(copy_file_range)(from, from_offset, to, to_offset, size, flags);
    noted(n > 0 ? 0 : -1, to, RECORDED_MAPPED, 0);
    return n;
}
