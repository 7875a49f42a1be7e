#include "ctl/blacklist_edit.h"

#include "ctl/server_signal.h"
#include "proc/blacklist_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define NEW_FILE "." BLACKLIST_OWN_FILE ".new"

struct place {
    int directory;
    struct stat owner; /* of the directory */
};

static int open_place(struct ctl *ctl, const struct settings *settings, struct place *place)
{
    const char *path = settings->data_directory;
    place->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->directory < 0 && errno == ENOENT)
        return ctl_fail(ctl, EX_NOINPUT, "there is no data directory %s yet; start the server once, it makes it", path);
    if (place->directory < 0 || fstat(place->directory, &place->owner) < 0)
        return ctl_fail(ctl, EX_NOPERM, "the data directory %s can't be opened: %s", path, strerror(errno));
    while (flock(place->directory, LOCK_EX) < 0)
        if (errno != EINTR)
            return ctl_fail(ctl, EX_OSERR, "the data directory can't be locked: %s", strerror(errno));
    return EX_OK;
}

static int read_all(int fd, struct buf *text)
{
    for (;;) {
        char *to = buf_reserve(text, 65536);
        ssize_t n = to ? read(fd, to, 65536) : -1;
        if (n < 0 && to && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0 ? 0 : to ? -errno : -EFBIG;
        text->size += (size_t)n;
    }
}

static int read_old(struct ctl *ctl, const struct place *place, struct buf *text)
{
    struct stat status;
    int fd = openat(place->directory, BLACKLIST_OWN_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return EX_OK;
    bool is_there = fd >= 0 && fstat(fd, &status) == 0;
    int error = is_there ? 0 : -errno;
    /* Whose it is must be whose the directory is: what others have is not copied for them. */
    bool is_own = is_there && S_ISREG(status.st_mode) && (status.st_uid == place->owner.st_uid || status.st_uid == 0);
    if (is_there)
        error = is_own ? read_all(fd, text) : -EPERM;
    if (fd >= 0)
        close(fd);
    return error ? ctl_fail(ctl, EX_IOERR, BLACKLIST_OWN_FILE " in the data directory can't be read: %s",
                            strerror(-error))
                 : EX_OK;
}

static int write_all(int fd, struct span text)
{
    while (text.size) {
        ssize_t n = write(fd, text.data, text.size);
        if (n < 0 && errno != EINTR)
            return -errno;
        text = span_skip(text, n > 0 ? (size_t)n : 0);
    }
    return 0;
}

static int write_new(struct ctl *ctl, const struct place *place, struct span text)
{
    unlinkat(place->directory, NEW_FILE, 0); /* of a command that was stopped */
    int fd = openat(place->directory, NEW_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = fd < 0 ? -errno : 0;
    if (!error && geteuid() == 0 && fchown(fd, place->owner.st_uid, place->owner.st_gid) < 0)
        error = -errno;
    if (!error)
        error = write_all(fd, text);
    if (!error && fsync(fd) < 0)
        error = -errno;
    if (!error && renameat(place->directory, NEW_FILE, place->directory, BLACKLIST_OWN_FILE) < 0)
        error = -errno;
    if (!error && fsync(place->directory) < 0)
        error = -errno;
    if (fd >= 0)
        close(fd);
    if (error)
        unlinkat(place->directory, NEW_FILE, 0);
    return error ? ctl_fail(ctl, EX_CANTCREAT, BLACKLIST_OWN_FILE " can't be written in the data directory: %s",
                            strerror(-error))
                 : EX_OK;
}

static int edit(struct ctl *ctl, const struct place *place,
                int (*change)(struct ctl *ctl, void *context, struct span text, struct buf *out, bool *unchanged),
                void *context, bool *unchanged)
{
    struct buf before, after;
    buf_init(&before, BLACKLIST_EDIT_MAX);
    buf_init(&after, BLACKLIST_EDIT_MAX);
    int status = read_old(ctl, place, &before);
    if (!status)
        status = change(ctl, context, buf_span(&before), &after, unchanged);
    if (!status && buf_failed(&after))
        status = ctl_fail(ctl, EX_DATAERR, "the black list would be larger than 256 MiB");
    if (!status && !*unchanged)
        status = write_new(ctl, place, buf_span(&after));
    buf_release(&before);
    buf_release(&after);
    return status;
}

int blacklist_edit(struct ctl *ctl, const struct settings *settings,
                   int (*change)(struct ctl *ctl, void *context, struct span text, struct buf *out, bool *unchanged),
                   void *context)
{
    struct place place = {.directory = -1};
    bool unchanged = false;
    int status = open_place(ctl, settings, &place);
    if (!status)
        status = edit(ctl, &place, change, context, &unchanged);
    if (place.directory >= 0)
        close(place.directory);
    if (!status && !unchanged && server_signal(settings, SIGUSR1) == SERVER_NOT_ALLOWED)
        fprintf(stderr, "ostiary: the running server belongs to another user; it sees the change at its next reload\n");
    return status;
}
