/* Windows, refusals, and what the command line sees of both, over the service's channels. */
#include "base/clock.h"
#include "ipc/binary.h"
#include "policy/session_board.h"
#include "service_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define PLAIN_ALICE SPAN("\0alice@example.test\0sandbox")
#define PLAIN_BOB SPAN("\0bob@example.test\0sandbox")
#define PLAIN_WRONG SPAN("\0alice@example.test\0Sandbox")

static int call(struct fiber *self, struct channel *c, size_t method, const ProtobufCMessage *request,
                struct answer *answer)
{
    return channel_call(self, c, method, request, (struct span){0}, -1, CLOCK_NEVER, answer);
}

static ProtobufCBinaryData text(const char *s)
{
    return binary_from_span(span_text(s));
}

static bool is(ProtobufCBinaryData data, const char *s)
{
    return span_is(binary_span(data), s);
}

static uint64_t window_at(struct fiber *self, struct fixture *f, struct channel *gate, const char *ip)
{
    Auth__WindowRequest request = AUTH__WINDOW_REQUEST__INIT;
    struct answer answer;
    request.peer_address = text(ip);
    assert_int_equal(call(self, gate, AUTH_WINDOW, &request.base, &answer), 0);
    const Auth__WindowReply *reply = (const Auth__WindowReply *)answer.message;
    uint64_t id = reply->open ? reply->account_id : 0;
    if (id) {
        uint64_t now = clock_monotonic() / NANOSECONDS;
        assert_int_equal(grant_check(f->grant_key, binary_span(reply->grant), now), id);
        assert_int_equal(grant_check(f->grant_key, binary_span(reply->grant), now + 7200), 0);
        assert_true(is(reply->address, id == 100 ? "alice@example.test" : "bob@example.test"));
    }
    answer_release(&answer);
    return id;
}

static unsigned clients(struct fiber *self, struct channel *admin, const char *match, bool flush, char *out,
                        size_t room)
{
    Auth__ClientsRequest request = AUTH__CLIENTS_REQUEST__INIT;
    struct answer answer;
    request.match = text(match);
    request.flush = flush;
    assert_int_equal(call(self, admin, AUTH_CLIENTS, &request.base, &answer), 0);
    const Auth__ClientsReply *reply = (const Auth__ClientsReply *)answer.message;
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < reply->n_clients && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%.*s %.*s %u\n", (int)reply->clients[i]->peer_address.len,
                                 (char *)reply->clients[i]->peer_address.data, (int)reply->clients[i]->account.len,
                                 (char *)reply->clients[i]->account.data, reply->clients[i]->seconds_left);
    unsigned count = flush ? reply->flushed : (unsigned)reply->n_clients;
    answer_release(&answer);
    return count;
}

