#include "proc/admin_socket.h"

#include "base/log.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE (NANOSECONDS / 10)

static bool may_manage(const struct admin_socket *a, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == a->child->owner)
        return true;
    log_write(LOG_FAILURE, role_name(a->child->row->role), NULL, "control connection refused uid=%u pid=%d",
              (unsigned)peer.uid, (int)peer.pid);
    return false;
}

static void attach(const struct admin_socket *a, int fd)
{
    if (!a->child->row->has_my_socket && !may_manage(a, fd)) {
        close(fd);
        return;
    }
    int error = a->child->does->attach(a->child, fd, ROLE_ADMIN);
    if (error == -EMFILE)
        log_write(LOG_FAILURE, role_name(a->child->row->role), NULL, "control connection refused: too many");
    else if (error)
        log_write(LOG_PROBLEM, role_name(a->child->row->role), NULL, "a control connection was lost error=%s",
                  strerror(-error));
}

static void run(struct fiber *self, void *argument)
{
    struct admin_socket *a = argument;
    int error = 0;
    while (!error) {
        int fd = accept4(a->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            attach(a, fd);
        else if (errno == EAGAIN)
            error = watch_wait_readable(self, &a->watch, CLOCK_NEVER);
        else
            error = fiber_sleep(self, clock_monotonic() + PAUSE);
    }
    watch_stop(&a->watch);
    close(a->watch.fd);
    a->fiber = NULL;
}

int admin_socket_adopt(struct admin_socket *a, struct child *child, struct control_frame *frame)
{
    for (size_t i = 0; i < frame->descriptor_count; i++) {
        struct control_descriptor *d = &frame->descriptors[i];
        if (d->use != CONTROL_FD_ADMIN || a->fiber)
            continue;
        int error = watch_start(&a->watch, child->loop, d->fd, EPOLLEXCLUSIVE);
        if (error)
            return error;
        d->fd = -1;
        a->child = child;
        a->fiber = fiber_start(child->loop, "admin", run, a);
        if (!a->fiber)
            return -ENOMEM;
    }
    return 0;
}

void admin_socket_stop(struct admin_socket *a)
{
    if (a->fiber)
        fiber_cancel(a->fiber);
}
