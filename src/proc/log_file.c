#include "proc/log_file.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DAY (86400 * NANOSECONDS)

void log_file_init(struct log_file *f)
{
    *f = (struct log_file){.fd = -1};
}

static int open_syslog(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    return fd < 0 ? -errno : fd;
}

static void take(struct log_file *f, enum log_target target, int fd)
{
    log_open(target, fd);
    if (f->fd >= 0 && f->fd != STDERR_FILENO)
        close(f->fd);
    f->target = target;
    f->fd = fd;
}

/* The day of the last line of a file that was there already: what it holds from yesterday is rotated away. A line that
 * was written while the machine's clock was ahead must not put off the next rotation until then. */
static uint64_t day_of(int fd)
{
    struct stat status;
    uint64_t today = clock_steady() / DAY;
    if (fstat(fd, &status) < 0 || status.st_size == 0)
        return today;
    uint64_t day = (uint64_t)status.st_mtim.tv_sec * NANOSECONDS / DAY;
    return day < today ? day : today;
}

int log_file_open(struct log_file *f, const struct settings *settings, struct buf *problem)
{
    const char *target = settings->log.target;
    bool is_stderr = !strcmp(target, "stderr"), is_syslog = !strcmp(target, "syslog");
    char *path = is_stderr || is_syslog ? NULL : strdup(target);
    if (!is_stderr && !is_syslog && !path)
        return -ENOMEM;
    int fd = is_stderr ? STDERR_FILENO : is_syslog ? open_syslog() : open_file(path);
    if (fd < 0) {
        buf_printf(problem, "the log can't be opened: %s: %s", is_syslog ? "/dev/log" : target, strerror(-fd));
        free(path);
        return fd;
    }
    take(f, is_syslog ? LOG_TO_SYSLOG : LOG_TO_FD, fd);
    free(f->path);
    f->path = path;
    f->day = path ? day_of(fd) : 0;
    f->size_max = settings->log.rotate_size;
    f->keep = settings->log.keep;
    log_set_level(settings->log.level);
    return 0;
}

static bool is_due(const struct log_file *f, uint64_t now)
{
    struct stat status;
    if (!f->path || fstat(f->fd, &status) < 0 || status.st_size == 0)
        return false;
    return now / DAY > f->day || (f->size_max && (uint64_t)status.st_size >= f->size_max);
}

/* PATH.1 becomes PATH.2 and so on; the last is overwritten by the one before. */
static int shift(const struct log_file *f)
{
    size_t room = strlen(f->path) + 16;
    char *from = malloc(room), *to = malloc(room);
    int error = from && to ? 0 : -ENOMEM;
    unsigned last = 1;
    for (; !error && last < f->keep; last++) {
        snprintf(from, room, "%s.%u", f->path, last);
        if (access(from, F_OK) < 0)
            break;
    }
    for (unsigned i = last; !error && i >= 1; i--) {
        if (i > 1)
            snprintf(from, room, "%s.%u", f->path, i - 1);
        else
            snprintf(from, room, "%s", f->path);
        snprintf(to, room, "%s.%u", f->path, i);
        if (rename(from, to) < 0)
            error = -errno;
    }
    free(from);
    free(to);
    return error;
}

bool log_file_rotate(struct log_file *f, uint64_t now)
{
    if (!is_due(f, now))
        return false;
    f->day =
        now /
        DAY; /* a rotation that fails is tried again tomorrow or when it has grown as much again, not every second */
    int error = f->keep ? shift(f) : unlink(f->path) < 0 ? -errno : 0;
    int fd = error ? error : open_file(f->path);
    if (fd < 0) {
        if (f->size_max)
            f->size_max *= 2;
        log_write(LOG_PROBLEM, "supervisor", NULL, "the log can't be rotated path=%s error=%s",
                  log_quote(span_text(f->path)), strerror(-fd));
        return false;
    }
    take(f, f->target, fd);
    return true;
}

void log_file_close(struct log_file *f)
{
    take(f, LOG_TO_FD, STDERR_FILENO);
    free(f->path);
    log_file_init(f);
}
