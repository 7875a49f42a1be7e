/* The command line's way to a running server: its control sockets, each with one service behind it. The store has a way
 * of its own besides, without a server (ctl/store_client.h). */
#ifndef CTL_CONTROL_CLIENT_H
#define CTL_CONTROL_CLIENT_H

#include "ctl/ctl.h"
#include "ipc/services.h"

struct control_client;

enum control_service {
    CONTROL_AUTH,    /* ipc/auth.proto */
    CONTROL_COURIER, /* ipc/courier.proto */
};

/* What a command does with it; returns an exit status, with the sentence in ctl->problem. */
struct control_work {
    int (*run)(struct fiber *self, struct control_client *client, struct control_work *work);
    struct ctl *ctl;
    const struct settings *settings;
    void *context; /* the command's */
};

/* Connects, runs the work on a fiber of a loop of its own, and disconnects. The exit status. */
int control_client_run(struct control_work *work, enum control_service service);
/* The same with settings that it reads itself. */
int control_client_run_alone(struct control_work *work, enum control_service service);
/* Does a server answer there? */
bool control_client_has_server(const struct settings *settings, enum control_service service);
/* One call, with so many seconds for its answer. 0, or an exit status with the sentence written; 0 with answer->message
 * NULL when the fiber was cancelled. The answer is to be released when 0. */
MUST_USE int control_client_call(struct fiber *self, struct control_client *client, size_t method,
                                 const ProtobufCMessage *request, unsigned seconds, struct answer *answer);

#endif
