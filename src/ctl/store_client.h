/* The command line's way to the store: the running server's control socket, or, when no server runs, a writer of its
 * own in a child process. Both speak the same service (ipc/store_write.proto), so a command never knows the difference.
 */
#ifndef CTL_STORE_CLIENT_H
#define CTL_STORE_CLIENT_H

#include "ctl/ctl.h"
#include "ipc/services.h"

struct store_client;

/* What a command does with the store; returns an exit status, with the sentence in ctl->problem. */
struct store_work {
    int (*run)(struct fiber *self, struct store_client *client, struct store_work *work);
    struct ctl *ctl;
    struct settings *settings;
};

/* Connects, runs the work on a fiber of a loop of its own, and disconnects; without a server also waits until the store
 * is closed and all is durable. The exit status. */
int store_client_run(struct store_work *work);
/* Does a server answer at the data directory's control socket? */
bool store_client_has_server(const struct settings *settings);
/* One call. 0, or an exit status with the sentence written; a problem that the store tells in its reply is not looked
 * at. The answer is to be released when 0. */
MUST_USE int store_client_call(struct fiber *self, struct store_client *client, size_t method,
                               const ProtobufCMessage *request, struct answer *answer);
/* The same with an attachment or a descriptor (-1: none), both borrowed until it returns. */
MUST_USE int store_client_send(struct fiber *self, struct store_client *client, size_t method,
                               const ProtobufCMessage *request, struct span attachment, int fd, struct answer *answer);
/* A ChangeRequest; what the store says against it becomes EX_DATAERR with that sentence. `id` may be NULL. */
MUST_USE int store_client_change(struct fiber *self, struct store_client *client, const ProtobufCMessage *request,
                                 uint64_t *id);

/* Makes the data directory where it is missing. As root becomes its user for good, so that no file in it ends up
 * root's; where that user can't come through to it, stays root: the server gives such files to the user when it starts.
 * 0 or an exit status with the sentence. */
MUST_USE int store_client_enter(const struct settings *settings, struct buf *problem);

#endif
