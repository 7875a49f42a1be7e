#include "service_fixture.h"

#include "auth/credentials.h"
#include "auth/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define WALL_2026 (1790000000ull * NANOSECONDS)
#define SETTLE_TURNS 100
#define WAIT_TURNS 100000

static void reader_called(void *context, struct call *call)
{
    struct fixture *f = context;
    const StoreRead__CredentialsRequest *request = (const StoreRead__CredentialsRequest *)call->request;
    StoreRead__CredentialsReply reply = STORE_READ__CREDENTIALS_REPLY__INIT;
    StoreRead__Credential values[3], *pointers[3];
    f->lookups++;
    if (f->reader_fails) {
        call_fail(call, f->reader_fails);
        return;
    }
    for (size_t i = 0; i < ACCOUNTS; i++) {
        struct stored_account *account = &f->accounts[i];
        if (!span_is(span_from(request->login.data, request->login.len), account->address))
            continue;
        const char *kinds[] = {"crypt", "scram-sha-256", "apop"};
        struct buf *secrets[] = {&account->crypt, &account->scram, &account->apop};
        reply.found = true;
        reply.account_id = account->id;
        reply.enabled = account->enabled;
        reply.version = account->version;
        reply.address = (ProtobufCBinaryData){strlen(account->address), (uint8_t *)account->address};
        reply.credentials = pointers;
        for (size_t kind = 0; kind < 3; kind++) {
            if (secrets[kind]->size == 0)
                continue;
            store_read__credential__init(&values[kind]);
            values[kind].kind = (char *)kinds[kind];
            values[kind].value = (ProtobufCBinaryData){secrets[kind]->size, (uint8_t *)secrets[kind]->data};
            pointers[reply.n_credentials++] = &values[kind];
        }
    }
    call_reply(call, &reply.base, (struct span){0}, -1);
}

static void make_accounts(struct fixture *f)
{
    static const char *const addresses[] = {"alice@example.test", "bob@example.test", "carol@example.test"};
    static const struct span text = SPAN("sandbox");
    for (size_t i = 0; i < ACCOUNTS; i++) {
        struct credential_set set;
        struct buf problem;
        buf_init(&problem, 1024);
        assert_int_equal(credentials_make(&f->settings, text, &set, &problem), 0);
        struct stored_account *account = &f->accounts[i];
        *account = (struct stored_account){addresses[i], 100 + i, i != CAROL, 1};
        account->crypt = set.items[0].value;
        account->scram = set.items[1].value;
        account->apop = set.items[2].value;
    }
    struct password password;
    struct stored_account *bob = &f->accounts[BOB];
    assert_true(password_parse(text, &password));
    buf_release(&bob->scram);
    buf_release(&bob->apop);
    buf_reset(&bob->crypt);
    assert_int_equal(password_hash(&password, "$1$", 0, &bob->crypt), 0);
}

struct channel *fixture_connect(struct fixture *f, enum role role)
{
    int fds[2];
    assert_int_equal(channel_pair(fds), 0);
    assert_int_equal(auth_process_attach(f->process, fds[1], role), 0);
    struct channel *client = channel_new(f->loop, fds[0], &auth_service, ROLE_AUTH, NULL, NULL);
    assert_non_null(client);
    return client;
}

static void fixture_start(struct fixture *f)
{
    static const struct channel_events reader_events = {.called = reader_called};
    struct buf problem;
    int fds[2];
    buf_init(&problem, 1024);
    clock_fake_start(WALL_2026);
    f->log_fd = memfd_create("log", 0);
    assert_true(f->log_fd >= 0);
    log_open(LOG_TO_FD, f->log_fd);
    f->settings.references = 1;
    f->settings.auth.password_hash = "$5$";
    f->settings.auth.hash_cost = 1000;
    f->settings.auth.default_domain = "Example.test";
    f->settings.pop3.apop = true;
    f->settings.pop3.login_delay = 0;
    memset(f->grant_key, 9, sizeof f->grant_key);
    make_accounts(f);
    f->loop = loop_new();
    assert_non_null(f->loop);
    assert_int_equal(channel_pair(fds), 0);
    f->reader = channel_new(f->loop, fds[0], &store_read_service, ROLE_AUTH, &reader_events, f);
    assert_non_null(f->reader);
    struct channel *to_reader = channel_new(f->loop, fds[1], &store_read_service, ROLE_READER, NULL, NULL);
    assert_non_null(to_reader);
    peers_set(&f->peers, ROLE_READER, 0, to_reader);
    f->process = auth_process_new(f->loop, &f->settings, &f->peers, f->grant_key, &problem);
    assert_non_null(f->process);
    f->desk = fixture_connect(f, ROLE_DESK);
    f->desk2 = fixture_connect(f, ROLE_DESK);
}