static void windows(struct fiber *self, struct fixture *f)
{
    char out[4096];
    struct channel *gate = fixture_connect(f, ROLE_GATE), *admin = fixture_connect(f, ROLE_ADMIN);
    struct ask alice = {.mechanism = "PLAIN", .data = PLAIN_ALICE, .is_pop3 = true};
    struct ask bob = {.mechanism = "PLAIN", .data = PLAIN_BOB, .is_pop3 = true};
    struct ask wrong = {.mechanism = "PLAIN", .data = PLAIN_WRONG, .is_pop3 = true, .ip = "192.0.2.66"};
    struct ask submission = {.mechanism = "PLAIN", .data = PLAIN_ALICE, .ip = "192.0.2.67"};
    f->settings.submission.pop_before_smtp = false; /* as shipped */
    f->settings.submission.pop_window = 60;
    ask_now(self, f, &alice);
    assert_int_equal(window_at(self, f, gate, "192.0.2.7"), 0);
    f->settings.submission.pop_before_smtp = true;
    assert_int_equal(window_at(self, f, gate, "192.0.2.7"), 0);
    ask_now(self, f, &alice);
    ask_now(self, f, &wrong);
    ask_now(self, f, &submission);
    assert_int_equal(window_at(self, f, gate, "192.0.2.7"), 100);
    assert_int_equal(window_at(self, f, gate, "::ffff:192.0.2.7"), 100);
    assert_int_equal(window_at(self, f, gate, "192.0.2.66"), 0);
    assert_int_equal(window_at(self, f, gate, "192.0.2.67"), 0); /* it can send where it logged in */
    assert_int_equal(window_at(self, f, gate, "nonsense"), 0);
    clock_fake_advance(59 * NANOSECONDS);
    assert_int_equal(window_at(self, f, gate, "192.0.2.7"), 100);
    ask_now(self, f, &alice);
    clock_fake_advance(59 * NANOSECONDS);
    assert_int_equal(window_at(self, f, gate, "192.0.2.7"), 100);
    ask_now(self, f, &bob); /* the last login wins */
    assert_int_equal(window_at(self, f, gate, "192.0.2.7"), 101);
    clock_fake_advance(60 * NANOSECONDS);
    assert_int_equal(window_at(self, f, gate, "192.0.2.7"), 0);

    alice.ip = "192.0.2.7";
    ask_now(self, f, &alice);
    alice.ip = "2001:db8::7";
    ask_now(self, f, &alice);
    clock_fake_advance(NANOSECONDS / 2);
    bob.ip = "192.0.2.8";
    ask_now(self, f, &bob);
    assert_int_equal(clients(self, admin, "", false, out, sizeof out), 3);
    assert_string_equal(out, "192.0.2.8 bob@example.test 60\n2001:db8::7 alice@example.test 60\n"
                             "192.0.2.7 alice@example.test 60\n");
    assert_int_equal(clients(self, admin, "bob@example.test", false, out, sizeof out), 1);
    assert_int_equal(clients(self, admin, "192.0.2.7", true, out, sizeof out), 1);
    assert_int_equal(window_at(self, f, gate, "192.0.2.7"), 0);
    assert_int_equal(clients(self, admin, "", true, out, sizeof out), 2);
    assert_int_equal(clients(self, admin, "", false, out, sizeof out), 0);
    channel_free(gate);
    channel_free(admin);
}

static unsigned report(struct fiber *self, struct channel *gate, Auth__Refused refused, const char *ip,
                       uint64_t account)
{
    Auth__ReportRequest request = AUTH__REPORT_REQUEST__INIT;
    struct answer answer;
    request.refused = refused;
    request.peer_address = text(ip);
    request.account_id = account;
    request.account = text(account ? "alice@example.test" : "");
    request.reverse_path = text("spam\x1b@example.net");
    request.recipient = text("nobody@example.test");
    request.reason = text("no such user");
    request.session = text("abc-1");
    request.code = 550;
    assert_int_equal(call(self, gate, AUTH_REPORT, &request.base, &answer), 0);
    unsigned delay = ((const Auth__ReportReply *)answer.message)->delay_ms;
    answer_release(&answer);
    return delay;
}

#define UNKNOWN AUTH__REFUSED__REFUSED_UNKNOWN_USER

static void harvesting(struct fiber *self, struct fixture *f)
{
    static const unsigned expected_ms[] = {0, 500, 1000, 2000, 4000, 8000, 8000};
    struct channel *gate = fixture_connect(f, ROLE_GATE);
    for (size_t i = 0; i < sizeof expected_ms / sizeof *expected_ms; i++) {
        assert_int_equal(report(self, gate, UNKNOWN, "192.0.2.1", 0), expected_ms[i]);
        /* Other refusals cost nothing. */
        assert_int_equal(report(self, gate, AUTH__REFUSED__REFUSED_RECIPIENT, "192.0.2.1", 0), 0);
        assert_int_equal(report(self, gate, AUTH__REFUSED__REFUSED_RETURN_PATH, "192.0.2.1", 0), 0);
    }
    assert_int_equal(report(self, gate, UNKNOWN, "192.0.2.2", 0), 0);
    assert_int_equal(report(self, gate, UNKNOWN, "192.0.2.3", 0), 500); /* the network has had nine by now */
    assert_int_equal(report(self, gate, UNKNOWN, "2001:db8::1", 100), 0);
    assert_int_equal(report(self, gate, UNKNOWN, "2001:db8:1::1", 100), 500); /* a member's are counted together */
    /* Logins are counted by themselves. */
    struct ask wrong = {.mechanism = "PLAIN", .data = PLAIN_WRONG, .ip = "192.0.2.1"};
    ask_now(self, f, &wrong);
    assert_int_equal(wrong.delay_ms, 0);
    clock_fake_advance(3600 * NANOSECONDS);
    assert_int_equal(report(self, gate, UNKNOWN, "192.0.2.1", 0), 0);
    channel_free(gate);
}

