#include "ipc/control.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct control_frame sample(void)
{
    struct control_frame frame = {
        .kind = CONTROL_BOOT,
        .role = ROLE_DESK,
        .instance = 3,
        .number = 0x0123456789abcdefull,
        .uid = 65534,
        .gid = 1000,
        .owner = 1001,
        .at_start = true,
        .replaces_listeners = true,
        .settings = SPAN("smtp.recipients=1000\n"),
        .certificate = SPAN("certificate"),
        .key = SPAN("key"),
        .grant_key = SPAN("01234567890123456789012345678901"),
        .password = SPAN("password"),
        .trust_anchors = SPAN(". IN DNSKEY"),
        .remote_public = SPAN("a public key"),
    };
    assert_int_equal(control_add(&frame, CONTROL_FD_LISTENER, 2, 0, 1), 0);
    assert_int_equal(control_add(&frame, CONTROL_FD_PEER, ROLE_READER, 7, 2), 0);
    assert_int_equal(control_add(&frame, CONTROL_FD_BOARD, ROLE_GATE, 2, 2), 0);
    return frame;
}

static void check_equal(const struct control_frame *a, const struct control_frame *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->role, b->role);
    assert_int_equal(a->instance, b->instance);
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_int_equal(a->owner, b->owner);
    assert_int_equal(a->at_start, b->at_start);
    assert_int_equal(a->replaces_listeners, b->replaces_listeners);
    assert_true(span_equal(a->settings, b->settings));
    assert_true(span_equal(a->certificate, b->certificate));
    assert_true(span_equal(a->key, b->key));
    assert_true(span_equal(a->grant_key, b->grant_key));
    assert_true(span_equal(a->password, b->password));
    assert_true(span_equal(a->trust_anchors, b->trust_anchors));
    assert_true(span_equal(a->remote_public, b->remote_public));
    assert_int_equal(a->descriptor_count, b->descriptor_count);
    for (size_t i = 0; i < a->descriptor_count; i++) {
        assert_int_equal(a->descriptors[i].use, b->descriptors[i].use);
        assert_int_equal(a->descriptors[i].what, b->descriptors[i].what);
        assert_int_equal(a->descriptors[i].instance, b->descriptors[i].instance);
    }
}

static void test_round_trip(void **state)
{
    struct control_frame frame = sample(), back;
    struct buf packet;
    buf_init(&packet, CONTROL_FRAME_MAX);
    control_write(&frame, &packet);
    assert_true(control_parse(buf_span(&packet), &back));
    check_equal(&frame, &back);
    struct control_frame ready = {.kind = CONTROL_READY};
    buf_reset(&packet);
    control_write(&ready, &packet);
    assert_int_equal(packet.size, 1);
    assert_true(control_parse(buf_span(&packet), &back));
    check_equal(&ready, &back);
    buf_release(&packet);
}

static size_t count_fields(struct span packet)
{
    size_t count = 0;
    for (struct span rest = span_skip(packet, 1); rest.size; count++) {
        uint32_t size;
        memcpy(&size, rest.data + 1, sizeof size);
        rest = span_skip(rest, 5 + size);
    }
    return count;
}

/* The first field's tag. */
static char tag_of(const struct control_frame *frame)
{
    struct buf packet;
    buf_init(&packet, CONTROL_FRAME_MAX);
    control_write(frame, &packet);
    char tag = packet.data[1];
    buf_release(&packet);
    return tag;
}

/* A packet cut short at any place is refused or is a frame of whole fields; a changed byte never does harm. */
static void test_damaged(void **state)
{
    struct control_frame frame = sample(), back;
    struct buf packet;
    unsigned refused = 0;
    buf_init(&packet, CONTROL_FRAME_MAX);
    control_write(&frame, &packet);
    for (size_t size = 0; size < packet.size; size++) {
        char *exact = malloc(size ? size : 1); /* so that reading past it is seen */
        assert_non_null(exact);
        memcpy(exact, packet.data, size);
        refused += !control_parse(span_from(exact, size), &back);
        free(exact);
    }
    /* A cut between two of its fields leaves a whole frame. */
    assert_int_equal(refused, packet.size - count_fields(buf_span(&packet)));
    for (size_t i = 0; i < packet.size; i++)
        for (int bit = 0; bit < 8; bit++) {
            packet.data[i] = (char)(packet.data[i] ^ 1 << bit);
            if (control_parse(buf_span(&packet), &back)) {
                assert_true(back.descriptor_count <= CONTROL_DESCRIPTORS_MAX);
                assert_true(back.role < ROLE_COUNT);
                assert_true(back.settings.size <= packet.size);
            }
            packet.data[i] = (char)(packet.data[i] ^ 1 << bit);
        }
    buf_release(&packet);
}

