#include "proc/remote_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRIVATE "remote.key"
#define PUBLIC "remote.pub"
#define TEXT_MAX 64

int remote_key_read(int fd, unsigned char key[SEALED_KEY_SIZE])
{
    char text[TEXT_MAX];
    ssize_t n = pread(fd, text, sizeof text, 0);
    int error = n < 0 ? -errno : sealed_key_parse(span_from(text, (size_t)n), key) ? 0 : -EINVAL;
    explicit_bzero(text, sizeof text);
    return error;
}

/* Whole or not at all, and never over one that is there: what was sealed with it would be lost. */
static int write_key(int directory, const char *name, mode_t mode, const unsigned char key[SEALED_KEY_SIZE], uid_t uid,
                     gid_t gid, bool replace)
{
    char fresh[TEXT_MAX];
    struct buf text;
    buf_init(&text, TEXT_MAX);
    sealed_key_write(key, &text);
    snprintf(fresh, sizeof fresh, "%s.%ld", name, (long)getpid());
    int fd = openat(directory, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
    int error = fd < 0 ? -errno : buf_failed(&text) ? -ENOMEM : 0;
    if (!error && (write(fd, text.data, text.size) != (ssize_t)text.size || fchmod(fd, mode) < 0 ||
                   (uid && fchown(fd, uid, gid) < 0) || fsync(fd) < 0))
        error = errno ? -errno : -EIO;
    if (!error && replace && renameat(directory, fresh, directory, name) < 0)
        error = -errno;
    if (!error && !replace && linkat(directory, fresh, directory, name, 0) < 0 && errno != EEXIST)
        error = -errno;
    if (fd >= 0) {
        close(fd);
        unlinkat(directory, fresh, 0);
    }
    if (!error && fsync(directory) < 0)
        error = -errno;
    if (text.data)
        explicit_bzero(text.data, text.size);
    buf_release(&text);
    return error;
}

static int make_private(int directory, uid_t uid, gid_t gid)
{
    unsigned char private_key[SEALED_KEY_SIZE], public_key[SEALED_KEY_SIZE];
    int error = sealed_key_make(private_key, public_key);
    if (!error)
        error = write_key(directory, PRIVATE, 0600, private_key, uid, gid, false);
    explicit_bzero(private_key, sizeof private_key);
    return error;
}

/* The descriptor, or a negative errno. */
static int open_private(int directory, uid_t uid, gid_t gid)
{
    int fd = openat(directory, PRIVATE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT)
        return fd < 0 ? -errno : fd;
    int error = make_private(directory, uid, gid);
    if (error)
        return error;
    fd = openat(directory, PRIVATE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static bool has_public(int directory, const unsigned char wanted[SEALED_KEY_SIZE])
{
    unsigned char there[SEALED_KEY_SIZE];
    int fd = openat(directory, PUBLIC, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool same = fd >= 0 && remote_key_read(fd, there) == 0 && memcmp(there, wanted, sizeof there) == 0;
    if (fd >= 0)
        close(fd);
    return same;
}

int remote_key_prepare(const char *path, uid_t uid, gid_t gid, int *private_fd,
                       unsigned char public_key[SEALED_KEY_SIZE], struct buf *problem)
{
    unsigned char private_key[SEALED_KEY_SIZE];
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = directory < 0 ? -errno : open_private(directory, uid, gid);
    int error = fd < 0 ? fd : remote_key_read(fd, private_key);
    if (!error)
        error = sealed_key_public(private_key, public_key);
    if (error == -EINVAL)
        buf_printf(problem,
                   "%s/" PRIVATE " holds no key; put it back from a copy, or remove it and set the passwords of all "
                   "remote accounts anew",
                   path);
    if (!error && !has_public(directory, public_key))
        error = write_key(directory, PUBLIC, 0644, public_key, uid, gid, true);
    explicit_bzero(private_key, sizeof private_key);
    if (directory >= 0)
        close(directory);
    if (error && fd >= 0)
        close(fd);
    if (error && !problem->size)
        buf_printf(problem, "the key of remote accounts in %s can't be made or read: %s", path, strerror(-error));
    *private_fd = error ? -1 : fd;
    return error;
}

int remote_key_public(const char *directory, unsigned char public_key[SEALED_KEY_SIZE], struct buf *problem)
{
    int fd;
    int error = remote_key_prepare(directory, 0, 0, &fd, public_key, problem);
    if (!error)
        close(fd);
    return error;
}
