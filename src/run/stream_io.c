#include "run/stream_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* Of at most 64 KiB each. */
#define STREAK_MAX 16

ssize_t socket_read(struct stream *s, char *to, size_t size)
{
    if (s->drained && !s->watch.ready && !s->watch.hung_up)
        return -EAGAIN;
    /* An edge that comes from here on is a new one; what it announces may be read now already, then the next try is one
     * in vain. */
    s->watch.ready = 0;
    ssize_t n;
    do
        n = recv(s->watch.fd, to, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        s->hung_up = true;
    if (n >= 0) {
        s->drained = (size_t)n < size;
        return n;
    }
    if (errno == EAGAIN)
        s->drained = true;
    else
        s->socket_error = errno;
    return -errno;
}

ssize_t socket_write(struct stream *s, const char *from, size_t size)
{
    ssize_t n;
    do
        /* The last words go out together with the end of the connection, as one packet. */
        n = send(s->watch.fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL | (s->closes ? MSG_MORE : 0));
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    if (errno != EAGAIN)
        s->socket_error = errno;
    return -errno;
}

static int fail_socket(struct stream *s)
{
    return stream_fail(s, s->socket_error == EPIPE ? -EPIPE : -ECONNRESET, strerror(s->socket_error));
}

ssize_t stream_try_read(struct stream *s, char *to, size_t size)
{
    s->wants_write = false;
    if (s->ssl)
        return stream_tls_read(s, to, size);
    ssize_t n = socket_read(s, to, size);
    if (n > 0 || n == -EAGAIN)
        return n;
    if (n < 0)
        return fail_socket(s);
    s->ended = true;
    return -ENODATA;
}

ssize_t stream_try_write(struct stream *s, const char *from, size_t size)
{
    s->wants_write = true;
    if (s->ssl)
        return stream_tls_write(s, from, size);
    ssize_t n = socket_write(s, from, size);
    return n >= 0 || n == -EAGAIN ? n : fail_socket(s);
}

int stream_wait(struct fiber *self, struct stream *s, uint64_t deadline)
{
    s->streak = 0;
    s->waits_from = s->overhears ? 0 : clock_monotonic();
    int error = s->wants_write ? watch_wait_writable(self, &s->watch, deadline)
                               : watch_wait_readable(self, &s->watch, deadline);
    if (s->waits_from)
        s->behind += clock_monotonic() - s->waits_from;
    s->waits_from = 0;
    if (!error && !s->wants_write)
        s->drained = false; /* the edge was taken by the wait */
    return error;
}

void stream_note_progress(struct stream *s, size_t bytes)
{
    uint64_t paid = bytes * (NANOSECONDS / STREAM_PACE);
    s->behind = paid < s->behind ? s->behind - paid : 0;
}

uint64_t stream_kept_waiting(const struct stream *s, uint64_t now)
{
    return s->waits_from ? s->behind + (now > s->waits_from ? now - s->waits_from : 0) : 0;
}

void stream_settle(struct stream *s)
{
    s->behind = 0;
}

void stream_crowd_out(struct stream *s, struct fiber *fiber)
{
    s->crowded_out = true;
    fiber_cancel(fiber);
}

bool stream_is_crowded_out(const struct stream *s)
{
    return s->crowded_out;
}

int stream_wait_strictly(struct fiber *self, struct stream *s, uint64_t deadline)
{
    int error = stream_wait(self, s, deadline);
    return !error && clock_monotonic() >= deadline ? -ETIMEDOUT : error;
}

int stream_take_turns(struct fiber *self, struct stream *s, uint64_t deadline)
{
    if (++s->streak < STREAK_MAX)
        return 0;
    s->streak = 0;
    /* Nothing has waited for a while, so nobody looked at the deadline. */
    return clock_monotonic() >= deadline ? -ETIMEDOUT : fiber_yield(self);
}

void stream_undelay(struct stream *s)
{
    int on = 1;
    if (!s->undelayed) /* Unix sockets refuse it and need none */
        (void)setsockopt(s->watch.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    s->undelayed = true;
}
