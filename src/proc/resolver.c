/* The resolver: questions to the DNS, for all others. Opens sockets to DNS servers and nothing else. */
#include "base/log.h"
#include "dns/service.h"
#include "proc/child.h"

#include <errno.h>

static struct resolver *resolver;

static int start(struct child *child, struct buf *problem)
{
    resolver = resolver_new(child->loop, child->settings, buf_span(&child->trust_anchors), problem);
    return resolver ? 0 : -EIO;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return resolver_attach(resolver, fd, peer);
}

static void update(struct child *child)
{
    struct buf problem;
    buf_init(&problem, 1000);
    if (resolver_set_settings(resolver, child->settings, buf_span(&child->trust_anchors), &problem))
        log_write(LOG_PROBLEM, "resolver", NULL, "goes on with the old settings problem=%s",
                  log_quote(buf_span(&problem)));
    buf_release(&problem);
}

/* Its clients are gone by now. */
static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    resolver_free(resolver);
    resolver = NULL;
}

const struct child_part resolver_part = {.start = start, .attach = attach, .update = update, .stop = stop};
