/* The writer: the one process that changes the store. Also takes in the command line's connections on the control
 * socket. */
#include "store/writer.h"

#include "base/log.h"
#include "proc/admin_socket.h"

#include <errno.h>

static struct {
    struct store_writer *store;
    struct admin_socket admin;
} writer;

static int start(struct child *child, struct buf *problem)
{
    writer.store = store_writer_new(child->loop, child->settings, child->grant_key, problem);
    return writer.store ? 0 : -EIO;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return store_writer_attach(writer.store, fd, peer);
}

static int adopt(struct child *child, struct control_frame *frame)
{
    return admin_socket_adopt(&writer.admin, child, frame);
}

static void update(struct child *child)
{
    if (store_writer_set_settings(writer.store, child->settings))
        log_write(LOG_PROBLEM, "writer", NULL, "no memory for the new settings, goes on with the old ones");
}

static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    admin_socket_stop(&writer.admin);
    store_writer_stop(writer.store);
    store_writer_free(writer.store);
}

const struct child_part writer_part = {
    .start = start, .attach = attach, .adopt = adopt, .update = update, .stop = stop};
