#include "auth/password.h"
#include "service_fixture.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* A writer that answers as a test wants it. */
struct writer {
    struct channel *channel;
    const char *problem; /* of the reply */
    int error;           /* fails with it where not 0 */
    bool is_silent;      /* keeps the call */
    struct call *kept;
    unsigned calls;
    uint64_t account_id;
    size_t kinds;
    struct buf crypt;
};

static void writer_called(void *context, struct call *call)
{
    struct writer *w = context;
    const StoreWrite__CredentialsRequest *request = (const StoreWrite__CredentialsRequest *)call->request;
    StoreWrite__ChangeReply reply = STORE_WRITE__CHANGE_REPLY__INIT;
    assert_int_equal(call->method, STORE_WRITE_CREDENTIALS);
    w->calls++;
    w->account_id = request->account_id;
    w->kinds = request->n_credentials;
    buf_reset(&w->crypt);
    for (size_t i = 0; i < request->n_credentials; i++)
        if (strcmp(request->credentials[i]->kind, "crypt") == 0)
            buf_add(&w->crypt, request->credentials[i]->value.data, request->credentials[i]->value.len);
    reply.problem = (char *)(uintptr_t)(w->problem ? w->problem : "");
    if (w->is_silent)
        w->kept = call;
    else if (w->error)
        call_fail(call, w->error);
    else
        call_reply(call, &reply.base, (struct span){0}, -1);
}

static void writer_start(struct writer *w, struct fixture *f)
{
    static const struct channel_events events = {.called = writer_called};
    int fds[2];
    *w = (struct writer){0};
    buf_init(&w->crypt, 1024);
    assert_int_equal(channel_pair(fds), 0);
    w->channel = channel_new(f->loop, fds[0], &store_write_service, ROLE_AUTH, &events, w);
    assert_non_null(w->channel);
    peers_set(&f->peers, ROLE_WRITER, 0, channel_new(f->loop, fds[1], &store_write_service, ROLE_WRITER, NULL, NULL));
    f->settings.auth.password_min_length = 8;
}

static void writer_stop(struct writer *w)
{
    channel_free(w->channel);
    buf_release(&w->crypt);
}

/* A change as a test writes it, and what came of it. */
struct wish {
    uint64_t account_id;
    const char *address, *password, *ip;
    bool is_forged, is_expired;
    /* the outcome */
    int error;
    bool changed;
    char problem[200];
    struct fixture *fixture;
    bool is_done;
};

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void wish_now(struct fiber *self, struct fixture *f, struct wish *wish)
{
    Auth__ChangePasswordRequest request = AUTH__CHANGE_PASSWORD_REQUEST__INIT;
    unsigned char grant[GRANT_SIZE];
    uint64_t now = clock_monotonic() / NANOSECONDS;
    struct answer answer;
    grant_make(f->grant_key, wish->account_id, wish->is_expired ? now : now + 60, grant);
    grant[GRANT_SIZE - 1] ^= wish->is_forged;
    request.grant = (ProtobufCBinaryData){sizeof grant, grant};
    request.address = binary(wish->address);
    request.password = binary(wish->password);
    request.peer_address = binary(wish->ip ? wish->ip : "192.0.2.7");
    request.session = binary("4f 2");
    wish->error =
        channel_call(self, f->desk, AUTH_CHANGE_PASSWORD, &request.base, (struct span){0}, -1, CLOCK_NEVER, &answer);
    if (!wish->error) {
        const Auth__ChangePasswordReply *reply = (const Auth__ChangePasswordReply *)answer.message;
        wish->changed = reply->changed;
        snprintf(wish->problem, sizeof wish->problem, "%s", reply->problem);
    }
    answer_release(&answer);
    wish->is_done = true;
}

/* At the PWD service, without which no password is changed. */
static void log_in(struct fiber *self, struct fixture *f)
{
    struct ask alice = {.mechanism = "PLAIN", .data = SPAN("\0alice\0sandbox"), .is_pwd = true};
    struct ask bob = {.mechanism = "PLAIN", .data = SPAN("\0bob\0sandbox"), .is_pwd = true};
    ask_now(self, f, &alice);
    ask_now(self, f, &bob);
    assert_int_equal(alice.result, AUTH__RESULT__RESULT_ACCEPTED);
    assert_int_equal(bob.result, AUTH__RESULT__RESULT_ACCEPTED);
}

/* A grant of another service does not do, nor one login for two changes or for ever. */
static void logins(struct fiber *self, struct fixture *f)
{
    struct writer w;
    struct wish wish = {100, "alice@example.test", "open sesame"};
    struct ask pop3 = {.mechanism = "PLAIN", .data = SPAN("\0alice\0sandbox"), .is_pop3 = true};
    writer_start(&w, f);
    ask_now(self, f, &pop3);
    assert_int_equal(pop3.result, AUTH__RESULT__RESULT_ACCEPTED);
    wish_now(self, f, &wish);
    assert_int_equal(wish.error, -EACCES);
    log_in(self, f);
    wish_now(self, f, &wish);
    assert_true(!wish.error && wish.changed);
    wish_now(self, f, &wish);
    assert_int_equal(wish.error, -EACCES);
    log_in(self, f);
    clock_fake_advance(600 * NANOSECONDS);
    wish_now(self, f, &wish);
    assert_int_equal(wish.error, -EACCES);
    assert_int_equal(w.calls, 1);
    writer_stop(&w);
}

