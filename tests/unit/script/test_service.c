/* The service over a channel, in one loop: answers, problems, hostile frames, too many calls, late ones, a new file. */
#include "script/service.h"

#include "ipc/binary.h"
#include "ipc/services.h"
#include "policy/facts.h"
#include "run/fiber.h"
#include "script.pb-c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct bench {
    struct loop *loop;
    struct settings *settings;
    struct script_service *service;
    struct channel *client;
    struct buf blob;
    void (*body)(struct fiber *self, struct bench *b);
};

struct said {
    int error;
    Script__Result result;
    char text[500], problem[1000];
};

static struct said take(int error, struct answer *answer)
{
    struct said said = {.error = error};
    if (!error) {
        const Script__CheckReply *reply = (const Script__CheckReply *)answer->message;
        said.result = reply->result;
        snprintf(said.text, sizeof said.text, "%.*s", SPAN_ARG(binary_span(reply->text)));
        snprintf(said.problem, sizeof said.problem, "%.*s", SPAN_ARG(binary_span(reply->problem)));
    }
    answer_release(answer);
    return said;
}

static struct said ask(struct fiber *self, struct bench *b, struct span facts)
{
    Script__CheckRequest request = SCRIPT__CHECK_REQUEST__INIT;
    struct answer answer;
    request.facts = binary_from_span(facts);
    int error = channel_call(self, b->client, SCRIPT_CHECK, &request.base, (struct span){0}, -1, CLOCK_NEVER, &answer);
    return take(error, &answer);
}

static void run_body(struct fiber *self, void *argument)
{
    struct bench *b = argument;
    b->body(self, b);
    channel_free(b->client);
    script_service_free(b->service);
    while (loop_fiber_count(b->loop) > 1)
        assert_int_equal(fiber_yield(self), 0);
    loop_stop(b->loop);
}

static void play(const char *text, void (*body)(struct fiber *, struct bench *))
{
    struct bench b = {.loop = loop_new(), .body = body};
    struct facts facts = {.helo = SPAN("client.example"), .reverse_path = SPAN("a@example.net")};
    struct recipient_facts r = {.recipient = SPAN("bob@example.org")};
    struct buf problem;
    int fds[2];
    buf_init(&problem, 1000);
    buf_init(&b.blob, FACTS_SIZE_MAX);
    facts_write(&facts, &r, true, &b.blob);
    b.settings = settings_read_text(
        "test", (struct span)SPAN("hostname = 'mail.example.org' script = {file = '/rules.lua', seconds = '3s'}"),
        &problem);
    assert_non_null(b.settings);
    b.service = script_service_new(b.loop, b.settings, span_text(text), &problem);
    assert_non_null(b.service);
    assert_int_equal(channel_pair(fds), 0);
    assert_int_equal(script_service_attach(b.service, fds[0], ROLE_GATE), 0);
    b.client = channel_new(b.loop, fds[1], &script_service, ROLE_SCRIPT, NULL, NULL);
    assert_non_null(b.client);
    assert_non_null(fiber_start(b.loop, "body", run_body, &b));
    assert_int_equal(loop_run(b.loop), 0);
    loop_free(b.loop);
    settings_unref(b.settings);
    buf_release(&b.blob);
    buf_release(&problem);
}

/* ---- ---- */

static void answers(struct fiber *self, struct bench *b)
{
    struct said said = ask(self, b, buf_span(&b->blob));
    assert_int_equal(said.error, 0);
    assert_int_equal(said.result, SCRIPT__RESULT__RESULT_REFUSE);
    assert_string_equal(said.text, "a@example.net for bob@example.org");
    assert_string_equal(said.problem, "");
    /* Bytes that are no facts cost their sender the answer, and nobody anything else. */
    struct buf bad;
    buf_init(&bad, FACTS_SIZE_MAX);
    for (size_t cut = 0; cut < b->blob.size; cut++)
        (void)ask(self, b, span_head(buf_span(&b->blob), cut));
    assert_int_equal(ask(self, b, (struct span){NULL, 0}).error, -EINVAL);
    buf_add_span(&bad, buf_span(&b->blob));
    memset(bad.data, 0xff, bad.size);
    assert_int_equal(ask(self, b, buf_span(&bad)).error, -EINVAL);
    buf_release(&bad);
    assert_int_equal(ask(self, b, buf_span(&b->blob)).result, SCRIPT__RESULT__RESULT_REFUSE);
}

static void test_answers(void **state)
{
    play("function check(mail) return 'reject', mail.sender .. ' for ' .. mail.recipient end", answers);
}

