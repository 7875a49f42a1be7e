/* What this machine says: the disk and the ports. */
#include "ctl/doctor.h"
#include "ctl/store_client.h"
#include "format/ip_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CONNECT_MILLISECONDS 3000
#define MEGABYTE (1ull << 20)
#define SPACE_SCARCE (100 * MEGABYTE)
#define SPACE_LITTLE (1024 * MEGABYTE)

void doctor_look_at_disk(struct doctor *d)
{
    struct statvfs fs;
    const char *path = d->settings->data_directory;
    if (statvfs(path, &fs) != 0) {
        doctor_tell(d, errno == ENOENT ? DOCTOR_WARNING : DOCTOR_FAULT, "disk",
                    errno == ENOENT ? "it is made when the server is started for the first time"
                                    : "try it as root or as the server's user",
                    "the data directory %s can't be looked at: %s", path, strerror(errno));
        return;
    }
    uint64_t space = (uint64_t)fs.f_bavail * fs.f_frsize;
    enum doctor_verdict verdict = space < SPACE_SCARCE               ? DOCTOR_FAULT
                                  : space < SPACE_LITTLE             ? DOCTOR_WARNING
                                  : fs.f_files && fs.f_favail < 1000 ? DOCTOR_WARNING
                                                                     : DOCTOR_GOOD;
    doctor_tell(d, verdict, "disk", verdict ? "make room on that disk, or run 'ostiary store compact'" : "",
                "%llu MB are free at %s", (unsigned long long)(space / MEGABYTE), path);
}

static int finish_connect(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int error = 0;
    socklen_t size = sizeof error;
    int ready = poll(&wait, 1, CONNECT_MILLISECONDS);
    if (ready == 0)
        return -ETIMEDOUT;
    if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    return -error;
}

/* A listener for all addresses is reached by loopback. */
static int try_connect(const struct listener_setting *listener)
{
    bool ipv6 = strchr(listener->address, ':') != NULL;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(listener->port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(listener->port)};
    inet_pton(AF_INET6, strcmp(listener->address, "::") == 0 ? "::1" : listener->address, &six.sin6_addr);
    inet_pton(AF_INET, strcmp(listener->address, "0.0.0.0") == 0 ? "127.0.0.1" : listener->address, &four.sin_addr);
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int result =
        ipv6 ? connect(fd, (struct sockaddr *)&six, sizeof six) : connect(fd, (struct sockaddr *)&four, sizeof four);
    int error = result == 0 ? 0 : errno == EINPROGRESS ? finish_connect(fd) : -errno;
    close(fd);
    return error;
}

void doctor_look_at_ports(struct doctor *d)
{
    if (!store_client_has_server(d->settings)) {
        doctor_tell(d, DOCTOR_WARNING, "server", "start it with 'ostiary serve', or look into its log why it ended",
                    "the server does not run, or you may not talk to it");
        return;
    }
    doctor_tell(d, DOCTOR_GOOD, "server", "", "the server runs");
    for (size_t i = 0; i < d->settings->listener_count; i++) {
        const struct listener_setting *l = &d->settings->listeners[i];
        int error = try_connect(l);
        if (error)
            doctor_tell(d, DOCTOR_FAULT, "port", "look into the server's log; after a change of listeners reload it",
                        "nobody answers for %s at %s port %u: %s", service_kind_name(l->service), l->address, l->port,
                        strerror(-error));
        else
            doctor_tell(d, DOCTOR_GOOD, "port", "", "%s answers at %s port %u", service_kind_name(l->service),
                        l->address, l->port);
    }
}
