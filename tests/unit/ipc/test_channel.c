/* Both ends of a channel in one loop: auth's and the store's contracts serve as examples. */
#include "ipc/channel.h"
#include "ipc/frame.h"
#include "ipc/peers.h"
#include "ipc/services.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct bench {
    struct loop *loop;
    struct channel *client, *server;
    int raw;                 /* instead of a client: the bare descriptor */
    struct list_node held;   /* calls that the server keeps */
    unsigned called, closed; /* events at the server */
    bool hold;
    void (*body)(struct fiber *self, struct bench *b);
};

/* The example service: stores nothing, echoes the attachment's size as the message's id and the descriptor's size as
 * spool. */
static void serve(void *context, struct call *call)
{
    struct bench *b = context;
    b->called++;
    if (b->hold) {
        list_append(&b->held, &call->node);
        return;
    }
    if (call->method == STORE_WRITE_SPOOL) {
        StoreWrite__SpoolReply reply = STORE_WRITE__SPOOL_REPLY__INIT;
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        call_reply(call, &reply.base, (struct span){0}, fd);
        close(fd);
        return;
    }
    const StoreWrite__DeliverRequest *request = (const StoreWrite__DeliverRequest *)call->request;
    if (request->received_at == 13) {
        call_fail(call, -ENOSPC);
        return;
    }
    StoreWrite__DeliverReply reply = STORE_WRITE__DELIVER_REPLY__INIT;
    reply.message_id = call->attachment.size;
    struct stat st;
    if (call->fd >= 0 && fstat(call->fd, &st) == 0)
        reply.message_id = (uint64_t)st.st_ino;
    call_reply(call, &reply.base, call->attachment, -1);
}

static void note_closed(void *context, struct channel *c)
{
    struct bench *b = context;
    b->closed++;
}

static const struct channel_events events = {serve, note_closed};

static void run_body(struct fiber *self, void *argument)
{
    struct bench *b = argument;
    b->body(self, b);
    while (!list_is_empty(&b->held))
        call_fail(container_of(list_take_first(&b->held), struct call, node), -EIO);
    channel_free(b->client);
    channel_free(b->server);
    if (b->raw >= 0)
        close(b->raw);
    /* The channels' fibers end in the turns that follow. */
    while (loop_fiber_count(b->loop) > 1)
        assert_int_equal(fiber_yield(self), 0);
    loop_stop(b->loop);
}

static struct bench play(enum role peer, bool raw, void (*body)(struct fiber *, struct bench *))
{
    struct bench b = {.loop = loop_new(), .raw = -1, .body = body};
    int fds[2];
    list_init(&b.held);
    assert_non_null(b.loop);
    assert_int_equal(channel_pair(fds), 0);
    b.server = channel_new(b.loop, fds[0], &store_write_service, peer, &events, &b);
    assert_non_null(b.server);
    if (raw) {
        b.raw = fds[1];
    } else {
        b.client = channel_new(b.loop, fds[1], &store_write_service, ROLE_WRITER, NULL, NULL);
        assert_non_null(b.client);
    }
    assert_non_null(fiber_start(b.loop, "test", run_body, &b));
    assert_int_equal(loop_run(b.loop), 0);
    loop_free(b.loop);
    return b;
}

static int deliver(struct fiber *self, struct bench *b, struct span body, int fd, uint64_t received_at,
                   struct answer *answer)
{
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    request.received_at = received_at;
    return channel_call(self, b->client, STORE_WRITE_DELIVER, &request.base, body, fd, clock_in_seconds(20), answer);
}

static uint64_t message_id(const struct answer *answer)
{
    return ((const StoreWrite__DeliverReply *)answer->message)->message_id;
}

/* ---- Calls ---- */

static void body_of_any_size(struct fiber *self, struct bench *b)
{
    static const size_t sizes[] = {0, 1, 4096, 65536, 1 << 20, CHANNEL_ATTACHMENT_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *body = malloc(sizes[i] + 1);
        assert_non_null(body);
        memset(body, 'x', sizes[i]);
        struct answer answer;
        assert_int_equal(deliver(self, b, span_from(body, sizes[i]), -1, 0, &answer), 0);
        assert_int_equal(message_id(&answer), sizes[i]);
        assert_true(span_equal(answer.attachment, span_from(body, sizes[i])));
        answer_release(&answer);
        free(body);
    }
    struct answer answer;
    char *body = calloc(1, CHANNEL_ATTACHMENT_MAX + 1);
    assert_int_equal(deliver(self, b, span_from(body, CHANNEL_ATTACHMENT_MAX + 1), -1, 0, &answer), -EMSGSIZE);
    free(body);
}

static void errors_travel(struct fiber *self, struct bench *b)
{
    struct answer answer;
    assert_int_equal(deliver(self, b, (struct span){0}, -1, 13, &answer), -ENOSPC);
    assert_int_equal(answer.fd, -1);
    answer_release(&answer);
    assert_int_equal(deliver(self, b, span_text("again"), -1, 0, &answer), 0);
    answer_release(&answer);
}

