/* The resolver: questions to the DNS, for all others. Opens sockets to DNS servers and nothing else. */
#include "base/log.h"
#include "dns/service.h"
#include "proc/child.h"

#include <errno.h>

static struct resolver *resolver;
/* The supervisor is followed on a fiber, whose stack is too small for what libunbound does to take its settings. */
static struct loop_hook update_hook;
static struct child *updated; /* NULL: nothing is due */

static void run_update(struct loop_hook *hook)
{
    struct child *child = updated;
    struct buf problem;
    if (!child)
        return;
    updated = NULL;
    buf_init(&problem, 1000);
    if (resolver_set_settings(resolver, child->settings, buf_span(&child->trust_anchors), &problem))
        log_write(LOG_PROBLEM, "resolver", NULL, "goes on with the old settings problem=%s",
                  log_quote(buf_span(&problem)));
    buf_release(&problem);
}

static int start(struct child *child, struct buf *problem)
{
    /* Before the resolver's own, which asks in the same turn what an update puts back. */
    update_hook.run = run_update;
    loop_add_hook(child->loop, &update_hook);
    resolver = resolver_new(child->loop, child->settings, buf_span(&child->trust_anchors), problem);
    if (resolver)
        return 0;
    loop_remove_hook(&update_hook);
    return -EIO;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return resolver_attach(resolver, fd, peer);
}

static void update(struct child *child)
{
    updated = child;
}

/* Its clients are gone by now. What libunbound holds ends with the process: to free it, too, takes more stack than the
 * fiber has that this runs on. */
static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    updated = NULL;
    loop_remove_hook(&update_hook);
}

const struct child_part resolver_part = {.start = start, .attach = attach, .update = update, .stop = stop};