static void changes(struct fiber *self, struct fixture *f)
{
    struct writer w;
    struct password password;
    writer_start(&w, f);
    struct wish wish = {100, "Alice@example.test", "open sesame"};
    log_in(self, f);
    wish_now(self, f, &wish);
    assert_int_equal(wish.error, 0);
    assert_true(wish.changed);
    assert_string_equal(wish.problem, "");
    assert_int_equal(w.account_id, 100);
    assert_int_equal(w.kinds, 3);
    assert_true(password_parse(span_text("open sesame"), &password));
    assert_int_equal(password_verify(&password, buf_span(&w.crypt)), 0);
    /* The old hash is of an old kind. */
    struct wish bob = {101, "bob@example.test", "open sesame"};
    f->settings.pop3.apop = false;
    wish_now(self, f, &bob);
    assert_true(bob.changed);
    assert_int_equal(w.kinds, 2);
    const char *log = fixture_log(f);
    assert_non_null(strstr(log, " LOW auth 4f?2 password changed ip=192.0.2.7 account=alice@example.test"));
    assert_null(strstr(log, "sesame"));
    writer_stop(&w);
}

static void refusals(struct fiber *self, struct fixture *f)
{
    char long_text[600];
    memset(long_text, 'x', sizeof long_text);
    long_text[sizeof long_text - 1] = 0;
    const struct {
        struct wish wish;
        int error;
        const char *problem;
    } rows[] = {
        {{100, "alice@example.test", "open sesame", .is_forged = true}, -EACCES, NULL},
        {{100, "alice@example.test", "open sesame", .is_expired = true}, -EACCES, NULL},
        {{0, "alice@example.test", "open sesame"}, -EACCES, NULL},
        {{101, "alice@example.test", "open sesame"}, -EACCES, NULL}, /* another's grant */
        {{100, "nobody@example.test", "open sesame"}, -EACCES, NULL},
        {{100, "", "open sesame"}, -EACCES, NULL},
        {{102, "carol@example.test", "open sesame"}, -EACCES, NULL}, /* closed */
        {{100, "alice@example.test", "open sesame", .ip = long_text}, -EINVAL, NULL},
        {{100, "alice@example.test", "sesame!"}, 0, "a password has at least 8 characters; choose a longer one"},
        {{100, "alice@example.test", "malice, open"}, 0, "the name alice must not be part of its password"},
        {{100, "alice@example.test", ""}, 0, "a password has 1 to 511 bytes"},
        {{100, "alice@example.test", long_text}, 0, "a password has 1 to 511 bytes"},
        {{100, "alice@example.test", "sandbox"}, 0, "the new password is the old one; choose another"},
        {{101, "bob@example.test", "sandbox"}, 0, "the new password is the old one; choose another"},
    };
    struct writer w;
    writer_start(&w, f);
    log_in(self, f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct wish wish = rows[i].wish;
        f->settings.auth.password_min_length = strcmp(wish.password, "sandbox") == 0 ? 7 : 8;
        wish_now(self, f, &wish);
        assert_int_equal(wish.error, rows[i].error);
        assert_false(wish.changed);
        if (rows[i].problem && !strstr(wish.problem, rows[i].problem))
            fail_msg("row %zu: %s", i, wish.problem);
    }
    assert_int_equal(w.calls, 0);
    assert_non_null(strstr(fixture_log(f), " FAILURE auth 4f?2 password change refused ip=192.0.2.7 "
                                           "account=alice@example.test reason=\"the new password is the old one"));
    writer_stop(&w);
}

static void wish_main(struct fiber *self, void *argument)
{
    struct wish *wish = argument;
    wish_now(self, wish->fixture, wish);
}

/* -EAGAIN is a promise that nothing was changed, so it is made only where that is known. */
static void store_fails(struct fiber *self, struct fixture *f)
{
    struct writer w;
    struct wish wish = {100, "alice@example.test", "open sesame", .fixture = f};
    writer_start(&w, f);
    log_in(self, f);
    f->reader_fails = -EIO;
    wish_now(self, f, &wish);
    assert_int_equal(wish.error, -EAGAIN);
    assert_int_equal(w.calls, 0);
    f->reader_fails = 0;
    w.problem = "The account is gone.";
    wish_now(self, f, &wish);
    assert_int_equal(wish.error, 0);
    assert_false(wish.changed);
    assert_string_equal(wish.problem, "The account is gone.");
    w.error = -EIO;
    wish_now(self, f, &wish);
    assert_int_equal(wish.error, -EIO);
    /* The writer dies with the change in hand: it may have committed. */
    w.is_silent = true;
    wish.is_done = false;
    assert_non_null(fiber_start(f->loop, "wish", wish_main, &wish));
    while (!w.kept)
        assert_int_equal(fiber_yield(self), 0);
    channel_free(w.channel);
    w.channel = NULL;
    while (!wish.is_done)
        assert_int_equal(fiber_yield(self), 0);
    assert_int_equal(wish.error, -EIO);
    call_fail(w.kept, -EIO); /* into nothing */
    peers_set(&f->peers, ROLE_WRITER, 0, NULL);
    wish_now(self, f, &wish);
    assert_int_equal(wish.error, -EAGAIN);
    writer_stop(&w);
}

static void test_logins(void **state)
{
    fixture_run(logins);
}

static void test_changes(void **state)
{
    fixture_run(changes);
}

static void test_refusals(void **state)
{
    fixture_run(refusals);
}

static void test_store_fails(void **state)
{
    fixture_run(store_fails);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_store_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
