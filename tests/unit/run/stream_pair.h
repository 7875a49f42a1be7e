/* What the stream's tests share: a loop, a stream on one end of a socketpair, and the bare other end. */
#ifndef TEST_STREAM_PAIR_H
#define TEST_STREAM_PAIR_H

#include "run/fiber.h"
#include "run/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
    struct loop *loop;
    struct stream *stream;
    struct watch watch; /* of the bare end */
    int fd;             /* the bare end, non-blocking; -1 once closed */
    size_t step;
    void *extra;
};

static inline void pair_init(struct pair *p)
{
    int fds[2];
    *p = (struct pair){.loop = loop_new()};
    assert_non_null(p->loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    p->fd = fds[1];
    assert_int_equal(fcntl(p->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(watch_start(&p->watch, p->loop, p->fd, 0), 0);
    p->stream = stream_new(p->loop, fds[0]);
    assert_non_null(p->stream);
}

static inline void pair_close_fd(struct pair *p)
{
    if (p->fd < 0)
        return;
    watch_stop(&p->watch);
    close(p->fd);
    p->fd = -1;
}

static inline void pair_release(struct pair *p)
{
    stream_free(p->stream);
    pair_close_fd(p);
    loop_free(p->loop);
}

static inline void stop_when_alone(struct fiber *self, void *argument)
{
    struct loop *loop = argument;
    while (loop_fiber_count(loop) > 1 && fiber_sleep(self, clock_monotonic() + 100000) == 0)
        ;
    loop_stop(loop);
}

/* Runs both until they have returned. */
static inline void pair_run(struct pair *p, void (*server)(struct fiber *, void *),
                            void (*client)(struct fiber *, void *))
{
    if (server)
        assert_non_null(fiber_start(p->loop, "server", server, p));
    if (client)
        assert_non_null(fiber_start(p->loop, "client", client, p));
    assert_non_null(fiber_start(p->loop, "stop", stop_when_alone, p->loop));
    assert_int_equal(loop_run(p->loop), 0);
}

/* Writes all, waiting where needed. */
static inline void put(struct fiber *self, struct pair *p, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(p->fd, data, size);
        if (n < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_int_equal(watch_wait_writable(self, &p->watch, clock_in_seconds(30)), 0);
            continue;
        }
        data += n;
        size -= (size_t)n;
    }
}

/* Reads up to `size` bytes, waiting for at least one; 0 at the end. */
static inline size_t get(struct fiber *self, struct pair *p, char *to, size_t size)
{
    for (;;) {
        ssize_t n = read(p->fd, to, size);
        if (n >= 0)
            return (size_t)n;
        assert_int_equal(errno, EAGAIN);
        assert_int_equal(watch_wait_readable(self, &p->watch, clock_in_seconds(30)), 0);
    }
}

#define LONG clock_in_seconds(30)

#endif
