#include "proc/data_directory.h"

#include "base/clock.h"
#include "store/sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 4 /* ours is two deep; a walk as root does not go far into what it does not know */

static int take_user(const struct passwd *user, uid_t *uid, gid_t *gid, struct buf *problem)
{
    if (user->pw_uid == 0 || user->pw_gid == 0) {
        buf_printf(problem, "the processes can't run as '%s', which is root; set 'user' to another", user->pw_name);
        return -EINVAL;
    }
    *uid = user->pw_uid;
    *gid = user->pw_gid;
    return 0;
}

int find_user(const char *name, uid_t *uid, gid_t *gid, struct buf *problem)
{
    *uid = *gid = 0;
    if (geteuid() != 0)
        return 0;
    errno = 0;
    const struct passwd *user = getpwnam(name);
    if (!user) {
        buf_printf(problem,
                   "there is no user '%s' for the processes to run as; make one (adduser --system --group %s) or set "
                   "'user'",
                   name, name);
        return -ENOENT;
    }
    return take_user(user, uid, gid, problem);
}

int find_role_user(const char *name, const char *role, uid_t *uid, gid_t *gid, struct buf *problem)
{
    char own[256];
    int n = snprintf(own, sizeof own, "%s-%s", name, role);
    if (geteuid() != 0 || n < 0 || (size_t)n >= sizeof own)
        return 0;
    const struct passwd *user = getpwnam(own);
    return user ? take_user(user, uid, gid, problem) : 0;
}

/* mkdir -p, for what stands above. */
static int make_parents(const char *path)
{
    char *copy = strdup(path);
    int error = copy ? 0 : -ENOMEM;
    for (char *at = copy ? strchr(copy + 1, '/') : NULL; at && !error; at = strchr(at + 1, '/')) {
        *at = 0;
        if (mkdir(copy, 0755) == 0)
            error = sync_name(copy);
        else if (errno != EEXIST)
            error = -errno;
        *at = '/';
    }
    free(copy);
    return error;
}

static int give_below(int directory, uid_t uid, gid_t gid, int depth);

static int give_entry(int directory, const char *name, uid_t uid, gid_t gid, int depth)
{
    /* Without following links, and what is changed is what was looked at: the directory's owner may be hostile by now.
     */
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno == ELOOP || errno == ENXIO || errno == ENOENT ? 0 : -errno; /* links and sockets are no mail */
    struct stat status;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    bool is_directory = !error && S_ISDIR(status.st_mode);
    bool is_single_file = !error && S_ISREG(status.st_mode) && status.st_nlink == 1;
    if (!error && status.st_uid == 0 && (is_directory || is_single_file) && fchown(fd, uid, gid) < 0)
        error = -errno;
    if (!error && is_directory && depth < DEPTH_MAX)
        return give_below(fd, uid, gid, depth + 1);
    close(fd);
    return error;
}

/* Takes the descriptor. */
static int give_below(int directory, uid_t uid, gid_t gid, int depth)
{
    DIR *entries = fdopendir(directory);
    if (!entries) {
        int error = -errno;
        close(directory);
        return error;
    }
    int error = 0;
    for (struct dirent *entry; !error && (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            error = give_entry(dirfd(entries), entry->d_name, uid, gid, depth);
    closedir(entries);
    return error;
}

static int give_to_user(int directory, uid_t uid, gid_t gid)
{
    struct stat status;
    if (fstat(directory, &status) < 0)
        return -errno;
    if (status.st_uid != uid && status.st_uid != 0)
        return -EPERM;
    if (fchown(directory, uid, gid) < 0 || fchmod(directory, 0700) < 0)
        return -errno;
    int copy = fcntl(directory, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : give_below(copy, uid, gid, 1);
}

int data_directory_prepare(const char *path, uid_t uid, gid_t gid, struct buf *problem)
{
    int directory = -1;
    int error = make_parents(path);
    if (!error && mkdir(path, 0700) < 0 && errno != EEXIST)
        error = -errno;
    if (!error) {
        directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        error = directory < 0 ? -errno : 0;
    }
    /* Each time: whoever made it may have been stopped before this. */
    if (!error)
        error = sync_name(path);
    if (!error && uid)
        error = give_to_user(directory, uid, gid);
    else if (!error && access(path, R_OK | W_OK | X_OK) < 0)
        error = -errno;
    if (directory >= 0)
        close(directory);
    if (error == -EPERM && uid)
        buf_printf(problem, "the data directory %s belongs to another user than the one the processes run as", path);
    else if (error)
        buf_printf(problem, "the data directory %s can't be used: %s", path, strerror(-error));
    return error;
}

int public_directory_prepare(const char *path)
{
    if (mkdir(path, 0755) < 0)
        return errno == EEXIST ? 0 : -errno;
    return chmod(path, 0755) < 0 ? -errno : 0; /* whatever umask we were started with */
}

uint64_t data_directory_last_used(const char *path)
{
    static const char *const files[] = {"store.db", "store.db-wal"};
    uint64_t last = 0;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; directory >= 0 && i < sizeof files / sizeof *files; i++) {
        struct stat status;
        if (fstatat(directory, files[i], &status, AT_SYMLINK_NOFOLLOW) < 0 || status.st_mtim.tv_sec < 0)
            continue;
        uint64_t at = (uint64_t)status.st_mtim.tv_sec * NANOSECONDS;
        last = at > last ? at : last;
    }
    if (directory >= 0)
        close(directory);
    return last;
}
