#include "ctl/control_socket.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

int control_socket_connect(const struct settings *settings, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct buf path;
    buf_init(&path, sizeof address.sun_path - 1);
    if (*name == '/')
        buf_add_text(&path, name);
    else
        buf_printf(&path, "%s/%s", settings->data_directory, name);
    if (buf_failed(&path)) {
        buf_release(&path);
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path.data, path.size);
    buf_release(&path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int control_socket_explain(struct ctl *ctl, const struct settings *settings, int error)
{
    const char *directory = settings->data_directory;
    switch (error) {
    case -ENOENT:
    case -ECONNREFUSED:
    case -ENOTDIR:
        return ctl_fail(ctl, EX_UNAVAILABLE,
                        "no server runs with the data directory %s; start one with 'ostiary serve'", directory);
    case -EACCES:
    case -EPERM:
        return ctl_fail(ctl, access(directory, X_OK) == 0 ? EX_NOPERM : EX_CANTCREAT,
                        "%s can't be entered: %s; try it as root or as the user %s", directory, strerror(-error),
                        settings->user);
    default:
        return ctl_fail(ctl, EX_UNAVAILABLE, "the server's control socket can't be reached: %s", strerror(-error));
    }
}
