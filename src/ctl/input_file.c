#include "ctl/input_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

#define PIECE 65536

int input_file_read(struct ctl *ctl, const char *path, struct buf *text)
{
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? errno : 0;
    bool more = fd >= 0, too_large = false;
    while (more && !error && !too_large) {
        char piece[PIECE];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n > 0)
            buf_add(text, piece, (size_t)n);
        else if (n == 0)
            more = false;
        else if (errno != EINTR)
            error = errno;
        too_large = buf_failed(text);
    }
    if (fd > STDIN_FILENO)
        close(fd);
    if (too_large)
        return ctl_fail(ctl, EX_DATAERR, "%s has more than the %zu KiB that can be read", path, text->limit >> 10);
    return error ? ctl_fail(ctl, EX_NOINPUT, "%s can't be read: %s", path, strerror(error)) : EX_OK;
}
