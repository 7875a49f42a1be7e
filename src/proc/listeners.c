#include "proc/listeners.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096 /* cut to net.core.somaxconn */

static bool make_address(const char *address, uint16_t port, struct sockaddr_storage *out, socklen_t *size)
{
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *size = sizeof *v4;
        return true;
    }
    if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *size = sizeof *v6;
        return true;
    }
    return false;
}

static int bind_one(const struct listener_setting *setting)
{
    struct sockaddr_storage address;
    socklen_t size;
    int on = 1;
    if (!make_address(setting->address, setting->port, &address, &size))
        return -EINVAL;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Accepted sockets inherit TCP_NODELAY and SO_KEEPALIVE: no calls for each connection. */
    bool is_open = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                   setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
                   setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
    /* "::" beside "0.0.0.0" are two listeners and shall not fight. */
    if (is_open && address.ss_family == AF_INET6)
        is_open = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    if (is_open && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

static void explain(const struct listener_setting *l, int error, struct buf *problem)
{
    const char *hint = error == -EADDRINUSE ? "; another program has the port" : "";
    if (error == -EACCES)
        hint = "; ports below 1024 need root";
    if (error == -EADDRNOTAVAIL)
        hint = "; this machine does not have that address";
    buf_printf(problem, "can't listen for %s on %s port %u: %s%s", service_kind_name(l->service), l->address, l->port,
               strerror(-error), hint);
}

void listeners_init(struct listeners *l)
{
    memset(l, 0, sizeof *l);
}

static int find(const struct listeners *l, const struct listener_setting *setting)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].service == setting->service && l->rows[i].port == setting->port &&
            !strcmp(l->rows[i].address, setting->address))
            return l->rows[i].fd;
    return -1;
}

static bool has_fd(const struct listeners *l, int fd)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].fd == fd)
            return true;
    return false;
}

/* Closes those of `l` that `other` does not have. */
static void close_all_but(const struct listeners *l, const struct listeners *other)
{
    for (size_t i = 0; i < l->count; i++)
        if (!has_fd(other, l->rows[i].fd))
            close(l->rows[i].fd);
}

int listeners_update(struct listeners *l, const struct settings *settings, struct buf *problem)
{
    struct listeners next;
    listeners_init(&next);
    if (settings->listener_count > LISTENERS_MAX) {
        buf_printf(problem, "there are %zu listeners; at most %d are possible", settings->listener_count,
                   LISTENERS_MAX);
        return -E2BIG;
    }
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *setting = &settings->listeners[i];
        int fd = find(l, setting);
        if (fd < 0)
            fd = bind_one(setting);
        if (fd < 0) {
            explain(setting, fd, problem);
            close_all_but(&next, l);
            return fd;
        }
        next.rows[i].service = setting->service;
        next.rows[i].port = setting->port;
        next.rows[i].fd = fd;
        snprintf(next.rows[i].address, sizeof next.rows[i].address, "%s", setting->address);
        next.count = i + 1;
    }
    close_all_but(l, &next);
    *l = next;
    return 0;
}

void listeners_close(struct listeners *l)
{
    struct listeners none = {.count = 0};
    close_all_but(l, &none);
    *l = none;
}

/* A socket left behind by a server that was killed does not answer. */
static bool somebody_answers(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool answers = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    close(fd);
    return answers;
}

int control_socket_path(const char *data_directory, const char *name, char *path, size_t size)
{
    return *name == '/' ? snprintf(path, size, "%s", name) : snprintf(path, size, "%s/%s", data_directory, name);
}

int control_socket_open(const char *data_directory, const char *name, bool is_public, uid_t uid, gid_t gid,
                        struct buf *problem)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = control_socket_path(data_directory, name, address.sun_path, sizeof address.sun_path);
    if (n < 0 || (size_t)n >= sizeof address.sun_path) {
        buf_printf(problem, "the data directory's path is too long for a socket in it (%zu bytes at most): %s",
                   sizeof address.sun_path - strlen(name) - 2, data_directory);
        return -ENAMETOOLONG;
    }
    if (somebody_answers(&address)) {
        buf_printf(problem, "a server is running already with the data directory %s", data_directory);
        return -EBUSY;
    }
    unlink(address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(is_public ? 0111 : 0177);
    bool is_open = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    int error = -errno;
    umask(mask);
    if (is_open && uid && lchown(address.sun_path, uid, gid) < 0) {
        error = -errno;
        is_open = false;
    }
    if (is_open && listen(fd, 64) == 0)
        return fd;
    error = is_open ? -errno : error;
    buf_printf(problem, "can't make the control socket %s: %s", address.sun_path, strerror(-error));
    if (fd >= 0)
        close(fd);
    return error;
}
