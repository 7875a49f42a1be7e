/* DNS lists that fall silent: a resolver that answers as it is told, on a clock that stands still. */
#include "base/clock.h"
#include "base/log.h"
#include "facts/dns_lists.h"
#include "ipc/services.h"
#include "resolver.pb-c.h"
#include "run/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define WALL_2026 (1780000000 * NANOSECONDS)
#define TURNS 50 /* of the loop: more than a question and its answer take */

enum { A_TEST, B_TEST, LISTS };
static const char *const zones[LISTS] = {"a.test", "b.test"};

struct house {
    struct loop *loop;
    struct settings settings;
    struct dns_list_setting settings_of_lists[LISTS];
    struct peers peers;
    struct channel *server;
    struct dns_lists *lists;
    bool is_mute[LISTS];
    bool holds; /* the resolver itself says nothing at all */
    struct call *held[64];
    size_t held_count;
    unsigned asked[LISTS][256]; /* A records, by the last octet of an address in 192.0.2.0/24 */
    int log_fd;
};

/* a.test lists 192.0.2.50, b.test 192.0.2.99; both pass their self-test. */
static bool lists_name(size_t list, struct span name)
{
    return span_starts_nocase(name, span_text(list == A_TEST ? "50.2.0.192." : "99.2.0.192.")) ||
           span_starts_nocase(name, span_text("2.0.0.127."));
}

