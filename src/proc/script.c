/* The script process: the site's Lua rules, and nothing else. It may compute, and set the timer that ends it. */
#include "script/service.h"

#include "base/log.h"
#include "proc/child.h"

#include <errno.h>

static struct script_service *service;

/* It has a copy. */
static void forget_script(struct child *child)
{
    buf_release(&child->script);
}

static struct span text_of(const struct child *child)
{
    struct span text = buf_span(&child->script);
    if (child->has_script && !text.data)
        text.data = ""; /* an empty file, not one that can't be read */
    return text;
}

static int start(struct child *child, struct buf *problem)
{
    service = script_service_new(child->loop, child->settings, text_of(child), problem);
    forget_script(child);
    return service ? 0 : -ENOMEM;
}

static int attach(struct child *child, int fd, enum role peer)
{
    return script_service_attach(service, fd, peer);
}

static void update(struct child *child)
{
    if (script_service_update(service, child->settings, text_of(child)))
        log_write(LOG_PROBLEM, "script", NULL, "goes on with the old script problem=\"out of memory\"");
    forget_script(child);
}

/* Its callers are gone by now, or have been told that it goes. */
static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    script_service_free(service);
}

const struct child_part script_part = {.start = start, .attach = attach, .update = update, .stop = stop};
