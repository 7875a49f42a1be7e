/* One command's conversation with one service: a loop, a channel and a fiber of its own, from beginning to end. */
#ifndef CTL_CONVERSATION_H
#define CTL_CONVERSATION_H

#include "ctl/ctl.h"
#include "ipc/channel.h"

/* Runs `work` on a fiber, with a channel over `fd` (taken, also on failure; it may block) to a service that `peer`
 * gives. The channel is the work's while it runs. Blocks until the work has ended. The work's exit status, or EX_OSERR
 * with the sentence. */
MUST_USE int conversation_run(struct ctl *ctl, int fd, const struct service *service, enum role peer,
                              int (*work)(struct fiber *self, struct channel *channel, void *context), void *context);

/* What came of a call to `whom` ("the server", "the store"): EX_OK for 0, else an exit status with the sentence. */
MUST_USE int conversation_explain(struct ctl *ctl, const char *whom, int error);

#endif
