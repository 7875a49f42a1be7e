#include "auth/service.h"

#include "auth/digest.h"
#include "scram_client.h"
#include "service_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define OK AUTH__RESULT__RESULT_ACCEPTED
#define CONTINUE AUTH__RESULT__RESULT_CONTINUE
#define REFUSED AUTH__RESULT__RESULT_REFUSED
#define MALFORMED AUTH__RESULT__RESULT_MALFORMED
#define NOT_OFFERED AUTH__RESULT__RESULT_NOT_OFFERED

#define PLAIN_ALICE SPAN("\0alice@example.test\0sandbox")
#define PLAIN_WRONG SPAN("\0alice@example.test\0Sandbox")
#define PLAIN_BOB SPAN("\0bob@example.test\0sandbox")
#define PLAIN_NOBODY SPAN("\0nobody@example.test\0sandbox")

static void single_steps(struct fiber *self, struct fixture *f)
{
    static const struct {
        const char *mechanism;
        struct span data;
        bool is_pop3, is_insecure;
        const char *timestamp;
        Auth__Result result;
        uint64_t account_id;
    } rows[] = {
        {"PLAIN", PLAIN_ALICE, .result = OK, .account_id = 100},
        {"plain", SPAN("\0Alice\0sandbox"), .result = OK, .account_id = 100}, /* the default domain */
        {"PLAIN", PLAIN_BOB, .is_pop3 = true, .result = OK, .account_id = 101},
        {"PLAIN", PLAIN_WRONG, .result = REFUSED},
        {"PLAIN", PLAIN_NOBODY, .result = REFUSED},
        {"PLAIN", SPAN("\0carol\0sandbox"), .result = AUTH__RESULT__RESULT_DISABLED},
        {"PLAIN", SPAN("\0carol\0Sandbox"), .result = REFUSED},
        {"PLAIN", SPAN("bob\0alice\0sandbox"), .result = REFUSED},
        {"PLAIN", SPAN("alice"), .result = MALFORMED},
        {"PLAIN", PLAIN_ALICE, .is_insecure = true, .result = NOT_OFFERED},
        {"SCRAM-SHA-256-PLUS", SPAN("p=tls-exporter,,n=alice,r=abc"), .result = NOT_OFFERED},
        {"CRAM-MD5", {0}, .result = NOT_OFFERED},
        {"APOP", SPAN("alice 00000000000000000000000000000000"), .timestamp = "<1@x>", .result = NOT_OFFERED},
        {"APOP", SPAN("alice 00000000000000000000000000000000"), true, true, "<1@x>", REFUSED},
        {"APOP", SPAN("alice 00000000000000000000000000000000"), true, true, "", MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {.mechanism = rows[i].mechanism,
                          .data = rows[i].data,
                          .is_pop3 = rows[i].is_pop3,
                          .is_insecure = rows[i].is_insecure,
                          .apop_timestamp = rows[i].timestamp};
        /* A good while later, so that no failure delays the next. */
        clock_fake_advance(3600 * NANOSECONDS);
        ask_now(self, f, &ask);
        assert_int_equal(ask.error, 0);
        assert_int_equal(ask.result, rows[i].result);
        assert_int_equal(ask.account_id, rows[i].account_id);
        assert_int_equal(ask.grant_size, rows[i].account_id ? GRANT_SIZE : 0);
        assert_int_equal(ask.next, 0);
    }
}

static void grants(struct fiber *self, struct fixture *f)
{
    struct ask ask = {.mechanism = "PLAIN", .data = PLAIN_ALICE};
    uint64_t now = clock_monotonic() / NANOSECONDS;
    ask_now(self, f, &ask);
    assert_int_equal(ask.result, OK);
    assert_string_equal(ask.address, "alice@example.test");
    struct span grant = span_from(ask.grant, GRANT_SIZE);
    assert_int_equal(grant_check(f->grant_key, grant, now + 24 * 3600 - 1), 100);
    assert_int_equal(grant_check(f->grant_key, grant, now + 24 * 3600), 0);
}

static void apop(struct fiber *self, struct fixture *f)
{
    char text[6 + MD5_HEX_SIZE] = "alice ";
    digest_md5_hex(span_text("<7@host>"), span_text("sandbox"), text + 6);
    struct ask ask = {.mechanism = "APOP", .data = {text, sizeof text}, .is_pop3 = true, .apop_timestamp = "<7@host>"};
    ask_now(self, f, &ask);
    assert_int_equal(ask.result, OK);
    assert_int_equal(ask.account_id, 100);
    f->settings.pop3.apop = false;
    ask_now(self, f, &ask);
    assert_int_equal(ask.result, NOT_OFFERED);
}

static void login_in_steps(struct fiber *self, struct fixture *f)
{
    struct ask ask = {.mechanism = "LOGIN"};
    ask_now(self, f, &ask);
    assert_int_equal(ask.result, CONTINUE);
    assert_string_equal(ask.out, "Username:");
    struct ask name = {.exchange = ask.next, .data = SPAN("alice")};
    ask_now(self, f, &name);
    assert_int_equal(name.result, CONTINUE);
    assert_string_equal(name.out, "Password:");
    struct ask password = {.exchange = name.next, .data = SPAN("sandbox")};
    ask_now(self, f, &password);
    assert_int_equal(password.result, OK);
    /* It is used up. */
    ask_now(self, f, &password);
    assert_int_equal(password.result, REFUSED);
}

/* Three steps: the server's proof goes out as a challenge, answered by an empty message. */
static Auth__Result scram(struct fiber *self, struct fixture *f, const struct scram_client *client,
                          const char *mechanism, struct span exporter)
{
    struct buf message, expected;
    buf_init(&message, 4096);
    buf_init(&expected, 4096);
    scram_client_first_write(client, &message);
    struct ask first = {.mechanism = mechanism, .data = buf_span(&message), .exporter = exporter};
    struct ask final = {.exporter = exporter}, end = {.exporter = exporter, .data = SPAN("")};
    ask_now(self, f, &first);
    Auth__Result result = first.result;
    if (first.result != CONTINUE)
        goto out;
    buf_reset(&message);
    assert_true(scram_client_final_write(client, span_text(first.out), &message, &expected));
    final.exchange = first.next;
    final.data = buf_span(&message);
    ask_now(self, f, &final);
    result = final.result;
    if (final.result != CONTINUE)
        goto out;
    assert_true(span_is(buf_span(&expected), final.out));
    end.exchange = final.next;
    ask_now(self, f, &end);
    result = end.result;
    assert_string_equal(end.out, "");
    assert_int_equal(end.account_id, result == OK ? 100 : 0);
out:
    buf_release(&message);
    buf_release(&expected);
    return result;
}

static void scram_logins(struct fiber *self, struct fixture *f)
{
    static const struct span binding = SPAN("exported"), other = SPAN("Exported");
    static const struct {
        struct scram_client client;
        const char *mechanism;
        struct span exporter;
        Auth__Result result;
    } rows[] = {
        {{"n,,", "n=alice,r=" CLIENT_NONCE, "sandbox"}, "SCRAM-SHA-256", {0}, OK},
        {{"n,,", "n=alice,r=" CLIENT_NONCE, "sandboX"}, "SCRAM-SHA-256", {0}, REFUSED},
        {{"n,,", "n=nobody,r=" CLIENT_NONCE, "sandbox"}, "SCRAM-SHA-256", {0}, REFUSED},
        {{"n,,", "n=bob,r=" CLIENT_NONCE, "sandbox"}, "SCRAM-SHA-256", {0}, REFUSED}, /* no verifier is stored */
        {{"n,,", "n=carol,r=" CLIENT_NONCE, "sandbox"}, "SCRAM-SHA-256", {0}, AUTH__RESULT__RESULT_DISABLED},
        {{"n,,", "n=carol,r=" CLIENT_NONCE, "sandboX"}, "SCRAM-SHA-256", {0}, REFUSED},
        {{"p=tls-exporter,,", "n=alice,r=" CLIENT_NONCE, "sandbox", SPAN("exported")},
         "SCRAM-SHA-256-PLUS",
         SPAN("exported"),
         OK},
        {{"p=tls-exporter,,", "n=alice,r=" CLIENT_NONCE, "sandbox", SPAN("Exported")},
         "SCRAM-SHA-256-PLUS",
         SPAN("exported"),
         REFUSED},
        {{"y,,", "n=alice,r=" CLIENT_NONCE, "sandbox"}, "SCRAM-SHA-256", SPAN("exported"), REFUSED},
    };
    assert_false(span_equal(binding, other));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        clock_fake_advance(3600 * NANOSECONDS);
        assert_int_equal(scram(self, f, &rows[i].client, rows[i].mechanism, rows[i].exporter), rows[i].result);
    }
}

