/* The command line's way to the DNS: a resolver of its own, as the server's is made from the same settings, in a child
 * process without privileges. */
#ifndef CTL_RESOLVER_CLIENT_H
#define CTL_RESOLVER_CLIENT_H

#include "ctl/ctl.h"
#include "ipc/peers.h"

struct resolver_work {
    void (*run)(struct fiber *self, struct peers *peers, struct resolver_work *work);
    struct ctl *ctl;
    struct settings *settings;
};

/* Runs the work on a fiber of a loop of its own; `peers` has a ROLE_RESOLVER. The process that asks ends with it. 0, or
 * an exit status with the sentence when there is no resolver to be had. */
int resolver_client_run(struct resolver_work *work);

#endif
