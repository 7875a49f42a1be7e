/* Auth: passwords and grants. */
#include "auth/service.h"

#include "base/log.h"
#include "proc/admin_socket.h"

#include <errno.h>

static struct auth_process *process;
static struct admin_socket admin;

static int start(struct child *child, struct buf *problem)
{
    process = auth_process_new(child->loop, child->settings, &child->peers, child->grant_key, problem);
    return process ? 0 : -EIO;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return auth_process_attach(process, fd, peer);
}

static int adopt(struct child *child, struct control_frame *frame)
{
    int error = 0;
    for (size_t i = 0; i < frame->descriptor_count; i++) {
        const struct control_descriptor *d = &frame->descriptors[i];
        int failure = d->use == CONTROL_FD_BOARD ? auth_process_show_board(process, d->fd, d->instance) : 0;
        error = failure ? failure : error;
    }
    int failure = admin_socket_adopt(&admin, child, frame);
    return failure ? failure : error;
}

static void update(struct child *child)
{
    struct buf problem;
    buf_init(&problem, 1000);
    if (auth_process_set_settings(process, child->settings, &problem))
        log_write(LOG_PROBLEM, "auth", NULL, "goes on with the old settings problem=%s", log_quote(buf_span(&problem)));
    buf_release(&problem);
}

/* Its clients are gone by now. The steps that are left would answer nobody. */
static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    admin_socket_stop(&admin);
    loop_cancel_all(child->loop, self);
    for (int error = 0; !error && auth_process_steps(process) && clock_monotonic() < deadline;)
        error = fiber_yield(self);
    if (!auth_process_steps(process))
        auth_process_free(process);
}

const struct child_part auth_part = {.start = start, .attach = attach, .adopt = adopt, .update = update, .stop = stop};