/* What an unknown name gets can't be told from what a known one gets. */
static void unknown_names(struct fiber *self, struct fixture *f)
{
    struct ask known = {.mechanism = "SCRAM-SHA-256", .data = SPAN("n,,n=alice,r=abc")};
    struct ask unknown = {.mechanism = "SCRAM-SHA-256", .data = SPAN("n,,n=nobody,r=abc")};
    struct ask again = {.mechanism = "SCRAM-SHA-256", .data = SPAN("n,,n=Nobody@example.test,r=abc")};
    ask_now(self, f, &known);
    ask_now(self, f, &unknown);
    ask_now(self, f, &again);
    assert_int_equal(known.result, CONTINUE);
    assert_int_equal(unknown.result, CONTINUE);
    assert_int_equal(strlen(known.out), strlen(unknown.out));
    assert_string_equal(strrchr(known.out, ','), strrchr(unknown.out, ','));
    assert_string_equal(strstr(unknown.out, ",s="), strstr(again.out, ",s="));
    assert_string_not_equal(unknown.out, again.out); /* the nonce is fresh */
}

/* The answer to a failure says how long the session is to hold it back. The owner never waits. */
static void delays(struct fiber *self, struct fixture *f)
{
    static const unsigned expected_ms[] = {0, 500, 1000, 2000, 4000, 8000, 8000};
    for (size_t i = 0; i < sizeof expected_ms / sizeof *expected_ms; i++) {
        struct ask wrong = {.mechanism = "PLAIN", .data = PLAIN_WRONG};
        struct ask owner = {.mechanism = "PLAIN", .data = PLAIN_ALICE};
        ask_now(self, f, &wrong);
        assert_int_equal(wrong.result, REFUSED);
        assert_int_equal(wrong.delay_ms, expected_ms[i]);
        ask_now(self, f, &owner);
        assert_int_equal(owner.result, OK);
        assert_int_equal(owner.delay_ms, 0);
    }
}