/* Descriptors arrive with the frames they were sent with, also among others without. */
static void descriptors_travel(struct fiber *self, struct bench *b)
{
    for (int round = 0; round < 50; round++) {
        int pipes[2];
        struct stat st;
        struct answer answer;
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(fstat(pipes[0], &st), 0);
        assert_int_equal(deliver(self, b, span_text("with"), pipes[0], 0, &answer), 0);
        assert_int_equal(message_id(&answer), st.st_ino);
        answer_release(&answer);
        close(pipes[0]);
        close(pipes[1]);
        assert_int_equal(deliver(self, b, span_text("without"), -1, 0, &answer), 0);
        assert_int_equal(message_id(&answer), 7);
        answer_release(&answer);
        StoreWrite__SpoolRequest spool = STORE_WRITE__SPOOL_REQUEST__INIT;
        assert_int_equal(channel_call(self, b->client, STORE_WRITE_SPOOL, &spool.base, (struct span){0}, -1,
                                      clock_in_seconds(20), &answer),
                         0);
        int fd = answer_take_fd(&answer);
        answer_release(&answer);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
    }
}

/* More fibers than slots call at once, with and without descriptors. */
enum { CROWD = CHANNEL_CALLS_MAX + 500 };
static unsigned crowd_done;

static void one_of_the_crowd(struct fiber *self, void *argument)
{
    struct bench *b = argument;
    struct answer answer;
    int fd = crowd_done % 3 ? -1 : STDERR_FILENO;
    int error = deliver(self, b, span_text("body"), fd, 0, &answer);
    assert_int_equal(error, 0);
    answer_release(&answer);
    crowd_done++;
}

static void a_crowd(struct fiber *self, struct bench *b)
{
    crowd_done = 0;
    for (int i = 0; i < CROWD; i++)
        assert_non_null(fiber_start(b->loop, "crowd", one_of_the_crowd, b));
    while (crowd_done < CROWD)
        assert_int_equal(fiber_yield(self), 0);
}

/* ---- Ends ---- */

static void a_late_answer_is_dropped(struct fiber *self, struct bench *b)
{
    struct answer answer;
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    b->hold = true;
    assert_int_equal(channel_call(self, b->client, STORE_WRITE_DELIVER, &request.base, (struct span){0}, -1,
                                  clock_monotonic() + NANOSECONDS / 50, &answer),
                     -ETIMEDOUT);
    b->hold = false;
    assert_false(list_is_empty(&b->held));
    StoreWrite__DeliverReply reply = STORE_WRITE__DELIVER_REPLY__INIT;
    reply.message_id = 999;
    call_reply(container_of(list_take_first(&b->held), struct call, node), &reply.base, span_text("late"), -1);
    assert_int_equal(deliver(self, b, span_text("next"), -1, 0, &answer), 0);
    assert_int_equal(message_id(&answer), 4);
    answer_release(&answer);
}

static void server_goes(struct fiber *self, void *argument)
{
    struct bench *b = argument;
    while (list_is_empty(&b->held))
        assert_int_equal(fiber_yield(self), 0);
    channel_free(b->server);
    b->server = NULL;
}

static void the_peer_goes(struct fiber *self, struct bench *b)
{
    struct answer answer;
    b->hold = true;
    assert_non_null(fiber_start(b->loop, "goes", server_goes, b));
    assert_int_equal(deliver(self, b, span_text("x"), -1, 0, &answer), -EPIPE);
    assert_int_equal(deliver(self, b, span_text("x"), -1, 0, &answer), -EPIPE);
    assert_false(channel_is_open(b->client));
    assert_int_equal(channel_call(self, NULL, 0, NULL, (struct span){0}, -1, CLOCK_NEVER, &answer), -EPIPE);
}

static void a_forbidden_method(struct fiber *self, struct bench *b)
{
    struct answer answer;
    StoreWrite__StatusRequest request = STORE_WRITE__STATUS_REQUEST__INIT;
    assert_int_equal(channel_call(self, b->client, STORE_WRITE_STATUS, &request.base, (struct span){0}, -1,
                                  clock_in_seconds(20), &answer),
                     -EPIPE);
}

/* The channel in the second place is found when the first one is a gap or dead, each in its turn when both live. */
static void peers_with_gaps(struct fiber *self, struct bench *b)
{
    struct peers peers = {0};
    int fds[2];
    assert_null(peers_get(&peers, ROLE_READER));
    peers_set(&peers, ROLE_READER, 1, b->client);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(peers_get(&peers, ROLE_READER), b->client);
    assert_int_equal(channel_pair(fds), 0);
    struct channel *other = channel_new(b->loop, fds[0], &store_write_service, ROLE_WRITER, NULL, NULL);
    assert_non_null(other);
    peers_set(&peers, ROLE_READER, 0, other);
    struct channel *first = peers_get(&peers, ROLE_READER);
    assert_ptr_not_equal(peers_get(&peers, ROLE_READER), first);
    close(fds[1]);
    while (channel_is_open(other))
        assert_int_equal(fiber_yield(self), 0);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(peers_get(&peers, ROLE_READER), b->client);
    b->client = NULL;
    peers_release(&peers);
    assert_null(peers_get(&peers, ROLE_READER));
}

