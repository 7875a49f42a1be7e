#include "ipc/channel_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* Stands in a slot whose caller gave up. */
static struct channel_ask abandoned;

static void *take_room(struct channel_ask *ask)
{
    void *room = ask->room;
    ask->room = NULL;
    return room;
}

static int slots_grow(struct channel *c)
{
    uint32_t room = c->slot_room ? c->slot_room * 2 : 64;
    struct channel_ask **slots = realloc(c->slots, room * sizeof *slots);
    if (!slots)
        return -ENOMEM;
    memset(slots + c->slot_room, 0, (room - c->slot_room) * sizeof *slots);
    c->slots = slots;
    c->slot_room = room;
    return 0;
}

/* A free slot's number, waiting for one when all are taken; or a negative errno. */
static int64_t slot_take(struct fiber *self, struct channel *c, bool with_fd, uint64_t deadline)
{
    for (;;) {
        if (!c->open)
            return -EPIPE;
        bool fd_fits = !with_fd || c->outgoing_fd_count < CHANNEL_FDS_MAX;
        if (c->slots_taken < CHANNEL_CALLS_MAX && channel_backlog(c) <= CHANNEL_BACKLOG && fd_fits)
            break;
        struct condition *wanted = c->slots_taken < CHANNEL_CALLS_MAX ? &c->drained : &c->slot_freed;
        int error = condition_wait(self, wanted, deadline);
        if (error)
            return error;
    }
    if (c->slots_taken == c->slot_room) {
        int error = slots_grow(c);
        if (error)
            return error;
    }
    /* On from the last one taken: the slots after it are the longest free. The room is a power of two. */
    uint32_t slot = c->slot_turn;
    while (c->slots[slot &= c->slot_room - 1])
        slot++;
    c->slot_turn = slot + 1;
    c->slots_taken++;
    return slot;
}

static void slot_free(struct channel *c, uint32_t slot)
{
    c->slots[slot] = NULL;
    c->slots_taken--;
    condition_wake_one(&c->slot_freed);
}

void channel_ask_start(struct fiber *self, struct channel_ask *ask, struct channel *c, size_t method,
                       const ProtobufCMessage *request, struct span attachment, int fd, uint64_t deadline,
                       struct answer *answer)
{
    *answer = (struct answer){.fd = -1};
    *ask = (struct channel_ask){.answer = answer, .error = -EPIPE, .done = true};
    if (!c || !c->open)
        return;
    if (method >= c->service->count)
        abort();
    ask->method = &c->service->methods[method];
    condition_init(&ask->done_changed);
    c->references++; /* the channel may be freed while we wait */
    int64_t slot = slot_take(self, c, fd >= 0, deadline);
    ask->error = slot < 0 ? (int)slot : 0;
    if (!ask->error && !(ask->room = channel_unpacked_new())) {
        ask->error = -ENOMEM;
        slot_free(c, (uint32_t)slot);
    }
    if (!ask->error) {
        struct frame frame = {
            .kind = FRAME_REQUEST, .method = (uint16_t)method, .call = (uint32_t)slot, .attachment = attachment};
        ask->error = channel_send(c, &frame, request, fd);
        if (ask->error)
            slot_free(c, (uint32_t)slot);
    }
    if (ask->error) {
        channel_unref(c);
        return;
    }
    ask->channel = c;
    ask->slot = (uint32_t)slot;
    ask->done = false;
    c->slots[slot] = ask;
}

int channel_ask_finish(struct fiber *self, struct channel_ask *ask, uint64_t deadline)
{
    int error = 0;
    while (!ask->done && !error)
        error = condition_wait(self, &ask->done_changed, deadline);
    if (!ask->done)
        ask->channel->slots[ask->slot] = &abandoned;
    if (ask->channel)
        channel_unref(ask->channel);
    ask->channel = NULL;
    channel_unpacked_free(take_room(ask));
    return ask->done ? ask->error : error;
}

int channel_call(struct fiber *self, struct channel *c, size_t method, const ProtobufCMessage *request,
                 struct span attachment, int fd, uint64_t deadline, struct answer *answer)
{
    struct channel_ask ask;
    channel_ask_start(self, &ask, c, method, request, attachment, fd, deadline, answer);
    return channel_ask_finish(self, &ask, deadline);
}

bool channel_answered(struct channel *c, const struct frame *frame, int fd)
{
    bool asked = frame->call < c->slot_room && c->slots[frame->call];
    struct channel_ask *waiting = asked ? c->slots[frame->call] : NULL;
    bool sound = asked;
    if (asked && waiting != &abandoned) {
        struct unpacked unpacked = {0};
        if (frame->kind == FRAME_FAILURE)
            waiting->error = frame->error;
        else
            waiting->error = channel_unpack(waiting->method->reply, frame, take_room(waiting), &unpacked);
        if (unpacked.memory)
            *waiting->answer = (struct answer){unpacked.message, unpacked.attachment, fd, unpacked.memory};
        sound = waiting->error != -EPROTO;
        waiting->done = true;
        condition_wake_one(&waiting->done_changed);
        if (waiting->answer->memory)
            fd = -1; /* it is the answer's now */
    }
    if (fd >= 0)
        close(fd);
    if (asked)
        slot_free(c, frame->call);
    return sound;
}

void channel_fail_waiting(struct channel *c)
{
    for (uint32_t i = 0; i < c->slot_room; i++) {
        struct channel_ask *waiting = c->slots[i];
        if (waiting && waiting != &abandoned) {
            waiting->error = -EPIPE;
            waiting->done = true;
            condition_wake_one(&waiting->done_changed);
        }
        c->slots[i] = NULL;
    }
    c->slots_taken = 0;
}

void answer_release(struct answer *answer)
{
    if (answer->fd >= 0 && answer->memory)
        close(answer->fd);
    channel_unpacked_free(answer->memory);
    *answer = (struct answer){.fd = -1};
}

int answer_take_fd(struct answer *answer)
{
    int fd = answer->fd;
    answer->fd = -1;
    return fd;
}
