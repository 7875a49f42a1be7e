#include "run/endpoint.h"

#include "run/stream_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

/* The size of the address written. */
static socklen_t write_sockaddr(const unsigned char address[16], uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (memcmp(address, mapped, sizeof mapped) == 0) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, address + sizeof mapped, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, address, 16);
    return sizeof *in6;
}

/* A socket that is connected or being connected, or a negative errno. */
static int begin(const struct endpoint *to, const unsigned char *source)
{
    struct sockaddr_storage there, here;
    socklen_t there_size = write_sockaddr(to->address, to->port, &there);
    socklen_t here_size = source ? write_sockaddr(source, 0, &here) : 0;
    if (source && here.ss_family != there.ss_family)
        return -EINVAL;
    int fd = socket(there.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    bool begun = !source || bind(fd, (struct sockaddr *)&here, here_size) == 0;
    /* One that a signal interrupts goes on by itself, as one that is not waited for does. */
    if (begun && connect(fd, (struct sockaddr *)&there, there_size) < 0)
        begun = errno == EINPROGRESS || errno == EINTR;
    if (begun)
        return fd;
    int error = -errno;
    close(fd);
    return error;
}

static int finish(struct fiber *self, struct stream *s, uint64_t deadline)
{
    int error = watch_wait_writable(self, &s->watch, deadline);
    int problem = 0;
    socklen_t size = sizeof problem;
    if (!error && getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0)
        error = -errno;
    return error ? error : -problem;
}

int stream_connect(struct fiber *self, const struct endpoint *to, const unsigned char *source, uint64_t deadline,
                   struct stream **out)
{
    *out = NULL;
    if (fiber_is_canceled(self))
        return -ECANCELED;
    int fd = begin(to, source);
    if (fd < 0)
        return fd;
    /* Only now: epoll calls a socket that was not told where to go a closed one. */
    struct stream *s = stream_new(fiber_loop(self), fd);
    if (!s)
        return -ENOMEM;
    int error = finish(self, s, deadline);
    if (error) {
        stream_free(s);
        return error;
    }
    *out = s;
    return 0;
}
