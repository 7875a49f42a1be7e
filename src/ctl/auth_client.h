/* The command line's way to a running server's auth process: its control socket, over which ipc/auth.proto is spoken.
 */
#ifndef CTL_AUTH_CLIENT_H
#define CTL_AUTH_CLIENT_H

#include "ctl/ctl.h"
#include "ipc/services.h"

struct auth_client;

/* What a command does with it; returns an exit status, with the sentence in ctl->problem. */
struct auth_work {
    int (*run)(struct fiber *self, struct auth_client *client, struct auth_work *work);
    struct ctl *ctl;
    struct settings *settings; /* auth_client_run() reads and releases them */
};

/* Reads the settings, connects, runs the work on a fiber of a loop of its own, and disconnects. The exit status. */
int auth_client_run(struct auth_work *work);
/* One call, with so many seconds for its answer. 0, or an exit status with the sentence written; 0 with answer->message
 * NULL when the fiber was cancelled. The answer is to be released when 0. */
MUST_USE int auth_client_call(struct fiber *self, struct auth_client *client, size_t method,
                              const ProtobufCMessage *request, unsigned seconds, struct answer *answer);

#endif
