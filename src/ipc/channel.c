#include "ipc/channel.h"

#include "base/log.h"
#include "ipc/channel_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE (128u << 10)
#define INPUT_MAX (FRAME_HEADER_SIZE + CHANNEL_MESSAGE_MAX + CHANNEL_ATTACHMENT_MAX + READ_SIZE)
#define OUTPUT_MAX (CHANNEL_BACKLOG + (256u << 20))
#define SOCKET_BUFFER (1 << 20)
#define FDS_PER_READ 32
#define DESCRIPTORS_PAUSE (NANOSECONDS / 100)
#define MEMORY_PAUSE (NANOSECONDS / 100)
#define LAST_ANSWERS NANOSECONDS

int channel_pair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int size = SOCKET_BUFFER;
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
            (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size,
                             sizeof size); /* smaller ones are slower, not wrong */
    return 0;
}

static void wipe(const struct channel *c, char *data, size_t size)
{
    /* Auth is sent, and an admin sends, what is stored of passwords. */
    bool secret = c->service->carries_secrets || c->peer == ROLE_AUTH || c->peer == ROLE_ADMIN;
    if (secret && size)
        explicit_bzero(data, size);
}

/* ---- Sending ---- */

/* Sends from the front of the output up to the next descriptor's frame; that descriptor travels with its frame's first
 * byte. */
static ssize_t send_some(struct channel *c)
{
    size_t size = channel_backlog(c);
    unsigned next_fd = 0;
    struct iovec piece = {c->output.data + c->output_sent, size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    bool with_fd = c->outgoing_fd_count && c->outgoing_fds[0].position == c->sent;
    if (with_fd) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control.room;
        control.header =
            (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
        memcpy(CMSG_DATA(&control.header), &c->outgoing_fds[0].fd, sizeof(int));
        next_fd = 1;
    }
    if (next_fd < c->outgoing_fd_count && c->outgoing_fds[next_fd].position - c->sent < size)
        piece.iov_len = (size_t)(c->outgoing_fds[next_fd].position - c->sent);
    ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0 && with_fd) {
        close(c->outgoing_fds[0].fd);
        c->outgoing_fd_count--;
        memmove(c->outgoing_fds, c->outgoing_fds + 1, c->outgoing_fd_count * sizeof *c->outgoing_fds);
    }
    return n;
}

/* 0 when all is out, -EAGAIN when the socket is full, another errno when it is broken. */
static int send_output(struct channel *c)
{
    while (channel_backlog(c)) {
        ssize_t n = send_some(c);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        c->sent += (uint64_t)n;
        c->output_sent += (size_t)n;
    }
    wipe(c, c->output.data, c->output.size);
    buf_reset(&c->output);
    c->output_sent = 0;
    if (c->output.room > CHANNEL_BACKLOG)
        buf_release(&c->output); /* a burst's memory is not kept for ever */
    condition_wake_all(&c->drained);
    return 0;
}

static void flush_hook(struct loop_hook *hook)
{
    struct channel *c = container_of(hook, struct channel, hook);
    if (!c->open || channel_backlog(c) == 0)
        return;
    int error = send_output(c);
    if (error == -EAGAIN || error == -ETOOMANYREFS)
        condition_wake_one(&c->has_output); /* the writer fiber waits for room */
    else if (error)
        channel_shut(c);
}

/* 0 to try again, or the error that ends the channel. */
static int wait_for_room(struct fiber *self, struct channel *c, int error)
{
    if (error == -EAGAIN)
        return watch_wait_writable(self, &c->watch, CLOCK_NEVER);
    /* Too many descriptors of this user are under way between all its processes; nobody tells when there are fewer. */
    if (error == -ETOOMANYREFS)
        return fiber_sleep(self, clock_monotonic() + DESCRIPTORS_PAUSE);
    return error;
}

static void writer_main(struct fiber *self, void *argument)
{
    struct channel *c = argument;
    int error = 0;
    while (c->open && !error) {
        error = condition_wait(self, &c->has_output, CLOCK_NEVER);
        while (!error && c->open && (error = send_output(c)) != 0)
            error = wait_for_room(self, c, error);
    }
    c->writer = NULL;
    channel_shut(c);
    channel_unref(c);
}

