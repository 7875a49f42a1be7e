#include "ipc/frame.h"

#include "ipc/channel.h"

struct wire_header {
    uint32_t message_size, attachment_size, call;
    int32_t error;
    uint16_t method;
    uint8_t kind, has_fd;
};
_Static_assert(sizeof(struct wire_header) == FRAME_HEADER_SIZE, "the header has no holes");

static bool header_is_sound(const struct wire_header *h)
{
    if (h->message_size > CHANNEL_MESSAGE_MAX || h->attachment_size > CHANNEL_ATTACHMENT_MAX || h->has_fd > 1)
        return false;
    switch (h->kind) {
    case FRAME_REQUEST:
    case FRAME_REPLY:
        return h->error == 0;
    case FRAME_FAILURE:
        return h->error < 0 && h->error >= -4095 && h->message_size == 0 && h->attachment_size == 0 && !h->has_fd;
    default:
        return false;
    }
}

enum frame_status frame_parse(struct span input, struct frame *frame, size_t *size)
{
    struct wire_header h;
    *size = sizeof h;
    if (input.size < sizeof h)
        return FRAME_PARTIAL;
    memcpy(&h, input.data, sizeof h);
    if (!header_is_sound(&h))
        return FRAME_BAD;
    *size = sizeof h + h.message_size + h.attachment_size;
    if (input.size < *size)
        return FRAME_PARTIAL;
    *frame = (struct frame){
        .kind = h.kind,
        .method = h.method,
        .call = h.call,
        .error = h.error,
        .has_fd = h.has_fd,
        .message = span_from(input.data + sizeof h, h.message_size),
        .attachment = span_from(input.data + sizeof h + h.message_size, h.attachment_size),
    };
    return FRAME_WHOLE;
}

void frame_write_header(const struct frame *frame, struct buf *out)
{
    struct wire_header h = {
        .message_size = (uint32_t)frame->message.size,
        .attachment_size = (uint32_t)frame->attachment.size,
        .call = frame->call,
        .error = frame->error,
        .method = frame->method,
        .kind = (uint8_t)frame->kind,
        .has_fd = frame->has_fd,
    };
    buf_add(out, &h, sizeof h);
}
