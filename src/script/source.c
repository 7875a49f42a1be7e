#include "script/source.h"

#include "script/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_text(int fd, struct buf *text)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
    for (;;) {
        char *to = text->size > SCRIPT_SOURCE_MAX ? NULL : buf_reserve(text, 4096);
        ssize_t n = to ? read(fd, to, 4096) : -1;
        if (n <= 0)
            return !to ? -EFBIG : n < 0 ? -errno : 0;
        text->size += (size_t)n;
    }
}

int script_source_read(const char *path, struct buf *text, struct buf *problem)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int error = fd < 0 ? -errno : read_text(fd, text);
    if (fd >= 0)
        close(fd);
    if (!error && text->size > SCRIPT_SOURCE_MAX)
        error = -EFBIG;
    if (error == -EFBIG)
        buf_printf(problem, "the script %s has more than %u bytes; lists of names belong into a list", path,
                   SCRIPT_SOURCE_MAX);
    else if (error)
        buf_printf(problem, "the script %s can't be read: %s", path, strerror(-error));
    return error;
}