static void changes(struct fiber *self, struct bench *b)
{
    struct said said = ask(self, b, buf_span(&b->blob));
    assert_int_equal(said.result, SCRIPT__RESULT__RESULT_NOTHING);
    assert_string_equal(said.problem, "/rules.lua:1: <eof> expected near 'end'");
    assert_int_equal(script_service_update(b->service, b->settings, span_text("function check() return 'accept' end")),
                     0);
    assert_int_equal(ask(self, b, buf_span(&b->blob)).result, SCRIPT__RESULT__RESULT_ACCEPT);
    assert_int_equal(script_service_update(b->service, b->settings, span_text("function check() error('x') end")), 0);
    assert_string_equal(ask(self, b, buf_span(&b->blob)).problem, "/rules.lua:1: x");
    /* An empty file is one that can be read. */
    assert_int_equal(script_service_update(b->service, b->settings, span_text("")), 0);
    assert_string_equal(ask(self, b, buf_span(&b->blob)).problem, "/rules.lua: the file makes no function check(mail)");
    assert_int_equal(script_service_update(b->service, b->settings, (struct span){NULL, 0}), 0);
    said = ask(self, b, buf_span(&b->blob));
    assert_int_equal(said.result, SCRIPT__RESULT__RESULT_NOTHING);
    assert_non_null(strstr(said.problem, "could not be read"));
}

static void test_changes(void **state)
{
    play("function check(mail) end end", changes);
}

#define CALLS (SCRIPT_CALLS_MAX + 10)
static struct channel_ask asks[CALLS];
static struct answer replies[CALLS];

/* Starts so many calls, and counts their results. */
static void ask_many(struct fiber *self, struct bench *b, size_t count, size_t *good, size_t *refused, size_t *late)
{
    Script__CheckRequest request = SCRIPT__CHECK_REQUEST__INIT;
    request.facts = binary_from_span(buf_span(&b->blob));
    for (size_t i = 0; i < count; i++)
        channel_ask_start(self, &asks[i], b->client, SCRIPT_CHECK, &request.base, (struct span){0}, -1, CLOCK_NEVER,
                          &replies[i]);
    *good = *refused = *late = 0;
    for (size_t i = 0; i < count; i++) {
        struct said said = take(channel_ask_finish(self, &asks[i], CLOCK_NEVER), &replies[i]);
        *good += said.error == 0 && said.result == SCRIPT__RESULT__RESULT_ACCEPT;
        *refused += said.error == -EAGAIN;
        *late += said.error == -ETIMEDOUT;
    }
}

static void many(struct fiber *self, struct bench *b)
{
    size_t good, refused, late;
    ask_many(self, b, CALLS, &good, &refused, &late);
    assert_int_equal(good + refused, CALLS);
    assert_true(good >= SCRIPT_CALLS_MAX);
    /* Afterwards there is room again. */
    ask_many(self, b, 10, &good, &refused, &late);
    assert_int_equal(good, 10);
}

static void test_many(void **state)
{
    play("function check(mail) return 'accept' end", many);
}

/* Runs at the end of a turn: behind the arrival of calls, and before the first of them has its turn. */
static void move_clock(struct loop_hook *hook)
{
    clock_fake_advance((3 + SCRIPT_LATE_SECONDS + 1) * NANOSECONDS);
}

static void late(struct fiber *self, struct bench *b)
{
    struct loop_hook mover = {.run = move_clock};
    size_t good, refused, late;
    ask_many(self, b, 1, &good, &refused, &late); /* it is loaded now */
    assert_int_equal(good, 1);
    loop_add_hook(b->loop, &mover);
    ask_many(self, b, 20, &good, &refused, &late);
    assert_int_equal(late, 20);
    loop_remove_hook(&mover);
    ask_many(self, b, 20, &good, &refused, &late);
    assert_int_equal(good, 20);
}

static void test_late(void **state)
{
    clock_fake_start(1795331468ull * NANOSECONDS);
    play("function check(mail) return 'accept' end", late);
}

static void leave(struct fiber *self, struct bench *b)
{
    Script__CheckRequest request = SCRIPT__CHECK_REQUEST__INIT;
    request.facts = binary_from_span(buf_span(&b->blob));
    channel_ask_start(self, &asks[0], b->client, SCRIPT_CHECK, &request.base, (struct span){0}, -1, CLOCK_NEVER,
                      &replies[0]);
    script_service_free(b->service);
    b->service = NULL;
    assert_int_equal(take(channel_ask_finish(self, &asks[0], CLOCK_NEVER), &replies[0]).error, -EPIPE);
}

/* The process is told to end while a call waits. */
static void test_leave(void **state)
{
    play("function check(mail) return 'accept' end", leave);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers), cmocka_unit_test(test_changes), cmocka_unit_test(test_many),
        cmocka_unit_test(test_leave),   cmocka_unit_test(test_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
