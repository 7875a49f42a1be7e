/* The courier: everything that connects to other sites. */
#include "deliver/courier.h"

#include "base/log.h"
#include "fetch/fetch.h"
#include "proc/admin_socket.h"

#include <errno.h>

static struct courier *courier;
static struct fetcher *fetcher;
static struct admin_socket admin;

/* It has them now. */
static void forget_password(struct child *child)
{
    if (child->password.data)
        explicit_bzero(child->password.data, child->password.size);
    buf_release(&child->password);
    buf_release(&child->authorities);
    buf_release(&child->remote_authorities);
    explicit_bzero(child->remote_key, sizeof child->remote_key);
    child->has_courier_files = false;
}

static int start(struct child *child, struct buf *problem)
{
    courier = courier_new(child->loop, child->settings, &child->peers, buf_span(&child->authorities),
                          buf_span(&child->password), problem);
    if (courier)
        fetcher = fetch_new(child->loop, child->settings, &child->peers, buf_span(&child->remote_authorities),
                            child->remote_key, problem);
    forget_password(child);
    if (!courier || !fetcher)
        return -EIO;
    courier_pass_on(courier, fetch_called, fetcher);
    return 0;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return courier_attach(courier, fd, peer);
}

static int adopt(struct child *child, struct control_frame *frame)
{
    return admin_socket_adopt(&admin, child, frame);
}

static void update(struct child *child)
{
    struct buf problem;
    fetch_set_blacklist(fetcher, child->blacklist);
    if (!child->has_courier_files)
        return; /* the black list is new, nothing else */
    buf_init(&problem, 1000);
    if (courier_set_settings(courier, child->settings, buf_span(&child->authorities), buf_span(&child->password),
                             &problem))
        log_write(LOG_PROBLEM, "courier", NULL, "goes on with the old settings problem=%s",
                  log_quote(buf_span(&problem)));
    buf_reset(&problem);
    if (fetch_set_settings(fetcher, child->settings, buf_span(&child->remote_authorities), &problem))
        log_write(LOG_PROBLEM, "fetch", NULL, "goes on with the old settings problem=%s",
                  log_quote(buf_span(&problem)));
    buf_release(&problem);
    forget_password(child);
}

static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    admin_socket_stop(&admin);
    fetch_stop(self, fetcher, deadline);
    courier_stop(self, courier, deadline);
}

const struct child_part courier_part = {
    .start = start, .attach = attach, .adopt = adopt, .update = update, .stop = stop};