/* To a peer that is gone at once. */
static struct channel *lose_one(struct fiber *self, struct bench *b, struct peers *peers, enum role role,
                                unsigned place)
{
    int fds[2];
    assert_int_equal(channel_pair(fds), 0);
    struct channel *c = channel_new(b->loop, fds[0], &store_write_service, ROLE_WRITER, NULL, NULL);
    assert_non_null(c);
    assert_int_equal(channel_closed_at(c), 0);
    peers_set(peers, role, place, c);
    close(fds[1]);
    while (channel_is_open(c))
        assert_int_equal(fiber_yield(self), 0);
    return c;
}

/* Who loses a second channel waits no longer for the first. */
static void the_longest_missing(struct fiber *self, struct bench *b)
{
    struct peers peers = {0};
    assert_true(peers_missing_since(&peers) == CLOCK_NEVER);
    lose_one(self, b, &peers, ROLE_SCRIPT, 0);
    assert_true(peers_missing_since(&peers) == CLOCK_NEVER);
    uint64_t first = channel_closed_at(lose_one(self, b, &peers, ROLE_READER, 1));
    assert_true(peers_missing_since(&peers) == first);
    uint64_t second = channel_closed_at(lose_one(self, b, &peers, ROLE_AUTH, 0));
    assert_true(first < second);
    assert_true(peers_missing_since(&peers) == first);
    peers_set(&peers, ROLE_READER, 1, b->client);
    b->client = NULL;
    assert_true(peers_missing_since(&peers) == second);
    peers_release(&peers);
}

/* ---- Hostile bytes ---- */

static struct span hostile;

static void write_hostile_bytes(struct fiber *self, struct bench *b)
{
    assert_int_equal(send(b->raw, hostile.data, hostile.size, MSG_NOSIGNAL), hostile.size);
    for (int i = 0; i < 1000000 && b->closed == 0; i++)
        assert_int_equal(fiber_yield(self), 0);
    assert_int_equal(b->closed, 1);
}

static void hostile_frames(void **state)
{
    static const struct {
        struct frame frame;
        const char *message;
    } rows[] = {
        {{.kind = FRAME_REQUEST, .method = 999}, ""},                               /* no such method */
        {{.kind = FRAME_REQUEST, .method = STORE_WRITE_DELIVER}, "\xff\xff\xff"},   /* does not unpack */
        {{.kind = FRAME_REQUEST, .method = STORE_WRITE_SPOOL, .has_fd = true}, ""}, /* no descriptor came */
        {{.kind = FRAME_REPLY, .call = 5}, ""},                                     /* nobody asked */
        {{.kind = FRAME_FAILURE, .call = 0, .error = -5}, ""},                      /* nobody asked */
        {{.kind = FRAME_REQUEST, .method = STORE_WRITE_STATUS}, ""},                /* not this role's */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf bytes;
        struct frame frame = rows[i].frame;
        buf_init(&bytes, 4096);
        frame.message = span_text(rows[i].message);
        frame_write_header(&frame, &bytes);
        buf_add_span(&bytes, frame.message);
        hostile = buf_span(&bytes);
        struct bench b = play(ROLE_GATE, true, write_hostile_bytes);
        assert_int_equal(b.called, 0);
        buf_release(&bytes);
    }
}

#define TEST(name, peer)                  \
    static void test_##name(void **state) \
    {                                     \
        play(peer, false, name);          \
    }
TEST(body_of_any_size, ROLE_GATE)
TEST(errors_travel, ROLE_GATE)
TEST(descriptors_travel, ROLE_GATE)
TEST(a_crowd, ROLE_GATE)
TEST(a_late_answer_is_dropped, ROLE_GATE)
TEST(the_peer_goes, ROLE_GATE)
TEST(a_forbidden_method, ROLE_DESK)
TEST(peers_with_gaps, ROLE_GATE)
TEST(the_longest_missing, ROLE_GATE)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_of_any_size),         cmocka_unit_test(test_errors_travel),
        cmocka_unit_test(test_descriptors_travel),       cmocka_unit_test(test_a_crowd),
        cmocka_unit_test(test_a_late_answer_is_dropped), cmocka_unit_test(test_the_peer_goes),
        cmocka_unit_test(test_a_forbidden_method),       cmocka_unit_test(test_peers_with_gaps),
        cmocka_unit_test(test_the_longest_missing),      cmocka_unit_test(hostile_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
