/* A channel: calls between two of our processes over a stream socketpair.
 *
 * Frames are gathered and written once a turn of the loop, so under load one system call carries many calls. A frame is
 * a fixed header, a protobuf message, and an attachment of raw bytes (a mail body is never packed into protobuf); it
 * may carry one descriptor.
 *
 * The peer is hostile: a malformed frame, an unknown method, a method its role may not call, a message that does not
 * unpack, a frame over the limits, a reply nobody asked for: each closes the channel and nothing else. Calls that were
 * waiting get -EPIPE.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "base/buf.h"
#include "ipc/role.h"
#include "run/fiber.h"
#include "run/loop.h"

#include <protobuf-c/protobuf-c.h>

#define CHANNEL_MESSAGE_MAX (1u << 20)    /* packed protobuf bytes of a frame */
#define CHANNEL_ATTACHMENT_MAX (4u << 20) /* attachment bytes of a frame */
#define CHANNEL_CALLS_MAX 4096            /* calls of one peer that are not answered yet */

struct channel;

/* ---- The contract of a service: one table, shared by both ends ---- */

struct call;

struct method {
    const char *name;
    const ProtobufCMessageDescriptor *request, *reply;
    uint32_t callers; /* mask of ROLE_BIT(): who may call it */
};

struct service {
    const char *name;
    const struct method *methods; /* the number of a method is its index */
    size_t count;
    bool carries_secrets; /* passwords and their hashes: buffers are wiped behind each use */
};

/* ---- Client end ---- */

struct answer {
    ProtobufCMessage *message; /* of the method's reply type; never NULL on success */
    struct span attachment;
    int fd; /* -1 when none came; owned by the answer until taken */
    void *memory;
};

/* Calls and waits. 0; -EPIPE when the peer is gone (it will be back: tell the client 4xx); -ETIMEDOUT; -ECANCELED;
 * -ENOMEM; -EPROTO; or the negative errno that the service answered with (-EACCES, -EAGAIN, -EIO, -EINVAL …).
 * `attachment` may be empty, `fd` -1 (it stays the caller's). A NULL channel is -EPIPE. On success the answer is
 * released with answer_release(); on error it is empty and releasing it does nothing. */
MUST_USE int channel_call(struct fiber *self, struct channel *c, size_t method, const ProtobufCMessage *request,
                          struct span attachment, int fd, uint64_t deadline, struct answer *answer);
/* The same in two steps, so that one fiber may have several calls under way. `ask` and `answer` have to stay where they
 * are until channel_ask_finish(), which is to be called once for each ask, whatever channel_ask_start() said: it gives
 * that result, or waits. */
struct channel_ask {
    struct channel *channel;
    const struct method *method;
    struct answer *answer;
    uint32_t slot;
    void *room; /* for the answer, taken before anything is asked: what was done is heard of, also without memory */
    struct condition done_changed;
    int error;
    bool done;
};
/* May wait for room on the channel. */
void channel_ask_start(struct fiber *self, struct channel_ask *ask, struct channel *c, size_t method,
                       const ProtobufCMessage *request, struct span attachment, int fd, uint64_t deadline,
                       struct answer *answer);
MUST_USE int channel_ask_finish(struct fiber *self, struct channel_ask *ask, uint64_t deadline);
void answer_release(struct answer *answer);
/* The descriptor, now the caller's, or -1. */
int answer_take_fd(struct answer *answer);

/* ---- Server end ---- */

/* A request that came in. The handler owns it and ends it with exactly one call_reply() or call_fail(), now or later.
 */
struct call {
    size_t method;
    enum role caller;          /* who the supervisor said is at the other end */
    uint64_t channel_id;       /* never reused in a process: for state that belongs to a peer */
    ProtobufCMessage *request; /* unpacked, of the method's request type; owned by the call */
    struct span attachment;    /* owned by the call */
    size_t size;               /* bytes of memory that it holds until it is answered */
    int fd;                    /* -1 when none; owned by the call unless taken (set to -1) */
    struct list_node node;     /* for the handler's own queue */
};

void call_reply(struct call *call, const ProtobufCMessage *reply, struct span attachment,
                int fd /* borrowed, duplicated */);
/* `error` is a negative errno. */
void call_fail(struct call *call, int error);

/* ---- Both ends ---- */

struct channel_events {
    /* Server end: a checked call. NULL on a pure client end (a request then closes the channel). */
    void (*called)(void *context, struct call *call);
    /* The channel is dead (peer gone or misbehaved): to be told once; the owner frees the channel now or later. May be
     * NULL. */
    void (*closed)(void *context, struct channel *c);
};

/* Takes fd, also on failure (NULL). `service` is the contract spoken on it; `peer` the role at the other end. `events`
 * may be NULL for a client. */
MUST_USE struct channel *channel_new(struct loop *loop, int fd, const struct service *service, enum role peer,
                                     const struct channel_events *events, void *context);
/* Calls waiting on it get -EPIPE; unanswered calls may still be answered, into nothing. NULL-safe. */
void channel_free(struct channel *c);
bool channel_is_open(const struct channel *c);
/* When it was closed, on the monotonic clock; 0: it is open. */
uint64_t channel_closed_at(const struct channel *c);
uint64_t channel_id(const struct channel *c);
/* Stops and starts taking in frames: back-pressure for a server whose queue is full. */
void channel_pause(struct channel *c, bool paused);

/* The two ends of a fresh socketpair with large buffers, close-on-exec, non-blocking. 0 or a negative errno. */
MUST_USE int channel_pair(int fds[2]);

#endif