static void fixture_stop(struct fixture *f)
{
    assert_int_equal(auth_process_steps(f->process), 0);
    auth_process_free(f->process);
    assert_int_equal(f->settings.references, 1);
    channel_free(f->desk);
    channel_free(f->desk2);
    channel_free(f->reader);
    peers_release(&f->peers);
    for (size_t i = 0; i < ACCOUNTS; i++) {
        buf_release(&f->accounts[i].crypt);
        buf_release(&f->accounts[i].scram);
        buf_release(&f->accounts[i].apop);
    }
    loop_free(f->loop);
    log_open(LOG_TO_FD, STDERR_FILENO);
    close(f->log_fd);
}

struct test_run {
    struct fixture *fixture;
    void (*test)(struct fiber *self, struct fixture *f);
};

static void test_main(struct fiber *self, void *argument)
{
    struct test_run *run = argument;
    run->test(self, run->fixture);
    /* What is under way ends as at a shutdown. */
    loop_cancel_all(run->fixture->loop, self);
    settle(self);
    loop_stop(run->fixture->loop);
}

void fixture_run(void (*test)(struct fiber *self, struct fixture *f))
{
    struct fixture f = {0};
    struct test_run run = {&f, test};
    fixture_start(&f);
    assert_non_null(fiber_start(f.loop, "test", test_main, &run));
    assert_int_equal(loop_run(f.loop), 0);
    /* The channels' own fibers end once they are canceled. */
    fixture_stop(&f);
}

static void fill_request(const struct ask *ask, Auth__StepRequest *request)
{
    const char *ip = ask->ip ? ask->ip : "192.0.2.7", *timestamp = ask->apop_timestamp ? ask->apop_timestamp : "";
    request->exchange = ask->exchange;
    request->mechanism = (char *)(ask->mechanism ? ask->mechanism : "");
    request->service = ask->is_pop3 ? AUTH__SERVICE__SERVICE_POP3 : AUTH__SERVICE__SERVICE_SUBMISSION;
    if (ask->is_pwd)
        request->service = AUTH__SERVICE__SERVICE_PWD;
    if (ask->is_my)
        request->service = AUTH__SERVICE__SERVICE_MY;
    request->peer_address = (ProtobufCBinaryData){strlen(ip), (uint8_t *)ip};
    request->secure = !ask->is_insecure;
    request->tls_exporter = (ProtobufCBinaryData){ask->exporter.size, (uint8_t *)ask->exporter.data};
    request->data = (ProtobufCBinaryData){ask->data.size, (uint8_t *)ask->data.data};
    request->has_data = ask->data.data != NULL;
    request->abort = ask->is_abort;
    request->session = (ProtobufCBinaryData){4, (uint8_t *)"4f 2"};
    request->apop_timestamp = (ProtobufCBinaryData){strlen(timestamp), (uint8_t *)timestamp};
}

void ask_now(struct fiber *self, struct fixture *f, struct ask *ask)
{
    Auth__StepRequest request = AUTH__STEP_REQUEST__INIT;
    struct answer answer;
    fill_request(ask, &request);
    ask->error = channel_call(self, ask->desk ? ask->desk : f->desk, AUTH_STEP, &request.base, (struct span){0}, -1,
                              CLOCK_NEVER, &answer);
    if (!ask->error) {
        const Auth__StepReply *reply = (const Auth__StepReply *)answer.message;
        ask->result = reply->result;
        ask->next = reply->exchange;
        ask->account_id = reply->account_id;
        ask->delay_ms = reply->delay_ms;
        snprintf(ask->address, sizeof ask->address, "%.*s", (int)reply->address.len, (char *)reply->address.data);
        snprintf(ask->out, sizeof ask->out, "%.*s", (int)reply->data.len, (char *)reply->data.data);
        ask->grant_size = reply->grant.len;
        if (reply->grant.len == GRANT_SIZE)
            memcpy(ask->grant, reply->grant.data, GRANT_SIZE);
    }
    answer_release(&answer);
    ask->is_done = true;
}

static void ask_main(struct fiber *self, void *argument)
{
    struct ask *ask = argument;
    ask_now(self, ask->fixture, ask);
}

void ask_later(struct fixture *f, struct ask *ask)
{
    ask->fixture = f;
    ask->is_done = false;
    assert_non_null(fiber_start(f->loop, "ask", ask_main, ask));
}

void settle(struct fiber *self)
{
    for (int i = 0; i < SETTLE_TURNS; i++)
        assert_int_equal(fiber_yield(self), 0);
}

void wait_until_done(struct fiber *self, const struct ask *ask)
{
    for (int i = 0; i < WAIT_TURNS && !ask->is_done; i++)
        assert_int_equal(fiber_yield(self), 0);
    assert_true(ask->is_done);
}

const char *fixture_log(struct fixture *f)
{
    static char text[65536];
    log_flush();
    ssize_t n = pread(f->log_fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}
