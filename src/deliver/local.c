/* Work for nobody outside: posts to mailing lists, reports that mail was delivered here, and recipients of ours that
 * could not be reached when the message came in. */
#include "base/clock.h"
#include "deliver/internal.h"

#include <stdlib.h>

/* True when the job's entries are settled; false when they were told of already (and are gone). */
static bool settle_local(struct fiber *self, struct courier *c, struct entry *e)
{
    bool done = false;
    if (e->is_settled)
        return true;
    if (e->kind == ENTRY_LIST) {
        expand_list(self, c, e, &done);
    } else if (e->kind == ENTRY_REMOTE) {
        deliver_here(self, c, e, &done);
    } else {
        struct verdict delivered = {.kind = VERDICT_DELIVERED, .status = "2.0.0"};
        entry_settle(e, delivered, (struct span){0}, (struct span){0});
    }
    return !done;
}

void local_main(struct fiber *self, void *argument)
{
    struct site *site = argument;
    struct courier *c = site->courier;
    for (struct job *job; (job = site_take(site)) != NULL;) {
        list_each_safe (node, &job->entries) {
            struct entry *e = container_of(node, struct entry, node);
            if (settle_local(self, c, e))
                continue;
            list_remove(&e->node);
            entry_release(e);
        }
        job_finish(c, job);
    }
    site->runners--;
    c->runners--;
    site_schedule(site);
    courier_feed_starving(c);
    condition_wake_all(&c->room);
    site_leave(site);
}
