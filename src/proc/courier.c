/* The courier: everything that connects to other sites. */
#include "deliver/courier.h"

#include "base/log.h"
#include "proc/child.h"

#include <errno.h>

static struct courier *courier;

/* It has them now. */
static void forget_password(struct child *child)
{
    if (child->password.data)
        explicit_bzero(child->password.data, child->password.size);
    buf_release(&child->password);
    buf_release(&child->authorities);
}

static int start(struct child *child, struct buf *problem)
{
    courier = courier_new(child->loop, child->settings, &child->peers, buf_span(&child->authorities),
                          buf_span(&child->password), problem);
    forget_password(child);
    return courier ? 0 : -EIO;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return courier_attach(courier, fd, peer);
}

static void update(struct child *child)
{
    struct buf problem;
    buf_init(&problem, 1000);
    if (courier_set_settings(courier, child->settings, buf_span(&child->authorities), buf_span(&child->password),
                             &problem))
        log_write(LOG_PROBLEM, "courier", NULL, "goes on with the old settings problem=%s",
                  log_quote(buf_span(&problem)));
    buf_release(&problem);
    forget_password(child);
}

static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    courier_stop(self, courier, deadline);
}

const struct child_part courier_part = {.start = start, .attach = attach, .update = update, .stop = stop};