/* Addresses, networks and names count each by itself. */
static void delays_by_address_and_name(struct fiber *self, struct fixture *f)
{
    static const struct {
        const char *ip;
        struct span data;
        unsigned delay_ms;
    } rows[] = {
        {"2001:db8::1", SPAN("\0one\0x"), 0},
        {"2001:db8::1", SPAN("\0two\0x"), 500},
        {"2001:db8::2", SPAN("\0three\0x"), 0},
        {"192.0.2.1", SPAN("\0One@example.test\0x"), 500},
        {"192.0.2.2", SPAN("\0four\0x"), 0},
        {"198.51.100.1", SPAN("\0alice\0x"), 0},
        {"198.51.101.2", SPAN("\0ALICE@example.test\0x"), 500},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {.mechanism = "PLAIN", .data = rows[i].data, .ip = rows[i].ip};
        ask_now(self, f, &ask);
        assert_int_equal(ask.result, REFUSED);
        assert_int_equal(ask.delay_ms, rows[i].delay_ms);
    }
}

/* People of this machine count each by themselves, and only they are taken at their word. */
static void delays_by_user(struct fiber *self, struct fixture *f)
{
    static const struct {
        const char *ip;
        struct span data;
        bool is_my;
        unsigned delay_ms;
    } rows[] = {
        {"uid 1000", SPAN("\0u1\0x"), true, 0},           {"uid 1000", SPAN("\0u2\0x"), true, 500},
        {"uid 1001", SPAN("\0u3\0x"), true, 0},           {"uid 4294967295", SPAN("\0u4\0x"), true, 0},
        {"uid 1002", SPAN("\0u5\0x"), false, 0},          {"uid 1003", SPAN("\0u6\0x"), false, 500},
        {"uid 99999999999", SPAN("\0u7\0x"), true, 1000}, {"uid 1002", SPAN("\0u8\0x"), true, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ask ask = {.mechanism = "PLAIN", .data = rows[i].data, .ip = rows[i].ip, .is_my = rows[i].is_my};
        ask_now(self, f, &ask);
        assert_int_equal(ask.result, REFUSED);
        assert_int_equal(ask.delay_ms, rows[i].delay_ms);
    }
    for (unsigned i = 0; i < 12; i++) {
        char data[40] = "";
        int size = snprintf(data + 1, sizeof data - 1, "w%u", i) + 1;
        memcpy(data + size, "\0x", 2);
        struct ask ask = {
            .mechanism = "PLAIN", .data = span_from(data, (size_t)size + 2), .ip = "uid 1000", .is_my = true};
        ask_now(self, f, &ask);
    }
    struct ask neighbour = {.mechanism = "PLAIN", .data = SPAN("\0u9\0x"), .ip = "uid 1004", .is_my = true};
    ask_now(self, f, &neighbour);
    assert_int_equal(neighbour.delay_ms, 0);
    const char *log = fixture_log(f);
    if (!strstr(log, " login refused service=my ip=\"uid 1004\" login=u9"))
        fail_msg("%s", log);
}

/* One by one from many addresses of a network, at many names. */
static void delays_by_network(struct fiber *self, struct fixture *f)
{
    static const unsigned expected_ms[] = {0, 0, 0, 0, 0, 0, 0, 0, 500, 1000, 2000, 4000, 8000, 8000};
    for (unsigned version = 4; version <= 6; version += 2)
        for (unsigned i = 0; i < sizeof expected_ms / sizeof *expected_ms; i++) {
            char ip[40], data[40] = "";
            snprintf(ip, sizeof ip, version == 4 ? "203.0.113.%u" : "2001:db8:7:7::%x", i + 1);
            int size = snprintf(data + 1, sizeof data - 1, "v%un%u", version, i) + 1;
            memcpy(data + size, "\0x", 2);
            struct ask ask = {.mechanism = "PLAIN", .data = span_from(data, (size_t)size + 2), .ip = ip};
            ask_now(self, f, &ask);
            assert_int_equal(ask.result, REFUSED);
            assert_int_equal(ask.delay_ms, expected_ms[i]);
        }
    struct ask neighbour = {.mechanism = "PLAIN", .data = PLAIN_BOB, .ip = "203.0.113.200"};
    struct ask elsewhere = {.mechanism = "PLAIN", .data = PLAIN_WRONG, .ip = "203.0.112.1"};
    ask_now(self, f, &neighbour);
    assert_int_equal(neighbour.result, OK);
    ask_now(self, f, &elsewhere);
    assert_int_equal(elsewhere.delay_ms, 0);
}

static void success_cache(struct fiber *self, struct fixture *f)
{
    struct ask right = {.mechanism = "PLAIN", .data = PLAIN_ALICE};
    struct ask wrong = {.mechanism = "PLAIN", .data = PLAIN_WRONG, .ip = "192.0.2.99"};
    struct stored_account *alice = &f->accounts[ALICE];
    ask_now(self, f, &right);
    assert_int_equal(right.result, OK);
    /* With the stored hash spoilt only what is remembered can still let her in. */
    alice->crypt.data[alice->crypt.size - 1] ^= 1;
    ask_now(self, f, &right);
    assert_int_equal(right.result, OK);
    ask_now(self, f, &wrong);
    assert_int_equal(wrong.result, REFUSED);
    clock_fake_advance(600 * NANOSECONDS);
    ask_now(self, f, &right);
    assert_int_equal(right.result, REFUSED);
    alice->crypt.data[alice->crypt.size - 1] ^= 1;
    ask_now(self, f, &right);
    assert_int_equal(right.result, OK);
    alice->crypt.data[alice->crypt.size - 1] ^= 1;
    alice->version++; /* a new password: the old one is forgotten at once */
    clock_fake_advance(3600 * NANOSECONDS);
    ask_now(self, f, &right);
    assert_int_equal(right.result, REFUSED);
}

static void login_delay(struct fiber *self, struct fixture *f)
{
    struct ask pop3 = {.mechanism = "PLAIN", .data = PLAIN_ALICE, .is_pop3 = true};
    struct ask submission = {.mechanism = "PLAIN", .data = PLAIN_ALICE};
    struct ask bob = {.mechanism = "PLAIN", .data = PLAIN_BOB, .is_pop3 = true};
    struct ask wrong = {.mechanism = "PLAIN", .data = PLAIN_WRONG, .is_pop3 = true};
    f->settings.pop3.login_delay = 60;
    ask_now(self, f, &pop3);
    assert_int_equal(pop3.result, OK);
    ask_now(self, f, &pop3);
    assert_int_equal(pop3.result, AUTH__RESULT__RESULT_TOO_SOON);
    assert_int_equal(pop3.grant_size, 0);
    ask_now(self, f, &submission);
    assert_int_equal(submission.result, OK);
    ask_now(self, f, &bob);
    assert_int_equal(bob.result, OK);
    ask_now(self, f, &wrong); /* only who knows the password learns of it */
    assert_int_equal(wrong.result, REFUSED);
    clock_fake_advance(60 * NANOSECONDS);
    ask_now(self, f, &pop3);
    assert_int_equal(pop3.result, OK);
}

static void exchanges_end(struct fiber *self, struct fixture *f)
{
    struct ask start = {.mechanism = "LOGIN", .data = SPAN("alice")};
    /* Another channel can't take it over, and the attempt does not end it. */
    ask_now(self, f, &start);
    struct ask thief = {.exchange = start.next, .data = SPAN("sandbox"), .desk = f->desk2};
    ask_now(self, f, &thief);
    assert_int_equal(thief.result, REFUSED);
    struct ask abort = {.exchange = start.next, .is_abort = true};
    ask_now(self, f, &abort);
    assert_int_equal(abort.result, MALFORMED);
    struct ask late = {.exchange = start.next, .data = SPAN("sandbox")};
    ask_now(self, f, &late);
    assert_int_equal(late.result, REFUSED);
    /* A minute, and not longer. */
    for (int in_time = 0; in_time < 2; in_time++) {
        ask_now(self, f, &start);
        assert_int_equal(start.result, CONTINUE);
        clock_fake_advance(60 * NANOSECONDS - (uint64_t)in_time);
        late.exchange = start.next;
        ask_now(self, f, &late);
        assert_int_equal(late.result, in_time ? OK : REFUSED);
    }
    late.exchange = UINT64_MAX;
    ask_now(self, f, &late);
    assert_int_equal(late.result, REFUSED);
}

static void desk_goes_away(struct fiber *self, struct fixture *f)
{
    struct ask start = {.mechanism = "LOGIN", .data = SPAN("alice"), .desk = f->desk2};
    struct ask last = {.mechanism = "PLAIN", .data = PLAIN_WRONG, .desk = f->desk2};
    struct ask other = {.mechanism = "PLAIN", .data = PLAIN_ALICE};
    ask_now(self, f, &start);
    ask_later(f, &last);
    while (!auth_process_steps(f->process))
        assert_int_equal(fiber_yield(self), 0);
    assert_false(last.is_done);
    channel_free(f->desk2);
    f->desk2 = NULL;
    wait_until_done(self, &last);
    assert_int_equal(last.error, -EPIPE);
    /* The answer goes nowhere, and nobody minds. */
    settle(self);
    assert_int_equal(auth_process_steps(f->process), 0);
    ask_now(self, f, &other);
    assert_int_equal(other.result, OK);
}

static void store_fails(struct fiber *self, struct fixture *f)
{
    struct ask ask = {.mechanism = "PLAIN", .data = PLAIN_ALICE};
    f->reader_fails = -EIO;
    ask_now(self, f, &ask);
    assert_int_equal(ask.error, -EAGAIN);
    f->reader_fails = 0;
    ask_now(self, f, &ask);
    assert_int_equal(ask.error, 0);
    assert_int_equal(ask.result, OK);
    /* A reader that says more than it may is no answer. */
    char big[1025];
    memset(big, 'x', sizeof big);
    struct buf kept = f->accounts[BOB].crypt;
    f->accounts[BOB].crypt = (struct buf){big, sizeof big};
    struct ask bob = {.mechanism = "PLAIN", .data = PLAIN_BOB};
    ask_now(self, f, &bob);
    assert_int_equal(bob.error, -EAGAIN);
    f->accounts[BOB].crypt = kept;
    f->accounts[BOB].id = 0;
    ask_now(self, f, &bob);
    assert_int_equal(bob.error, -EAGAIN);
    peers_set(&f->peers, ROLE_READER, 0, NULL);
    ask_now(self, f, &ask);
    assert_int_equal(ask.error, -EAGAIN);
}

static void hostile_requests(struct fiber *self, struct fixture *f)
{
    char big[4096];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    struct ask address = {.mechanism = "PLAIN", .data = PLAIN_ALICE, .ip = big};
    struct ask timestamp = {.mechanism = "PLAIN", .data = PLAIN_ALICE, .apop_timestamp = big};
    struct ask exporter = {.mechanism = "PLAIN", .data = PLAIN_ALICE, .exporter = {big, 65}};
    struct ask data = {.mechanism = "PLAIN", .data = {big, sizeof big}};
    struct ask mechanism = {.mechanism = big};
    struct ask no_address = {.mechanism = "PLAIN", .data = PLAIN_ALICE, .ip = ""};
    struct ask *sick[] = {&address, &timestamp, &exporter};
    for (size_t i = 0; i < 3; i++) {
        ask_now(self, f, sick[i]);
        assert_int_equal(sick[i]->error, -EINVAL);
    }
    ask_now(self, f, &data);
    assert_int_equal(data.result, MALFORMED);
    ask_now(self, f, &mechanism);
    assert_int_equal(mechanism.result, NOT_OFFERED);
    ask_now(self, f, &no_address);
    assert_int_equal(no_address.result, OK);
}

/* A hundred at once: all are answered. */
static void many_at_once(struct fiber *self, struct fixture *f)
{
    static struct ask asks[100];
    for (size_t i = 0; i < 100; i++) {
        asks[i] = (struct ask){.mechanism = "PLAIN"};
        if (i % 2)
            asks[i].data = (struct span)PLAIN_WRONG;
        else
            asks[i].data = (struct span)PLAIN_BOB;
        ask_later(f, &asks[i]);
    }
    for (size_t i = 0; i < 100; i++) {
        wait_until_done(self, &asks[i]);
        assert_int_equal(asks[i].result, i % 2 ? REFUSED : OK);
    }
}

static void log_records(struct fiber *self, struct fixture *f)
{
    struct ask right = {.mechanism = "PLAIN", .data = PLAIN_ALICE};
    struct ask wrong = {.mechanism = "PLAIN", .data = SPAN("\0alice\0open sesame")};
    struct ask forged = {.mechanism = "PLAIN", .data = SPAN("\0x y\xc2\x85z\0open sesame"), .ip = "192.0.2.8"};
    struct ask carol = {.mechanism = "PLAIN", .data = SPAN("\0carol\0sandbox")};
    ask_now(self, f, &right);
    ask_now(self, f, &wrong);
    ask_now(self, f, &forged);
    ask_now(self, f, &carol);
    const char *log = fixture_log(f);
    assert_non_null(strstr(
        log,
        " 1 FAILURE auth 4f?2 login refused service=submission ip=192.0.2.7 login=alice@example.test mechanism=PLAIN "
        "reason=\"wrong password\""));
    assert_non_null(strstr(log, " login refused service=submission ip=192.0.2.8 login=\"x y"));
    assert_non_null(strstr(log, "reason=\"unknown name\""));
    assert_non_null(strstr(log, "login=carol@example.test mechanism=PLAIN reason=\"account disabled\""));
    assert_non_null(strstr(log, " login accepted ip=192.0.2.7 account=alice@example.test mechanism=PLAIN"));
    assert_null(strstr(log, "sesame"));
    assert_null(strstr(log, "sandbox"));
}

static void new_settings(struct fiber *self, struct fixture *f)
{
    struct settings other = f->settings, bad = f->settings;
    struct buf problem;
    struct ask ask = {.mechanism = "PLAIN", .data = PLAIN_ALICE, .is_pop3 = true};
    buf_init(&problem, 1024);
    other.references = bad.references = 1;
    bad.auth.password_hash = "$nonsense$";
    other.pop3.login_delay = 60;
    /* The default of a real site: its memory and its stack must fit a fiber. */
    other.auth.password_hash = "$y$";
    other.auth.hash_cost = 0;
    assert_int_equal(auth_process_set_settings(f->process, &bad, &problem), -EINVAL);
    assert_true(problem.size > 0);
    assert_int_equal(bad.references, 1);
    assert_int_equal(auth_process_set_settings(f->process, &other, &problem), 0);
    assert_int_equal(other.references, 2);
    struct ask nobody = {.mechanism = "PLAIN", .data = PLAIN_NOBODY};
    ask_now(self, f, &nobody);
    assert_int_equal(nobody.result, REFUSED);
    ask_now(self, f, &ask);
    ask_now(self, f, &ask);
    assert_int_equal(ask.result, AUTH__RESULT__RESULT_TOO_SOON);
    assert_int_equal(auth_process_set_settings(f->process, &f->settings, &problem), 0);
    assert_int_equal(other.references, 1);
    buf_release(&problem);
}

#define CASE(name)                        \
    static void test_##name(void **state) \
    {                                     \
        fixture_run(name);                \
    }
CASE(single_steps)
CASE(grants)
CASE(apop)
CASE(login_in_steps)
CASE(scram_logins)
CASE(unknown_names)
CASE(delays)
CASE(delays_by_address_and_name)
CASE(delays_by_network)
CASE(delays_by_user)
CASE(success_cache)
CASE(login_delay)
CASE(exchanges_end)
CASE(desk_goes_away)
CASE(store_fails)
CASE(hostile_requests)
CASE(many_at_once)
CASE(log_records)
CASE(new_settings)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_steps),
        cmocka_unit_test(test_grants),
        cmocka_unit_test(test_apop),
        cmocka_unit_test(test_login_in_steps),
        cmocka_unit_test(test_scram_logins),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_delays),
        cmocka_unit_test(test_delays_by_address_and_name),
        cmocka_unit_test(test_delays_by_network),
        cmocka_unit_test(test_delays_by_user),
        cmocka_unit_test(test_success_cache),
        cmocka_unit_test(test_login_delay),
        cmocka_unit_test(test_exchanges_end),
        cmocka_unit_test(test_desk_goes_away),
        cmocka_unit_test(test_store_fails),
        cmocka_unit_test(test_hostile_requests),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_log_records),
        cmocka_unit_test(test_new_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
