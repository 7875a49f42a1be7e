/* What the three files of the channel share: transport (channel.c), client end (channel_client.c), server end
 * (channel_server.c). */
#ifndef IPC_CHANNEL_INTERNAL_H
#define IPC_CHANNEL_INTERNAL_H

#include "ipc/channel.h"
#include "ipc/frame.h"

#define CHANNEL_FDS_MAX 256

/* A descriptor to be sent with the frame that begins at this place of the outgoing byte stream. */
struct outgoing_fd {
    uint64_t position;
    int fd;
};

struct channel {
    struct loop *loop;
    const struct service *service;
    enum role peer;
    const struct channel_events *events;
    void *context;
    uint64_t id;
    unsigned references; /* the owner, the two fibers, the calls not answered yet */
    bool open, owned;
    uint64_t closed_at; /* 0: it is open */

    int fd;
    struct watch watch;
    struct loop_hook hook;
    struct fiber *reader, *writer;

    struct buf input;
    size_t input_used; /* parsed bytes at the front of input */
    int received_fds[CHANNEL_FDS_MAX];
    unsigned received_fd_count;
    bool paused;
    struct condition resumed;

    struct buf output;
    uint64_t sent,
        queued; /* positions in the outgoing byte stream; output holds queued - sent bytes from output_sent on */
    size_t output_sent;
    struct outgoing_fd outgoing_fds[CHANNEL_FDS_MAX];
    unsigned outgoing_fd_count;
    struct condition has_output, drained;

    /* Client end. A call's number is its slot; a slot whose caller gave up stays taken until the late answer comes. */
    struct channel_ask **slots;
    uint32_t slot_room, slots_taken, slot_turn;
    struct condition slot_freed;

    /* Server end. */
    unsigned unanswered;
};

/* transport */
void channel_unref(struct channel *c);
/* The peer is gone or misbehaved: everything that waits is told. Frees nothing. */
void channel_shut(struct channel *c);
/* Queues a frame. `fd` (-1: none) is duplicated. -EPIPE, -ENOMEM, -EMFILE, -EAGAIN when too many descriptors are
 * queued. */
MUST_USE int channel_send(struct channel *c, struct frame *frame, const ProtobufCMessage *message, int fd);
#define CHANNEL_BACKLOG (8u << 20) /* bytes queued before a sender waits for `drained` */
static inline size_t channel_backlog(const struct channel *c)
{
    return c->output.size - c->output_sent;
}

/* client end: false when nobody asked for this reply. Takes fd. */
MUST_USE bool channel_answered(struct channel *c, const struct frame *frame, int fd);
void channel_fail_waiting(struct channel *c);

/* server end: false when the request is not allowed or does not unpack. Takes fd. */
MUST_USE bool channel_called(struct channel *c, const struct frame *frame, int fd);

/* One block for the unpacked message and the attachment: released with free(). */
struct unpacked {
    ProtobufCMessage *message;
    struct span attachment;
    void *memory;
};
/* What a message of ordinary size without an attachment is unpacked into; NULL without memory. */
MUST_USE void *channel_unpacked_new(void);
/* Takes `memory`. 0; -EPROTO: it is none of that type; -ENOMEM: that is our trouble, not the peer's. */
MUST_USE int channel_unpack(const ProtobufCMessageDescriptor *type, const struct frame *frame, void *memory,
                            struct unpacked *out);
void channel_unpacked_free(void *memory);

#endif
