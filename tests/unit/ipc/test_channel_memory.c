/* Memory runs out at each place of a call in turn: the call fails with that error, the channel stays, the next call
 * works, and what the service has done is heard of, also where nothing more can be received. */
#include "ipc/channel.h"
#include "ipc/services.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PLACES_MAX 200

static struct {
    unsigned countdown; /* allocations until one fails; 0: none does */
    bool only_growing;  /* realloc alone counts, or malloc and calloc alone */
    unsigned failed;
    int deaf; /* the descriptor that receives no more; 0: all do */
} plan;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);

static bool fails(bool grows)
{
    if (plan.countdown == 0 || grows != plan.only_growing || --plan.countdown > 0)
        return false;
    plan.failed++;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails(false) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails(false) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails(true) ? NULL : __real_realloc(old, size);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    if (plan.deaf == 0 || fd != plan.deaf)
        return __real_recvmsg(fd, message, flags);
    plan.failed++;
    errno = ECONNRESET;
    return -1;
}

struct bench {
    struct loop *loop;
    struct channel *client, *server;
    unsigned called;
    int server_fd;
    bool answers_later;
    struct call *kept;
};

static void answer(struct call *call)
{
    StoreWrite__DeliverReply reply = STORE_WRITE__DELIVER_REPLY__INIT;
    reply.message_id = 17;
    call_reply(call, &reply.base, (struct span){0}, -1);
}

static void serve(void *context, struct call *call)
{
    struct bench *b = context;
    b->called++;
    if (b->answers_later) {
        b->kept = call;
        plan.deaf = b->server_fd;
    } else
        answer(call);
}

static const struct channel_events events = {serve, NULL};

static int deliver(struct fiber *self, struct bench *b)
{
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    struct answer answer;
    int error = channel_call(self, b->client, STORE_WRITE_DELIVER, &request.base, (struct span){0}, -1,
                             clock_in_seconds(20), &answer);
    if (!error)
        assert_int_equal(((const StoreWrite__DeliverReply *)answer.message)->message_id, 17);
    answer_release(&answer);
    return error;
}

static void open_channel(struct bench *b)
{
    int fds[2];
    assert_int_equal(channel_pair(fds), 0);
    b->server_fd = fds[0];
    b->server = channel_new(b->loop, fds[0], &store_write_service, ROLE_GATE, &events, b);
    b->client = channel_new(b->loop, fds[1], &store_write_service, ROLE_WRITER, NULL, NULL);
    assert_non_null(b->server);
    assert_non_null(b->client);
}

static void close_channel(struct fiber *self, struct bench *b)
{
    channel_free(b->client);
    channel_free(b->server);
    while (loop_fiber_count(b->loop) > 1)
        assert_int_equal(fiber_yield(self), 0);
}

/* Each place of a fresh channel's first call. */
static unsigned try_places(struct fiber *self, struct bench *b, bool only_growing)
{
    unsigned place = 0;
    for (bool struck = true; struck; place++) {
        assert_true(place < PLACES_MAX);
        open_channel(b);
        b->called = plan.failed = 0;
        plan.only_growing = only_growing;
        plan.countdown = place + 1;
        int error = deliver(self, b);
        plan.countdown = 0;
        struck = plan.failed > 0;
        if (error)
            assert_int_equal(error, -ENOMEM);
        if (b->called && !only_growing)
            assert_int_equal(error, 0);
        assert_true(channel_is_open(b->client) && channel_is_open(b->server));
        assert_int_equal(deliver(self, b), 0);
        close_channel(self, b);
    }
    return place;
}

/* When the service's end has found that it receives no more. */
static void answer_later(struct fiber *self, void *argument)
{
    struct bench *b = argument;
    while (plan.failed == 0)
        assert_int_equal(fiber_yield(self), 0);
    answer(b->kept);
}

static void last_answer_is_heard(struct fiber *self, struct bench *b)
{
    open_channel(b);
    b->answers_later = true;
    plan.failed = 0;
    assert_non_null(fiber_start(b->loop, "answer", answer_later, b));
    assert_int_equal(deliver(self, b), 0);
    assert_true(plan.failed > 0);
    assert_int_equal(deliver(self, b), -EPIPE);
    assert_int_equal(b->called, 1);
    plan.deaf = 0;
    close_channel(self, b);
}

static void run(struct fiber *self, void *argument)
{
    struct bench *b = argument;
    assert_true(try_places(self, b, false) > 4);
    assert_true(try_places(self, b, true) > 2);
    b->called = 0;
    last_answer_is_heard(self, b);
    loop_stop(b->loop);
}

static void memory_runs_out(void **state)
{
    struct bench b = {.loop = loop_new()};
    assert_non_null(b.loop);
    assert_non_null(fiber_start(b.loop, "test", run, &b));
    assert_int_equal(loop_run(b.loop), 0);
    loop_free(b.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(memory_runs_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