/* One question from each address of a network; a neighbour of the network is not it. */
static void harvesting_by_network(struct fiber *self, struct fixture *f)
{
    static const unsigned expected_ms[] = {0, 0, 0, 0, 0, 0, 0, 0, 500, 1000, 2000, 4000, 8000, 8000};
    static const char *const neighbours[] = {"198.51.101.1", "2001:db8:7:8::1"};
    struct channel *gate = fixture_connect(f, ROLE_GATE);
    for (size_t row = 0; row < 2; row++) {
        for (unsigned i = 0; i < sizeof expected_ms / sizeof *expected_ms; i++) {
            char ip[40];
            snprintf(ip, sizeof ip, row ? "2001:db8:7:7:%x::1" : "198.51.100.%u", i + 1);
            assert_int_equal(report(self, gate, UNKNOWN, ip, 0), expected_ms[i]);
        }
        assert_int_equal(report(self, gate, UNKNOWN, neighbours[row], 0), 0);
    }
    channel_free(gate);
}

static bool may_guess(struct fiber *self, struct channel *gate, const char *ip, const char *recipient)
{
    Auth__GuessRequest request = AUTH__GUESS_REQUEST__INIT;
    struct answer answer;
    request.peer_address = text(ip);
    request.recipient = text(recipient);
    assert_int_equal(call(self, gate, AUTH_GUESS, &request.base, &answer), 0);
    bool allowed = ((const Auth__GuessReply *)answer.message)->allowed;
    answer_release(&answer);
    return allowed;
}

static void passcodes(struct fiber *self, struct fixture *f)
{
    struct channel *gate = fixture_connect(f, ROLE_GATE);
    f->settings.smtp.detail_separator = "+";
    static const unsigned expected_ms[] = {0, 500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000};
    for (size_t i = 0; i < sizeof expected_ms / sizeof *expected_ms; i++) {
        assert_true(may_guess(self, gate, "192.0.2.1", "nobody@example.test"));
        assert_int_equal(report(self, gate, AUTH__REFUSED__REFUSED_PASSCODE, "192.0.2.1", 0), expected_ms[i]);
    }
    assert_false(may_guess(self, gate, "192.0.2.200", "alice@example.test")); /* of the network, for anybody */
    for (unsigned i = 0; i < 20; i++) {
        char ip[32];
        assert_true(may_guess(self, gate, "203.0.113.1", "Nobody+detail@Example.test"));
        snprintf(ip, sizeof ip, "198.51.%u.1", i);
        report(self, gate, AUTH__REFUSED__REFUSED_PASSCODE, ip, 0);
    }
    assert_false(may_guess(self, gate, "203.0.113.1", "Nobody+detail@Example.test"));
    assert_true(may_guess(self, gate, "203.0.113.1", "alice@example.test"));
    clock_fake_advance(3600 * NANOSECONDS);
    assert_true(may_guess(self, gate, "192.0.2.1", "nobody@example.test"));
    channel_free(gate);
}

static void greylisting(struct fiber *self, struct fixture *f)
{
    static const unsigned left[] = {60, 30, 0, 0};
    struct channel *gate = fixture_connect(f, ROLE_GATE);
    Auth__GreylistRequest request = AUTH__GREYLIST_REQUEST__INIT;
    struct answer answer;
    request.reverse_path = text("a@far.test");
    request.recipient = text("alice@example.test");
    request.wait_seconds = 60;
    assert_int_equal(call(self, gate, AUTH_GREYLIST, &request.base, &answer), -EINVAL);
    request.peer_address = text("192.0.2.1");
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        assert_int_equal(call(self, gate, AUTH_GREYLIST, &request.base, &answer), 0);
        assert_int_equal(((const Auth__GreylistReply *)answer.message)->wait_seconds, left[i]);
        answer_release(&answer);
        clock_fake_advance(30 * NANOSECONDS);
    }
    channel_free(gate);
}

