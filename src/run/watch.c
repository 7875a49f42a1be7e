#include "run/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static int tell(struct watch *watch, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(watch->loop->epoll, operation, watch->fd, &event) != 0)
        return -errno;
    watch->registered = operation == EPOLL_CTL_DEL ? 0 : events;
    return 0;
}

int watch_start(struct watch *watch, struct loop *loop, int fd, uint32_t events)
{
    *watch = (struct watch){.loop = loop, .fd = fd, .level = events & EPOLLEXCLUSIVE};
    uint32_t all = watch->level ? events | EPOLLIN : events | EPOLLIN | EPOLLRDHUP | EPOLLET;
    int error = tell(watch, EPOLL_CTL_ADD, all);
    if (error)
        watch->loop = NULL;
    return error;
}

static void wake(struct fiber *fiber, int outcome)
{
    if (fiber)
        fiber_wake(fiber, outcome);
}

void watch_stop(struct watch *watch)
{
    if (!watch->loop)
        return;
    /* A failure means that the descriptor was closed first: while a copy of it lives elsewhere, epoll would go on to
     * report a watch that is gone. */
    if (watch->registered && tell(watch, EPOLL_CTL_DEL, 0) != 0)
        abort();
    watch->loop = NULL;
    wake(watch->reader, -ECANCELED);
    wake(watch->writer, -ECANCELED);
}

void watch_close(struct watch *watch)
{
    /* Closing the last copy of a descriptor takes it out of the epoll set: no call for that. */
    if (!watch->loop)
        abort();
    int fd = watch->fd;
    watch->registered = 0;
    watch_stop(watch);
    close(fd);
}

void watch_deliver(struct watch *watch, uint32_t events)
{
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        watch->hung_up = true;
        events |= EPOLLIN;
    }
    if (events & (EPOLLHUP | EPOLLERR))
        events |= EPOLLOUT;
    if (events & EPOLLIN) {
        if (watch->reader)
            fiber_wake(watch->reader, 0);
        else if (watch->level)
            /* Else epoll would report it again and again. The next wait registers it anew. If that fails it is just
             * reported again. */
            (void)tell(watch, EPOLL_CTL_DEL, 0);
        else
            watch->ready |= EPOLLIN;
    }
    if (events & EPOLLOUT) {
        if (watch->writer)
            fiber_wake(watch->writer, 0);
        else if (watch->registered & EPOLLOUT)
            (void)tell(watch, EPOLL_CTL_MOD,
                       watch->registered & ~(uint32_t)EPOLLOUT); /* or it wakes us in vain, no more */
    }
}

int watch_wait_readable(struct fiber *self, struct watch *watch, uint64_t deadline)
{
    if (watch->ready & EPOLLIN && !fiber_is_canceled(self)) {
        watch->ready &= ~(uint32_t)EPOLLIN;
        return 0;
    }
    if (watch->level && !watch->registered) {
        int error = tell(watch, EPOLL_CTL_ADD, EPOLLIN | EPOLLEXCLUSIVE);
        if (error)
            return error;
    }
    return fiber_wait(self, deadline, &watch->reader);
}

int watch_wait_writable(struct fiber *self, struct watch *watch, uint64_t deadline)
{
    if (!(watch->registered & EPOLLOUT)) {
        /* epoll looks at once whether there is room, so nothing is missed in between. */
        int error = tell(watch, EPOLL_CTL_MOD, watch->registered | EPOLLOUT);
        if (error)
            return error;
    }
    return fiber_wait(self, deadline, &watch->writer);
}
