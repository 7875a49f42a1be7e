/* The frame: what a channel is made of. A fixed header in host byte order (both ends are this machine), the packed
 * message, the attachment. Pure. */
#ifndef IPC_FRAME_H
#define IPC_FRAME_H

#include "base/buf.h"

enum frame_kind { FRAME_REQUEST = 1, FRAME_REPLY = 2, FRAME_FAILURE = 3 };

struct frame {
    enum frame_kind kind;
    uint16_t method;
    uint32_t call; /* chosen by the client, echoed by the server */
    int32_t error; /* FRAME_FAILURE: a negative errno */
    bool has_fd;   /* the next descriptor that comes belongs to it */
    struct span message, attachment;
};

enum frame_status { FRAME_WHOLE, FRAME_PARTIAL, FRAME_BAD };

#define FRAME_HEADER_SIZE 20

/* Looks at the start of `input`. FRAME_WHOLE fills *frame (spans into input) and *size. FRAME_PARTIAL sets *size to
 * what is wanted at least. FRAME_BAD: the sender is broken or hostile (sizes over CHANNEL_MESSAGE_MAX /
 * CHANNEL_ATTACHMENT_MAX, unknown kind, bits that must be zero, an error outside -4095..-1). */
enum frame_status frame_parse(struct span input, struct frame *frame, size_t *size);

/* Appends the header; message.size and attachment.size bytes are to follow. */
void frame_write_header(const struct frame *frame, struct buf *out);

#endif