static void bad_reports(struct fiber *self, struct fixture *f)
{
    static uint8_t large[5000];
    struct channel *gate = fixture_connect(f, ROLE_GATE);
    Auth__ReportRequest request = AUTH__REPORT_REQUEST__INIT;
    struct answer answer;
    assert_int_equal(call(self, gate, AUTH_REPORT, &request.base, &answer), -EINVAL);
    request.refused = (Auth__Refused)77;
    assert_int_equal(call(self, gate, AUTH_REPORT, &request.base, &answer), -EINVAL);
    request.refused = AUTH__REFUSED__REFUSED_MESSAGE;
    request.reason = (ProtobufCBinaryData){sizeof large, large};
    assert_int_equal(call(self, gate, AUTH_REPORT, &request.base, &answer), -EINVAL);
    request.reason.len = 500;
    assert_int_equal(call(self, gate, AUTH_REPORT, &request.base, &answer), 0);
    answer_release(&answer);
    /* Whoever is no administrator sees nothing: the channel ends. */
    Auth__WatchRequest watch = AUTH__WATCH_REQUEST__INIT;
    assert_int_equal(call(self, gate, AUTH_WATCH, &watch.base, &answer), -EPIPE);
    channel_free(gate);
}

struct watching {
    struct channel *admin;
    Auth__WatchRequest request;
    struct answer answer;
    int error;
    bool is_done;
};

static void watch_main(struct fiber *self, void *argument)
{
    struct watching *w = argument;
    w->error = call(self, w->admin, AUTH_WATCH, &w->request.base, &w->answer);
    w->is_done = true;
}

static void watch_later(struct fixture *f, struct watching *w, uint64_t after, unsigned seconds)
{
    auth__watch_request__init(&w->request);
    w->request.after = after;
    w->request.wait_seconds = seconds;
    w->request.connections = true;
    w->is_done = false;
    assert_non_null(fiber_start(f->loop, "watch", watch_main, w));
}

static const Auth__WatchReply *watch_end(struct fiber *self, struct watching *w)
{
    for (int i = 0; i < 10000 && !w->is_done; i++)
        assert_int_equal(fiber_yield(self), 0);
    assert_true(w->is_done);
    assert_int_equal(w->error, 0);
    return (const Auth__WatchReply *)w->answer.message;
}

static void events(struct fiber *self, struct fixture *f)
{
    struct channel *gate = fixture_connect(f, ROLE_GATE);
    struct watching w = {.admin = fixture_connect(f, ROLE_ADMIN)};
    watch_later(f, &w, 0, 10);
    settle(self);
    assert_false(w.is_done);
    struct ask wrong = {.mechanism = "PLAIN", .data = PLAIN_WRONG, .is_pop3 = true};
    ask_now(self, f, &wrong);
    const Auth__WatchReply *reply = watch_end(self, &w);
    assert_int_equal(reply->n_events, 1);
    assert_string_equal(reply->events[0]->kind, "login refused");
    assert_true(is(reply->events[0]->peer_address, "192.0.2.7"));
    assert_true(is(reply->events[0]->account, "alice@example.test"));
    assert_true(is(reply->events[0]->reason, "wrong password"));
    assert_int_equal(reply->last, 1);
    answer_release(&w.answer);

    report(self, gate, UNKNOWN, "192.0.2.1", 0);
    report(self, gate, AUTH__REFUSED__REFUSED_RECIPIENT, "192.0.2.1", 100);
    watch_later(f, &w, 1, 10);
    reply = watch_end(self, &w);
    assert_int_equal(reply->n_events, 2);
    assert_string_equal(reply->events[0]->kind, "unknown recipient");
    assert_true(is(reply->events[0]->reverse_path, "spam?@example.net"));
    assert_true(is(reply->events[0]->recipient, "nobody@example.test"));
    assert_int_equal(reply->events[0]->code, 550);
    assert_true(is(reply->events[1]->account, "alice@example.test"));
    assert_int_equal(reply->events[1]->number, 3);
    assert_int_equal(reply->lost, 0);
    answer_release(&w.answer);

    /* Nothing happens: the time is up. */
    watch_later(f, &w, 3, 10);
    settle(self);
    assert_false(w.is_done);
    clock_fake_advance(10 * NANOSECONDS);
    reply = watch_end(self, &w);
    assert_int_equal(reply->n_events, 0);
    assert_int_equal(reply->last, 3);
    answer_release(&w.answer);

    /* So much happened that some of it is gone; and it comes in pieces. */
    for (int i = 0; i < 1200; i++)
        report(self, gate, AUTH__REFUSED__REFUSED_MESSAGE, "192.0.2.1", 0);
    uint64_t after = 3, seen = 0;
    for (int i = 0; i < 3 && after < 1203; i++) {
        watch_later(f, &w, after, 10);
        reply = watch_end(self, &w);
        assert_int_equal(reply->lost, i ? 0 : 200);
        assert_int_equal(reply->events[0]->number, i ? after + 1 : 204);
        seen += reply->n_events;
        after = reply->last;
        answer_release(&w.answer);
    }
    assert_int_equal(seen, 1000);
    assert_int_equal(after, 1203);
    /* A number from a former life of the process. */
    watch_later(f, &w, 999999, 10);
    reply = watch_end(self, &w);
    assert_int_equal(reply->events[0]->number, 204);
    answer_release(&w.answer);
    channel_free(gate);
    channel_free(w.admin);
}

