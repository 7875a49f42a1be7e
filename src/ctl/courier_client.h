/* The command line's way to a running server's courier: its control socket, over which ipc/courier.proto is spoken. */
#ifndef CTL_COURIER_CLIENT_H
#define CTL_COURIER_CLIENT_H

#include "courier.pb-c.h"
#include "ctl/ctl.h"
#include "ipc/services.h"

struct courier_client;

/* What a command does with it; returns an exit status, with the sentence in ctl->problem. */
struct courier_work {
    int (*run)(struct fiber *self, struct courier_client *client, struct courier_work *work);
    struct ctl *ctl;
    const struct settings *settings;
    void *context; /* the command's */
};

/* Connects, runs the work on a fiber of a loop of its own, and disconnects. The exit status. */
int courier_client_run(struct courier_work *work);
/* Does a courier answer at the data directory's control socket? */
bool courier_client_has_server(const struct settings *settings);
/* One call. 0, or an exit status with the sentence written. The answer is to be released when 0. */
MUST_USE int courier_client_call(struct fiber *self, struct courier_client *client, size_t method,
                                 const ProtobufCMessage *request, struct answer *answer);

#endif