int channel_send(struct channel *c, struct frame *frame, const ProtobufCMessage *message, int fd)
{
    if (!c->open)
        return -EPIPE;
    size_t packed = message ? protobuf_c_message_get_packed_size(message) : 0;
    if (packed > CHANNEL_MESSAGE_MAX || frame->attachment.size > CHANNEL_ATTACHMENT_MAX)
        return -EMSGSIZE;
    if (fd >= 0) {
        if (c->outgoing_fd_count == CHANNEL_FDS_MAX)
            return -EAGAIN;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
            return -errno;
        c->outgoing_fds[c->outgoing_fd_count++] = (struct outgoing_fd){c->queued, copy};
    }
    frame->has_fd = fd >= 0;
    frame->message.size = packed;
    size_t before = c->output.size;
    frame_write_header(frame, &c->output);
    char *to = buf_reserve(&c->output, packed);
    if (to) {
        if (packed)
            c->output.size += protobuf_c_message_pack(message, (uint8_t *)to);
        buf_add_span(&c->output, frame->attachment);
    }
    if (buf_failed(&c->output)) {
        c->output.failed = false;
        buf_truncate(&c->output, before);
        if (fd >= 0)
            close(c->outgoing_fds[--c->outgoing_fd_count].fd);
        return -ENOMEM;
    }
    c->queued += c->output.size - before;
    return 0;
}

/* ---- Receiving ---- */