static void test_refused(void **state)
{
    /* S and D stand for the tags of the settings and of the descriptors. */
    static const struct {
        const char *name;
        struct span packet;
    } rows[] = {
        {"nothing", SPAN("")},
        {"no such kind", SPAN("\x09")},
        {"kind 0", SPAN("\x00")},
        {"no such field", SPAN("\x01\x63\x01\x00\x00\x00x")},
        {"field 0", SPAN("\x01\x00\x01\x00\x00\x00x")},
        {"empty field", SPAN("\x01"
                             "S\x00\x00\x00\x00")},
        {"header cut", SPAN("\x01"
                            "S\x01\x00")},
        {"longer than the packet", SPAN("\x01"
                                        "S\xff\xff\xff\xffx")},
        {"a number of another size", SPAN("\x01\x01\x01\x00\x00\x00\x01")},
        {"no such role", SPAN("\x01\x01\x08\x00\x00\x00\x63\x00\x00\x00\x00\x00\x00\x00")},
        {"a field twice", SPAN("\x01"
                               "S\x01\x00\x00\x00xS\x01\x00\x00\x00x")},
        {"half a descriptor", SPAN("\x01"
                                   "D\x03\x00\x00\x00\x01\x00\x00")},
        {"no such use", SPAN("\x01"
                             "D\x06\x00\x00\x00\x63\x00\x00\x00\x00\x00")},
        {"a peer of no role", SPAN("\x01"
                                   "D\x06\x00\x00\x00\x04\x00\x63\x00\x00\x00")},
        {"a board of no role", SPAN("\x01"
                                    "D\x06\x00\x00\x00\x06\x00\x63\x00\x00\x00")},
    };
    struct control_frame frame;
    struct control_frame settings = {.kind = CONTROL_UPDATE, .settings = SPAN("x")};
    struct control_frame descriptors = {.kind = CONTROL_UPDATE, .descriptor_count = 1};
    descriptors.descriptors[0].use = CONTROL_FD_LOG;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char packet[64];
        for (size_t at = 0; at < rows[i].packet.size; at++) {
            char c = rows[i].packet.data[at];
            packet[at] = c == 'S' ? tag_of(&settings) : c == 'D' ? tag_of(&descriptors) : c;
        }
        if (control_parse(span_from(packet, rows[i].packet.size), &frame))
            fail_msg("taken: %s", rows[i].name);
    }
    /* One descriptor more than there is room for. */
    struct buf packet;
    buf_init(&packet, CONTROL_FRAME_MAX);
    uint32_t size = (CONTROL_DESCRIPTORS_MAX + 1) * 6;
    buf_add_char(&packet, CONTROL_BOOT);
    buf_add_char(&packet, tag_of(&descriptors));
    buf_add(&packet, &size, sizeof size);
    for (unsigned i = 0; i <= CONTROL_DESCRIPTORS_MAX; i++)
        buf_add(&packet, "\x01\x00\x00\x00\x00\x00", 6);
    assert_false(control_parse(buf_span(&packet), &frame));
    buf_release(&packet);
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_socket(void **state)
{
    int fds[2], pipe_fds[2];
    struct control_frame frame = {.kind = CONTROL_UPDATE}, back;
    struct buf packet;
    buf_init(&packet, CONTROL_FRAME_MAX);
    unsigned before = count_descriptors();
    assert_int_equal(control_pair(fds), 0);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_int_equal(control_receive(fds[1], &packet, &back), -EAGAIN);
    assert_int_equal(control_add(&frame, CONTROL_FD_LOG, 0, 0, pipe_fds[1]), 0);
    assert_int_equal(control_send(fds[0], &frame), 0);
    assert_int_equal(control_receive(fds[1], &packet, &back), 0);
    assert_int_equal(back.descriptor_count, 1);
    assert_int_equal(write(back.descriptors[0].fd, "x", 1), 1);
    char c = 0;
    assert_int_equal(read(pipe_fds[0], &c, 1), 1);
    assert_int_equal(c, 'x');
    control_close(&back);
    control_close(&back); /* twice does no harm */
    close(fds[0]);
    assert_int_equal(control_receive(fds[1], &packet, &back), -ENODATA);
    close(fds[1]);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_int_equal(count_descriptors(), before);
    buf_release(&packet);
}

/* Bytes that a child made up, with descriptors that the frame does not name: refused, and none stays open. */
static void test_hostile(void **state)
{
    int fds[2];
    struct control_frame frame = {.kind = CONTROL_UPDATE}, back;
    struct buf packet;
    buf_init(&packet, CONTROL_FRAME_MAX);
    assert_int_equal(control_pair(fds), 0);
    unsigned before = count_descriptors();
    assert_int_equal(send(fds[0], "garbage", 7, 0), 7);
    assert_int_equal(control_receive(fds[1], &packet, &back), -EPROTO);
    /* A READY byte with a descriptor beside it. */
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } space = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    char ready = CONTROL_READY;
    int passed = STDERR_FILENO;
    memcpy(CMSG_DATA(&space.header), &passed, sizeof passed);
    struct iovec piece = {&ready, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof space};
    assert_int_equal(sendmsg(fds[0], &message, 0), 1);
    assert_int_equal(control_receive(fds[1], &packet, &back), -EPROTO);
    assert_int_equal(count_descriptors(), before);
    /* More than the other end can be asked to hold: the sender is told, and nothing waits. */
    char *text = calloc(1, CONTROL_FRAME_MAX);
    frame.settings = span_from(text, CONTROL_FRAME_MAX);
    assert_int_equal(control_send(fds[0], &frame), -EMSGSIZE);
    frame.settings.size = CONTROL_FRAME_MAX / 2;
    int error = 0;
    for (int i = 0; i < 1000 && !error; i++)
        error = control_send(fds[0], &frame);
    assert_int_equal(error, -EAGAIN);
    free(text);
    close(fds[0]);
    close(fds[1]);
    buf_release(&packet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_damaged), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_socket),     cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
