#include "ipc/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* A frame is a kind (one byte) and fields: tag (one byte), size (four bytes, host order: both ends are one program),
 * content. */
#define FIELD_HEADER 5
#define SEND_BUFFER (512 << 10)

enum field {
    FIELD_ROLE = 1,
    FIELD_INSTANCE,
    FIELD_NUMBER,
    FIELD_UID,
    FIELD_GID,
    FIELD_OWNER,
    FIELD_AT_START,
    FIELD_REPLACES_LISTENERS,
    FIELD_SETTINGS,
    FIELD_CERTIFICATE,
    FIELD_KEY,
    FIELD_GRANT_KEY,
    FIELD_DESCRIPTORS,
    FIELD_TRUST_ANCHORS,
    FIELD_PASSWORD,
    FIELD_REMOTE_PUBLIC,
    FIELD_END
};

struct packed_descriptor {
    uint16_t use, what, instance;
};

int control_add(struct control_frame *frame, enum control_use use, unsigned what, unsigned instance, int fd)
{
    if (frame->descriptor_count == CONTROL_DESCRIPTORS_MAX)
        return -ENOSPC;
    frame->descriptors[frame->descriptor_count++] = (struct control_descriptor){use, what, instance, fd};
    return 0;
}

static void field_write(struct buf *out, enum field tag, struct span content)
{
    if (!content.size)
        return;
    uint32_t size = (uint32_t)content.size;
    buf_add_char(out, (char)tag);
    buf_add(out, &size, sizeof size);
    buf_add_span(out, content);
}

static void number_write(struct buf *out, enum field tag, uint64_t value)
{
    if (value)
        field_write(out, tag, span_from(&value, sizeof value));
}

void control_write(const struct control_frame *frame, struct buf *out)
{
    struct packed_descriptor packed[CONTROL_DESCRIPTORS_MAX];
    for (size_t i = 0; i < frame->descriptor_count; i++) {
        const struct control_descriptor *d = &frame->descriptors[i];
        packed[i] = (struct packed_descriptor){(uint16_t)d->use, (uint16_t)d->what, (uint16_t)d->instance};
    }
    buf_add_char(out, (char)frame->kind);
    number_write(out, FIELD_ROLE, frame->role);
    number_write(out, FIELD_INSTANCE, frame->instance);
    number_write(out, FIELD_NUMBER, frame->number);
    number_write(out, FIELD_UID, frame->uid);
    number_write(out, FIELD_GID, frame->gid);
    number_write(out, FIELD_OWNER, frame->owner);
    number_write(out, FIELD_AT_START, frame->at_start);
    number_write(out, FIELD_REPLACES_LISTENERS, frame->replaces_listeners);
    field_write(out, FIELD_SETTINGS, frame->settings);
    field_write(out, FIELD_CERTIFICATE, frame->certificate);
    field_write(out, FIELD_KEY, frame->key);
    field_write(out, FIELD_GRANT_KEY, frame->grant_key);
    field_write(out, FIELD_TRUST_ANCHORS, frame->trust_anchors);
    field_write(out, FIELD_PASSWORD, frame->password);
    field_write(out, FIELD_REMOTE_PUBLIC, frame->remote_public);
    field_write(out, FIELD_DESCRIPTORS, span_from(packed, frame->descriptor_count * sizeof *packed));
}

static bool number_parse(struct span content, uint64_t max, uint64_t *value)
{
    if (content.size != sizeof *value)
        return false;
    memcpy(value, content.data, sizeof *value);
    return *value <= max;
}

static bool descriptors_parse(struct span content, struct control_frame *frame)
{
    struct packed_descriptor packed;
    if (content.size % sizeof packed || content.size / sizeof packed > CONTROL_DESCRIPTORS_MAX)
        return false;
    for (; content.size; content = span_skip(content, sizeof packed)) {
        memcpy(&packed, content.data, sizeof packed);
        if (!packed.use || packed.use >= CONTROL_USE_END)
            return false;
        if ((packed.use == CONTROL_FD_PEER || packed.use == CONTROL_FD_BOARD) && packed.what >= ROLE_COUNT)
            return false;
        frame->descriptors[frame->descriptor_count++] =
            (struct control_descriptor){packed.use, packed.what, packed.instance, -1};
    }
    return true;
}