static bool keep_received_fds(struct channel *c, struct msghdr *message)
{
    bool fits = !(message->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            if (fits && c->received_fd_count < CHANNEL_FDS_MAX) {
                c->received_fds[c->received_fd_count++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    return fits;
}

/* Bytes read; 0 at the end of input; -EAGAIN; another errno when broken. */
static ssize_t receive_some(struct channel *c)
{
    char *to = buf_reserve(&c->input, READ_SIZE);
    if (!to) {
        c->input.failed = false; /* what is in it is whole, and another try may find memory */
        return -ENOMEM;
    }
    struct iovec piece = {to, c->input.room - c->input.size};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(FDS_PER_READ * sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.room};
    ssize_t n;
    do
        n = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (!keep_received_fds(c, &message))
        return -EPROTO;
    c->input.size += (size_t)n;
    return n;
}

static bool take_fd(struct channel *c, const struct frame *frame, int *fd)
{
    *fd = -1;
    if (!frame->has_fd)
        return true;
    if (c->received_fd_count == 0)
        return false;
    *fd = c->received_fds[0];
    c->received_fd_count--;
    memmove(c->received_fds, c->received_fds + 1, c->received_fd_count * sizeof *c->received_fds);
    return true;
}

static bool dispatch(struct channel *c, const struct frame *frame)
{
    int fd;
    if (!take_fd(c, frame, &fd))
        return false;
    if (frame->kind == FRAME_REQUEST)
        return channel_called(c, frame, fd);
    return channel_answered(c, frame, fd);
}

/* Handles every whole frame of the input, waiting when the peer does not take our answers. */
static int handle_frames(struct fiber *self, struct channel *c)
{
    int error = 0;
    while (c->open && !error) {
        struct frame frame;
        size_t size;
        enum frame_status status = frame_parse(span_skip(buf_span(&c->input), c->input_used), &frame, &size);
        if (status == FRAME_PARTIAL)
            break;
        if (status == FRAME_BAD || !dispatch(c, &frame))
            return -EPROTO;
        c->input_used += size;
        while (!error && c->open && (c->paused || channel_backlog(c) > CHANNEL_BACKLOG))
            error = condition_wait(self, c->paused ? &c->resumed : &c->drained, CLOCK_NEVER);
    }
    wipe(c, c->input.data, c->input_used);
    buf_drop(&c->input, c->input_used);
    c->input_used = 0;
    return error;
}

/* Nothing more can be read, which says nothing about sending: what was asked before is being done, and whoever asked
 * should hear of it. Calls that wait for something to happen are not waited for. */
static void give_last_answers(struct fiber *self, struct channel *c)
{
    uint64_t until = clock_monotonic() + LAST_ANSWERS;
    int error = 0;
    while (!error && c->open && (c->unanswered || channel_backlog(c)))
        error = condition_wait(self, &c->drained, until);
}

static void reader_main(struct fiber *self, void *argument)
{
    struct channel *c = argument;
    int error = 0;
    while (c->open && !error) {
        ssize_t n = receive_some(c);
        if (n > 0)
            error = handle_frames(self, c);
        else if (n == -EAGAIN)
            error = watch_wait_readable(self, &c->watch, CLOCK_NEVER);
        else if (n == -ENOMEM)
            error = fiber_sleep(self, clock_monotonic() + MEMORY_PAUSE); /* the peer has done nothing wrong */
        else {
            error = n == 0 ? -EPIPE : (int)n;
            if (n < 0 && n != -EPROTO)
                give_last_answers(self, c);
        }
    }
    if (error == -EPROTO)
        log_write(LOG_PROBLEM, "ipc", NULL,
                  "channel closed: the peer sent a malformed or forbidden frame service=%s peer=%s", c->service->name,
                  role_name(c->peer));
    c->reader = NULL;
    channel_shut(c);
    channel_unref(c);
}

/* ---- Life ---- */

void channel_unref(struct channel *c)
{
    if (--c->references > 0)
        return;
    for (unsigned i = 0; i < c->received_fd_count; i++)
        close(c->received_fds[i]);
    for (unsigned i = 0; i < c->outgoing_fd_count; i++)
        close(c->outgoing_fds[i].fd);
    buf_release(&c->input);
    buf_release(&c->output);
    free(c->slots);
    free(c);
}

void channel_shut(struct channel *c)
{
    if (!c->open)
        return;
    c->open = false;
    c->closed_at = clock_monotonic();
    watch_stop(&c->watch);
    loop_remove_hook(&c->hook);
    close(c->fd);
    c->fd = -1;
    channel_fail_waiting(c);
    condition_wake_all(&c->drained);
    condition_wake_all(&c->slot_freed);
    if (c->reader)
        fiber_cancel(c->reader);
    if (c->writer)
        fiber_cancel(c->writer);
    if (c->owned && c->events && c->events->closed)
        c->events->closed(c->context, c);
}

/* Channels of our own processes are so already: a sandbox lets nobody change a descriptor's flags. */
static int make_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || flags & O_NONBLOCK ? flags : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

struct channel *channel_new(struct loop *loop, int fd, const struct service *service, enum role peer,
                            const struct channel_events *events, void *context)
{
    static uint64_t last_id;
    struct channel *c = calloc(1, sizeof *c);
    if (!c)
        goto fail;
    *c = (struct channel){.loop = loop,
                          .service = service,
                          .peer = peer,
                          .events = events,
                          .context = context,
                          .id = ++last_id,
                          .fd = fd,
                          .references = 1,
                          .open = true,
                          .owned = true};
    c->hook.run = flush_hook;
    condition_init(&c->resumed);
    condition_init(&c->has_output);
    condition_init(&c->drained);
    condition_init(&c->slot_freed);
    buf_init(&c->input, INPUT_MAX);
    buf_init(&c->output, OUTPUT_MAX);
    if (make_non_blocking(fd) < 0 || watch_start(&c->watch, loop, fd, 0) < 0)
        goto fail;
    loop_add_hook(loop, &c->hook);
    char name[32];
    snprintf(name, sizeof name, "%s %s", service->name, role_name(peer));
    c->reader = fiber_start(loop, name, reader_main, c);
    if (c->reader)
        c->references++;
    c->writer = c->reader ? fiber_start(loop, name, writer_main, c) : NULL;
    if (c->writer) {
        c->references++;
        return c;
    }
    c->owned = false;
    channel_shut(c); /* closes fd; the reader, when it started, ends by itself */
    channel_unref(c);
    return NULL;
fail:
    close(fd);
    free(c);
    return NULL;
}

void channel_free(struct channel *c)
{
    if (!c)
        return;
    c->owned = false;
    channel_shut(c);
    channel_unref(c);
}

bool channel_is_open(const struct channel *c)
{
    return c->open;
}

uint64_t channel_closed_at(const struct channel *c)
{
    return c->closed_at;
}

uint64_t channel_id(const struct channel *c)
{
    return c->id;
}

void channel_pause(struct channel *c, bool paused)
{
    c->paused = paused;
    if (!paused)
        condition_wake_all(&c->resumed);
}
