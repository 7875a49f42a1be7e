/* The writer: the one process that changes the store. Also takes in the command line's connections on the control
 * socket. */
#include "store/writer.h"

#include "base/log.h"
#include "proc/child.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAUSE (NANOSECONDS / 10)

static struct {
    struct store_writer *store;
    struct watch admin;
    struct fiber *admin_fiber;
    uid_t owner; /* who may manage the store beside root */
} writer;

static bool may_manage(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == writer.owner)
        return true;
    log_write(LOG_FAILURE, "writer", NULL, "control connection refused uid=%u pid=%d", (unsigned)peer.uid,
              (int)peer.pid);
    return false;
}

static void attach_admin(int fd)
{
    if (!may_manage(fd)) {
        close(fd);
        return;
    }
    int error = store_writer_attach(writer.store, fd, ROLE_ADMIN);
    if (error)
        log_write(LOG_PROBLEM, "writer", NULL, "a control connection was lost error=%s", strerror(-error));
}

static void run_admin(struct fiber *self, void *argument)
{
    int error = 0;
    while (!error) {
        int fd = accept4(writer.admin.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            attach_admin(fd);
        else if (errno == EAGAIN)
            error = watch_wait_readable(self, &writer.admin, CLOCK_NEVER);
        else
            error = fiber_sleep(self, clock_monotonic() + PAUSE);
    }
    watch_stop(&writer.admin);
    close(writer.admin.fd);
    writer.admin_fiber = NULL;
}

static int start(struct child *child, struct buf *problem)
{
    writer.owner = geteuid();
    writer.store = store_writer_new(child->loop, child->settings, child->grant_key, problem);
    return writer.store ? 0 : -EIO;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return store_writer_attach(writer.store, fd, peer);
}

static int adopt(struct child *child, struct control_frame *frame)
{
    for (size_t i = 0; i < frame->descriptor_count; i++) {
        struct control_descriptor *d = &frame->descriptors[i];
        if (d->use != CONTROL_FD_ADMIN || writer.admin_fiber)
            continue;
        int error = watch_start(&writer.admin, child->loop, d->fd, EPOLLEXCLUSIVE);
        if (error)
            return error;
        d->fd = -1;
        writer.admin_fiber = fiber_start(child->loop, "admin", run_admin, NULL);
        if (!writer.admin_fiber)
            return -ENOMEM;
    }
    return 0;
}

static void update(struct child *child)
{
    if (store_writer_set_settings(writer.store, child->settings))
        log_write(LOG_PROBLEM, "writer", NULL, "no memory for the new settings, goes on with the old ones");
}

static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    if (writer.admin_fiber)
        fiber_cancel(writer.admin_fiber);
    store_writer_stop(writer.store);
    store_writer_free(writer.store);
}

const struct child_part writer_part = {
    .start = start, .attach = attach, .adopt = adopt, .update = update, .stop = stop};