static void called(void *context, struct call *call)
{
    struct house *h = context;
    const Resolver__QueryRequest *request = (const Resolver__QueryRequest *)call->request;
    Resolver__QueryReply reply = RESOLVER__QUERY_REPLY__INIT;
    struct span name = span_from(request->name.data, request->name.len), rest = name;
    ProtobufCBinaryData record = {4, (uint8_t *)(uintptr_t) "\x7f\0\0\2"};
    uint64_t octet;
    if (h->holds) {
        assert_true(h->held_count < sizeof h->held / sizeof *h->held);
        h->held[h->held_count++] = call;
        return;
    }
    size_t list = span_ends_nocase(name, span_text(zones[A_TEST])) ? A_TEST : B_TEST;
    assert_true(span_ends_nocase(name, span_text(zones[list])));
    assert_true(span_parse_u64(span_cut(&rest, '.'), 255, &octet));
    if (request->type == 1 && span_starts_nocase(rest, span_text("2.0.192.")))
        h->asked[list][octet]++;
    reply.ttl = 300;
    reply.status = RESOLVER__STATUS__STATUS_NO_NAME;
    if (h->is_mute[list]) {
        reply.status = RESOLVER__STATUS__STATUS_TROUBLE;
        reply.trouble = (char *)(uintptr_t) "no answer came in time";
    } else if (request->type == 1 && lists_name(list, name)) {
        reply.status = RESOLVER__STATUS__STATUS_ANSWERED;
        reply.records = &record;
        reply.n_records = 1;
    }
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

static void settle(struct fiber *self)
{
    for (int i = 0; i < TURNS; i++)
        assert_int_equal(fiber_yield(self), 0);
}

static void pass_seconds(struct fiber *self, unsigned seconds)
{
    while (seconds--) {
        clock_fake_advance(NANOSECONDS);
        settle(self);
    }
}

/* The zone that lists the address, "" for none. */
static const char *check(struct fiber *self, struct house *h, unsigned octet)
{
    struct ip_address ip = {.bytes = {[10] = 255, 255, 192, 0, 2, (unsigned char)octet}};
    struct dns_list_fact *found;
    struct arena memory;
    size_t count;
    arena_init(&memory, 100000);
    assert_int_equal(dns_lists_check(self, h->lists, &ip, &memory, &found, &count), 0);
    assert_int_equal(count, LISTS);
    const char *zone = "";
    for (size_t i = 0; i < LISTS; i++) {
        assert_true(span_is(found[i].zone, zones[i]));
        if (found[i].result == DNS_LIST_FACT_LISTED)
            zone = zones[i];
    }
    arena_release(&memory);
    return zone;
}

static bool was_logged(const struct house *h, const char *words)
{
    static char text[65536];
    log_flush();
    ssize_t size = pread(h->log_fd, text, sizeof text - 1, 0);
    assert_true(size >= 0);
    text[size] = 0;
    return strstr(text, words) != NULL;
}

#define LEFT_OUT \
    "did not answer 3 times in a row, so it is left out until it does; it lists nobody meanwhile list=a.test"

/* Two silences and an answer are no rest; the third silence in a row is one. */
static void three_in_a_row(struct fiber *self, struct house *h)
{
    assert_string_equal(check(self, h, 1), "");
    for (int round = 0; round < 3; round++) {
        h->is_mute[A_TEST] = true;
        assert_string_equal(check(self, h, 10 + round * 10), "");
        assert_string_equal(check(self, h, 11 + round * 10), "");
        h->is_mute[A_TEST] = false;
        assert_string_equal(check(self, h, 12 + round * 10), "");
    }
    assert_false(was_logged(h, "left out"));
    assert_string_equal(check(self, h, 50), "a.test");
    h->is_mute[A_TEST] = true;
    for (unsigned octet = 60; octet < 63; octet++)
        assert_string_equal(check(self, h, octet), "");
    assert_true(was_logged(h, " PROBLEM dns-list") && was_logged(h, LEFT_OUT));
}

static void silence(struct fiber *self, struct house *h, unsigned first)
{
    (void)check(self, h, 1); /* waits for the self-test */
    h->is_mute[A_TEST] = true;
    for (unsigned octet = first; octet < first + 3; octet++)
        (void)check(self, h, octet);
    assert_true(was_logged(h, LEFT_OUT));
}

/* Connections don't ask it, the others go on, and what is decided without it is not remembered for long. */
static void left_out(struct fiber *self, struct house *h)
{
    silence(self, h, 10);
    assert_string_equal(check(self, h, 13), "");
    assert_int_equal(h->asked[A_TEST][13], 0);
    assert_int_equal(h->asked[B_TEST][13], 1);
    assert_string_equal(check(self, h, 99), "b.test");
    assert_string_equal(check(self, h, 52), "");
    h->is_mute[A_TEST] = false;
    pass_seconds(self, 61);
    assert_true(was_logged(h, "a DNS list answers again, and is used list=a.test"));
    assert_string_equal(check(self, h, 52), "");
    assert_int_equal(h->asked[A_TEST][52], 1);
    assert_string_equal(check(self, h, 50), "a.test");
}

/* What it did not answer is asked at once, then after 1, 2, 4 seconds and so on, and once a minute. The self-test would
 * not do: its records may be in the resolver's cache. */
static void asked_again(struct fiber *self, struct house *h)
{
    silence(self, h, 10);
    settle(self);
    assert_int_equal(h->asked[A_TEST][12], 2);
    pass_seconds(self, 63);
    assert_int_equal(h->asked[A_TEST][12], 2 + 6);
    pass_seconds(self, 540);
    assert_int_equal(h->asked[A_TEST][12], 2 + 6 + 9);
    assert_int_equal(h->asked[A_TEST][10] + h->asked[A_TEST][11], 2);
    h->is_mute[A_TEST] = false;
    pass_seconds(self, 60);
    assert_int_equal(h->asked[A_TEST][12], 2 + 6 + 9 + 1);
    pass_seconds(self, 120);
    assert_int_equal(h->asked[A_TEST][12], 2 + 6 + 9 + 1);
    /* A second silence is a rest of its own. */
    silence(self, h, 20);
    settle(self);
    assert_int_equal(h->asked[A_TEST][22], 2);
}

struct waiting {
    struct house *house;
    struct arena memory;
    struct dns_list_fact *found;
    size_t count;
    int error;
    bool is_done;
};

static void wait_for_lists(struct fiber *self, void *argument)
{
    struct waiting *w = argument;
    struct ip_address ip = {.bytes = {[10] = 255, 255, 192, 0, 2, 50}};
    w->error = dns_lists_check(self, w->house->lists, &ip, &w->memory, &w->found, &w->count);
    w->is_done = true;
}

/* Nobody can say, not even whether the lists are in order: that is not "no list has it". */
static void nobody_says(struct fiber *self, struct house *h)
{
    struct waiting w = {.house = h};
    arena_init(&w.memory, 100000);
    h->holds = true;
    assert_int_equal(dns_lists_set_settings(h->lists, &h->settings), 0);
    assert_non_null(fiber_start(h->loop, "wait", wait_for_lists, &w));
    pass_seconds(self, 9);
    assert_false(w.is_done);
    pass_seconds(self, 4);
    assert_true(w.is_done);
    assert_int_equal(w.error, 0);
    assert_int_equal(w.count, LISTS);
    for (size_t i = 0; i < w.count; i++)
        assert_int_equal(w.found[i].result, DNS_LIST_FACT_UNKNOWN);
    arena_release(&w.memory);
    /* Nothing of it is remembered. */
    h->holds = false;
    for (size_t i = 0; i < h->held_count; i++)
        call_fail(h->held[i], -EIO);
    settle(self);
    assert_int_equal(dns_lists_set_settings(h->lists, &h->settings), 0);
    assert_string_equal(check(self, h, 50), "a.test");
}

/* ---- Around it ---- */

struct job {
    struct house *house;
    void (*test)(struct fiber *self, struct house *h);
};

static void run_job(struct fiber *self, void *argument)
{
    struct job *job = argument;
    struct house *h = job->house;
    job->test(self, h);
    dns_lists_free(h->lists);
    peers_release(&h->peers);
    channel_free(h->server);
    settle(self);
    loop_stop(h->loop);
}

static void run(void (*test)(struct fiber *self, struct house *h))
{
    static const struct channel_events events = {.called = called};
    struct house h = {.settings = {.references = 1, .dns = {.timeout = 5}}};
    struct job job = {&h, test};
    int fds[2];
    clock_fake_start(WALL_2026);
    h.log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(h.log_fd >= 0);
    log_open(LOG_TO_FD, h.log_fd);
    log_set_level(LOG_LOW);
    for (size_t i = 0; i < LISTS; i++)
        h.settings_of_lists[i] = (struct dns_list_setting){.zone = zones[i], .kind = DNS_LIST_BLACK, .ipv4 = true};
    h.settings.dns_lists = h.settings_of_lists;
    h.settings.dns_list_count = LISTS;
    h.loop = loop_new();
    assert_non_null(h.loop);
    assert_int_equal(channel_pair(fds), 0);
    h.server = channel_new(h.loop, fds[0], &resolver_service, ROLE_GATE, &events, &h);
    struct channel *client = channel_new(h.loop, fds[1], &resolver_service, ROLE_RESOLVER, NULL, NULL);
    assert_true(h.server && client);
    peers_set(&h.peers, ROLE_RESOLVER, 0, client);
    h.lists = dns_lists_new(h.loop, &h.peers);
    assert_non_null(h.lists);
    assert_int_equal(dns_lists_set_settings(h.lists, &h.settings), 0);
    assert_non_null(fiber_start(h.loop, "test", run_job, &job));
    assert_int_equal(loop_run(h.loop), 0);
    assert_int_equal(h.settings.references, 1);
    loop_free(h.loop);
    log_open(LOG_TO_FD, STDERR_FILENO);
    close(h.log_fd);
}

static void test_three_in_a_row(void **state)
{
    run(three_in_a_row);
}

static void test_left_out(void **state)
{
    run(left_out);
}

static void test_nobody_says(void **state)
{
    run(nobody_says);
}

static void test_asked_again(void **state)
{
    run(asked_again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_three_in_a_row), cmocka_unit_test(test_left_out),
                                       cmocka_unit_test(test_asked_again), cmocka_unit_test(test_nobody_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
