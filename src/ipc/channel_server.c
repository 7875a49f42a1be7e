#include "base/arena.h"
#include "ipc/channel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Unpacking may not cost more than some multiple of what the peer sent: a packed field of two bytes becomes an element
 * of at most 40. */
#define UNPACK_FACTOR 64
#define UNPACK_SLACK 4096

/* An unpacked message, its arena and a copy of the attachment: one thing to free. */
struct unpacked_memory {
    struct arena arena;
    char *attachment;
};

static void *arena_take(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void arena_leave(void *arena, void *piece)
{
}

void *channel_unpacked_new(void)
{
    struct unpacked_memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return NULL;
    arena_init(&memory->arena, UNPACK_SLACK);
    if (!arena_alloc(&memory->arena, 1)) {
        channel_unpacked_free(memory);
        return NULL;
    }
    arena_reset(&memory->arena); /* keeps the block */
    return memory;
}

int channel_unpack(const ProtobufCMessageDescriptor *type, const struct frame *frame, void *room, struct unpacked *out)
{
    struct unpacked_memory *memory = room;
    if (!memory)
        return -ENOMEM;
    memory->arena.limit = frame->message.size * UNPACK_FACTOR + UNPACK_SLACK + type->sizeof_message;
    ProtobufCAllocator allocator = {arena_take, arena_leave, &memory->arena};
    ProtobufCMessage *message =
        protobuf_c_message_unpack(type, &allocator, frame->message.size, (const uint8_t *)frame->message.data);
    memory->attachment = frame->attachment.size ? malloc(frame->attachment.size) : NULL;
    if (!message || (frame->attachment.size && !memory->attachment)) {
        bool is_malformed = !message && !memory->arena.is_starved;
        channel_unpacked_free(memory);
        return is_malformed ? -EPROTO : -ENOMEM;
    }
    if (frame->attachment.size)
        memcpy(memory->attachment, frame->attachment.data, frame->attachment.size);
    *out = (struct unpacked){message, span_from(memory->attachment, frame->attachment.size), memory};
    return 0;
}

void channel_unpacked_free(void *pointer)
{
    struct unpacked_memory *memory = pointer;
    if (!memory)
        return;
    arena_release(&memory->arena);
    free(memory->attachment);
    free(memory);
}

/* The call as the handler sees it, and what it takes to answer it. */
struct pending {
    struct call call;
    struct channel *channel;
    uint32_t number;
    void *memory;
};

static bool may_call(const struct channel *c, const struct frame *frame)
{
    return c->events && c->events->called && frame->method < c->service->count &&
           c->service->methods[frame->method].callers & ROLE_BIT(c->peer) && c->unanswered < CHANNEL_CALLS_MAX;
}

/* An answer to what never became a call. Where not even this fits, the peer would wait for ever: it loses the channel.
 */
static bool refuse(struct channel *c, const struct frame *request, int error)
{
    struct frame frame = {.kind = FRAME_FAILURE, .method = request->method, .call = request->call, .error = error};
    int failed = channel_send(c, &frame, NULL, -1);
    return !failed || failed == -EPIPE;
}

bool channel_called(struct channel *c, const struct frame *frame, int fd)
{
    struct unpacked unpacked = {0};
    struct pending *pending = NULL;
    int error = may_call(c, frame) ? channel_unpack(c->service->methods[frame->method].request, frame,
                                                    channel_unpacked_new(), &unpacked)
                                   : -EPROTO;
    if (!error && !(pending = malloc(sizeof *pending)))
        error = -ENOMEM;
    if (error)
        goto refuse;
    *pending = (struct pending){
        .call = {.method = frame->method,
                 .caller = c->peer,
                 .channel_id = c->id,
                 .request = unpacked.message,
                 .attachment = unpacked.attachment,
                 .size = ((struct unpacked_memory *)unpacked.memory)->arena.used + unpacked.attachment.size,
                 .fd = fd},
        .channel = c,
        .number = frame->call,
        .memory = unpacked.memory,
    };
    list_init(&pending->call.node);
    c->references++;
    c->unanswered++;
    c->events->called(c->context, &pending->call);
    return true;
refuse:
    channel_unpacked_free(unpacked.memory);
    if (fd >= 0)
        close(fd);
    return error == -ENOMEM && refuse(c, frame, error);
}

static void call_end(struct call *call)
{
    struct pending *pending = container_of(call, struct pending, call);
    if (call->fd >= 0)
        close(call->fd);
    pending->channel->unanswered--;
    channel_unref(pending->channel);
    channel_unpacked_free(pending->memory);
    free(pending);
}

void call_reply(struct call *call, const ProtobufCMessage *reply, struct span attachment, int fd)
{
    struct pending *pending = container_of(call, struct pending, call);
    struct frame frame = {
        .kind = FRAME_REPLY, .method = (uint16_t)call->method, .call = pending->number, .attachment = attachment};
    int error = channel_send(pending->channel, &frame, reply, fd);
    if (error && error != -EPIPE) {
        call_fail(call, error);
        return;
    }
    call_end(call);
}

void call_fail(struct call *call, int error)
{
    struct pending *pending = container_of(call, struct pending, call);
    struct frame frame = {
        .kind = FRAME_FAILURE, .method = (uint16_t)call->method, .call = pending->number, .error = error};
    /* Not even this fits: the peer would wait for ever, so it loses the channel. */
    int failed = channel_send(pending->channel, &frame, NULL, -1);
    if (failed && failed != -EPIPE)
        channel_shut(pending->channel);
    call_end(call);
}