static bool field_parse(enum field tag, struct span content, struct control_frame *frame)
{
    uint64_t value = 0;
    switch (tag) {
    case FIELD_ROLE:
        if (!number_parse(content, ROLE_COUNT - 1, &value))
            return false;
        frame->role = (enum role)value;
        return true;
    case FIELD_INSTANCE:
        if (!number_parse(content, UINT16_MAX, &value))
            return false;
        frame->instance = (unsigned)value;
        return true;
    case FIELD_NUMBER:
        return number_parse(content, UINT64_MAX, &frame->number);
    case FIELD_UID:
        return number_parse(content, UINT32_MAX - 1, &frame->uid);
    case FIELD_GID:
        return number_parse(content, UINT32_MAX - 1, &frame->gid);
    case FIELD_OWNER:
        return number_parse(content, UINT32_MAX - 1, &frame->owner);
    case FIELD_AT_START:
        frame->at_start = true;
        return number_parse(content, 1, &value);
    case FIELD_REPLACES_LISTENERS:
        frame->replaces_listeners = true;
        return number_parse(content, 1, &value);
    case FIELD_SETTINGS:
        frame->settings = content;
        return true;
    case FIELD_CERTIFICATE:
        frame->certificate = content;
        return true;
    case FIELD_KEY:
        frame->key = content;
        return true;
    case FIELD_GRANT_KEY:
        frame->grant_key = content;
        return true;
    case FIELD_TRUST_ANCHORS:
        frame->trust_anchors = content;
        return true;
    case FIELD_REMOTE_PUBLIC:
        frame->remote_public = content;
        return true;
    case FIELD_PASSWORD:
        frame->password = content;
        return true;
    case FIELD_DESCRIPTORS:
        return descriptors_parse(content, frame);
    case FIELD_END:
        break;
    }
    return false;
}

bool control_parse(struct span packet, struct control_frame *frame)
{
    memset(frame, 0, sizeof *frame);
    if (!packet.size || packet.data[0] < CONTROL_BOOT || packet.data[0] >= CONTROL_KIND_END)
        return false;
    frame->kind = (enum control_kind)packet.data[0];
    uint32_t seen = 0;
    for (packet = span_skip(packet, 1); packet.size;) {
        uint32_t size;
        unsigned char tag = (unsigned char)packet.data[0];
        if (packet.size < FIELD_HEADER || !tag || tag >= FIELD_END || seen & 1u << tag)
            return false;
        seen |= 1u << tag;
        memcpy(&size, packet.data + 1, sizeof size);
        packet = span_skip(packet, FIELD_HEADER);
        if (!size || size > packet.size || !field_parse(tag, span_head(packet, size), frame))
            return false;
        packet = span_skip(packet, size);
    }
    return true;
}

union control_space {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(CONTROL_DESCRIPTORS_MAX * sizeof(int))];
};

static void attach_descriptors(struct msghdr *message, union control_space *space, const struct control_frame *frame)
{
    int fds[CONTROL_DESCRIPTORS_MAX];
    size_t size = frame->descriptor_count * sizeof *fds;
    if (!size)
        return;
    for (size_t i = 0; i < frame->descriptor_count; i++)
        fds[i] = frame->descriptors[i].fd;
    memset(space, 0, sizeof *space);
    message->msg_control = space;
    message->msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), fds, size);
}

int control_send(int fd, const struct control_frame *frame)
{
    struct buf packet;
    union control_space space;
    buf_init(&packet, CONTROL_FRAME_MAX);
    /* Whole at once, so that no copy of a key is left in memory that growing gave back. */
    if (!buf_reserve(&packet, CONTROL_FRAME_MAX))
        return -ENOMEM;
    control_write(frame, &packet);
    if (buf_failed(&packet)) {
        explicit_bzero(packet.data, packet.size);
        buf_release(&packet);
        return -EMSGSIZE;
    }
    struct iovec piece = {packet.data, packet.size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    attach_descriptors(&message, &space, frame);
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    int error = sent < 0 ? -errno : 0;
    /* The frame may hold the private key and the grant key. */
    explicit_bzero(packet.data, packet.size);
    buf_release(&packet);
    return error;
}

/* Takes the descriptors out of the message. More than the frame can name are closed and make it wrong. */
static size_t take_descriptors(struct msghdr *message, int fds[CONTROL_DESCRIPTORS_MAX])
{
    size_t count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (count < CONTROL_DESCRIPTORS_MAX)
                fds[count++] = fd;
            else
                close(fd);
        }
    }
    return count;
}

int control_receive(int fd, struct buf *packet, struct control_frame *frame)
{
    union control_space space;
    int fds[CONTROL_DESCRIPTORS_MAX];
    memset(frame, 0, sizeof *frame);
    buf_reset(packet);
    char *place = buf_reserve(packet, CONTROL_FRAME_MAX);
    if (!place)
        return -ENOMEM;
    struct iovec piece = {place, CONTROL_FRAME_MAX};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space};
    ssize_t n;
    do
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    size_t count = take_descriptors(&message, fds);
    if (!n && !count)
        return -ENODATA;
    packet->size = (size_t)n;
    bool is_whole = !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    if (is_whole && control_parse(buf_span(packet), frame) && frame->descriptor_count == count) {
        for (size_t i = 0; i < count; i++)
            frame->descriptors[i].fd = fds[i];
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    memset(frame, 0, sizeof *frame);
    return -EPROTO;
}

void control_close(struct control_frame *frame)
{
    for (size_t i = 0; i < frame->descriptor_count; i++) {
        if (frame->descriptors[i].fd >= 0)
            close(frame->descriptors[i].fd);
        frame->descriptors[i].fd = -1;
    }
}

int control_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -errno;
    /* Without root it is cut to the system's maximum, which is room for a large frame and some more. */
    int size = SEND_BUFFER;
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0 &&
            setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size) < 0) {
            int error = -errno;
            close(fds[0]);
            close(fds[1]);
            return error;
        }
    return 0;
}