static void connections(struct fiber *self, struct fixture *f)
{
    static const unsigned char ip[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 9};
    int gates = session_board_create(2, 3000), desks = session_board_create(1, 10);
    struct session_board *gate = session_board_map(gates, 2, 1), *desk = session_board_map(desks, 1, 0);
    assert_int_equal(auth_process_show_board(f->process, gates, 2), 0);
    assert_int_equal(auth_process_show_board(f->process, desks, 1), 0);
    assert_true(auth_process_show_board(f->process, -1, 1) < 0);
    close(gates);
    close(desks);
    struct session_slot *slot = session_board_begin(desk, SERVICE_POP3, ip, span_text("desk-1"), 42);
    session_note_account(slot, 100, span_text("alice@example.test"));
    session_note_accepted(slot);
    session_board_begin(desk, 250, ip, span_text("no such service"), 42);
    struct watching w = {.admin = fixture_connect(f, ROLE_ADMIN)};
    watch_later(f, &w, 5, 0);
    const Auth__WatchReply *reply = watch_end(self, &w);
    assert_int_equal(reply->n_connections, 1);
    const Auth__Connection *c = reply->connections[0];
    assert_string_equal(c->service, "pop3");
    assert_true(is(c->peer_address, "192.0.2.9") && is(c->session, "desk-1") && is(c->account, "alice@example.test"));
    assert_int_equal(c->since, 42);
    assert_int_equal(c->accepted, 1);
    answer_release(&w.answer);
    for (int i = 0; i < 3000; i++)
        assert_non_null(session_board_begin(gate, SERVICE_SMTP, ip, span_text("gate"), 42));
    watch_later(f, &w, 5, 0);
    reply = watch_end(self, &w);
    assert_true(reply->n_connections > 1000 && reply->n_connections < 3000);
    assert_int_equal(reply->n_services, 2);
    assert_string_equal(reply->services[0]->service, "smtp");
    assert_int_equal(reply->services[0]->connections, 3000);
    answer_release(&w.answer);
    session_board_unmap(gate);
    session_board_unmap(desk);
    channel_free(w.admin);
}

#define CASE(name)                        \
    static void test_##name(void **state) \
    {                                     \
        fixture_run(name);                \
    }
CASE(windows)
CASE(harvesting)
CASE(harvesting_by_network)
CASE(passcodes)
CASE(greylisting)
CASE(bad_reports)
CASE(events)
CASE(connections)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_harvesting),
        cmocka_unit_test(test_harvesting_by_network),
        cmocka_unit_test(test_passcodes),
        cmocka_unit_test(test_greylisting),
        cmocka_unit_test(test_bad_reports),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
