#include "my/service.h"

#include "auth.pb-c.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "courier.pb-c.h"
#include "ipc/binary.h"
#include "ipc/grant.h"
#include "ipc/services.h"
#include "my.pb-c.h"
#include "my/seats.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define AUTH_SECONDS 60 /* hashes wait for one another under load */
#define CALL_SECONDS 50 /* less than the command line waits */
#define DELAY_MAX_MS 30000
#define LOGIN_MAX 512
#define PASSWORD_MAX 1024
#define SESSION_TEXT 32

struct my_service {
    struct loop *loop;
    struct settings *settings;
    struct peers *peers;
    struct span remote_key;
    struct list_node sessions;
    size_t count;
    unsigned long started; /* for names in the log */
    bool stopping;
    struct condition ended; /* a session is gone */
};

struct my_session {
    struct my_service *service;
    struct list_node node;
    struct settings *settings;
    struct channel *channel;
    struct fiber *fiber;
    struct call *call; /* in hand; NULL: none */
    struct condition changed;
    bool closed, is_ending;
    uid_t uid;
    uint64_t end; /* on the monotonic clock */
    unsigned failures;
    char name[SESSION_TEXT];
    struct buf account; /* the main address; empty: not logged in */
    unsigned char grant[GRANT_SIZE];
};

/* ---- Login ---- */

static bool is_plain(ProtobufCBinaryData bytes, size_t most)
{
    return bytes.len && bytes.len <= most && !memchr(bytes.data, 0, bytes.len);
}

static void answer_login(struct my_session *s, const char *problem)
{
    My__LoginReply reply = MY__LOGIN_REPLY__INIT;
    reply.accepted = !*problem;
    reply.problem = (char *)(uintptr_t)problem;
    reply.address = binary_from_span(buf_span(&s->account));
    if (reply.accepted)
        reply.remote_key = binary_from_span(s->service->remote_key);
    call_reply(s->call, &reply.base, (struct span){NULL, 0}, -1);
    s->call = NULL;
}

/* RFC 4616: NUL name NUL password. */
static size_t write_message(const My__LoginRequest *request, char *message)
{
    size_t name = request->login.len;
    message[0] = message[name + 1] = 0;
    memcpy(message + 1, request->login.data, name);
    memcpy(message + name + 2, request->password.data, request->password.len);
    return name + request->password.len + 2;
}

static int step(struct fiber *self, struct my_session *s, const My__LoginRequest *login, struct answer *answer)
{
    char message[LOGIN_MAX + PASSWORD_MAX + 2], who[SESSION_TEXT];
    size_t size = write_message(login, message);
    Auth__StepRequest request = AUTH__STEP_REQUEST__INIT;
    request.mechanism = (char *)(uintptr_t) "PLAIN";
    request.service = AUTH__SERVICE__SERVICE_MY;
    request.peer_address =
        binary_from_span(span_from(who, (size_t)snprintf(who, sizeof who, "uid %u", (unsigned)s->uid)));
    request.secure = true; /* it does not leave the machine */
    request.data = binary_from_span(span_from(message, size));
    request.has_data = true;
    request.session = binary_from_span(span_text(s->name));
    int error = channel_call(self, peers_get(s->service->peers, ROLE_AUTH), AUTH_STEP, &request.base,
                             (struct span){NULL, 0}, -1, clock_in_seconds(AUTH_SECONDS), answer);
    explicit_bzero(message, sizeof message);
    return error;
}

static const char *conclude(struct my_session *s, const Auth__StepReply *reply)
{
    switch (reply->result) {
    case AUTH__RESULT__RESULT_ACCEPTED:
        if (reply->grant.len != GRANT_SIZE || !reply->address.len)
            break;
        buf_add(&s->account, reply->address.data, reply->address.len);
        if (buf_failed(&s->account))
            break;
        memcpy(s->grant, reply->grant.data, GRANT_SIZE);
        log_write(LOG_LOW, "my", s->name, "login account=%s uid=%u", log_quote(buf_span(&s->account)),
                  (unsigned)s->uid);
        return "";
    case AUTH__RESULT__RESULT_REFUSED:
    case AUTH__RESULT__RESULT_MALFORMED:
        s->is_ending = ++s->failures >= s->settings->auth.failures_per_session;
        return "wrong name or password";
    case AUTH__RESULT__RESULT_DISABLED:
        return "this account is closed";
    default:
        break;
    }
    return "login is not possible at the moment, please try again later";
}

static void log_in(struct fiber *self, struct my_session *s)
{
    const My__LoginRequest *request = (const My__LoginRequest *)s->call->request;
    struct answer answer = {.fd = -1};
    buf_reset(&s->account);
    explicit_bzero(s->grant, sizeof s->grant);
    if (!is_plain(request->login, LOGIN_MAX) || !is_plain(request->password, PASSWORD_MAX)) {
        answer_login(s, "wrong name or password");
        s->is_ending = true;
        return;
    }
    int error = step(self, s, request, &answer);
    if (!error) {
        uint32_t delay_ms = ((const Auth__StepReply *)answer.message)->delay_ms;
        delay_ms = delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS;
        /* Whoever guesses waits here, where it costs nobody else anything. */
        error = delay_ms ? fiber_sleep(self, clock_monotonic() + delay_ms * (NANOSECONDS / 1000)) : 0;
    }
    if (error)
        call_fail(s->call, error);
    else
        answer_login(s, conclude(s, (const Auth__StepReply *)answer.message));
    s->call = NULL;
    answer_release(&answer);
}

/* ---- What is passed on ---- */

/* Where the proof of who asks stands in the request: the grant, or for the courier the account's address. */
#define PASS(peer, to, message, field)                                    \
    {                                                                     \
        .role = (peer), .method = (to), .proof = offsetof(message, field) \
    }
static const struct pass {
    enum role role;
    size_t method, proof;
} passes[] = {
    [MY_DOOR_CHANGE] = PASS(ROLE_WRITER, STORE_WRITE_DOOR_CHANGE, StoreWrite__DoorChangeRequest, grant),
    [MY_DOOR_LIST] = PASS(ROLE_WRITER, STORE_WRITE_DOOR_LIST, StoreWrite__DoorListRequest, grant),
    [MY_DOOR_HISTORY] = PASS(ROLE_WRITER, STORE_WRITE_DOOR_HISTORY, StoreWrite__DoorHistoryRequest, grant),
    [MY_LEDGER_LIST] = PASS(ROLE_WRITER, STORE_WRITE_LEDGER_LIST, StoreWrite__LedgerListRequest, grant),
    [MY_FETCH_STATE] = PASS(ROLE_COURIER, COURIER_FETCH_STATE, Courier__FetchStateRequest, account),
    [MY_FETCH_NOW] = PASS(ROLE_COURIER, COURIER_FETCH_NOW, Courier__FetchNowRequest, account),
};

static void pass_on(struct fiber *self, struct my_session *s)
{
    struct call *call = s->call;
    const struct pass *pass = &passes[call->method];
    ProtobufCBinaryData *proof = (ProtobufCBinaryData *)((char *)call->request + pass->proof);
    struct answer answer = {.fd = -1};
    struct span grant = span_from(s->grant, sizeof s->grant);
    if (!s->account.size) {
        call_fail(call, -EACCES);
        s->call = NULL;
        return;
    }
    *proof = binary_from_span(pass->role == ROLE_COURIER ? buf_span(&s->account) : grant);
    int error = channel_call(self, peers_get(s->service->peers, pass->role), pass->method, call->request,
                             (struct span){NULL, 0}, -1, clock_in_seconds(CALL_SECONDS), &answer);
    if (error)
        call_fail(call, error);
    else
        call_reply(call, answer.message, answer.attachment, -1);
    s->call = NULL;
    answer_release(&answer);
}

/* ---- A session ---- */

static void called(void *context, struct call *call)
{
    struct my_session *s = context;
    channel_pause(s->channel, true);
    s->call = call;
    condition_wake_all(&s->changed);
}

static void closed(void *context, struct channel *channel)
{
    struct my_session *s = context;
    s->closed = true;
    condition_wake_all(&s->changed);
}

/* 0 when there is a call. */
static int wait_for_call(struct fiber *self, struct my_session *s)
{
    uint64_t idle = clock_in_seconds(MY_IDLE_SECONDS);
    int error = 0;
    while (!error && !s->call) {
        if (s->closed || s->is_ending || s->service->stopping)
            return -ECANCELED;
        error = condition_wait(self, &s->changed, idle < s->end ? idle : s->end);
    }
    return error;
}

static void end(struct my_session *s)
{
    struct my_service *m = s->service;
    if (s->call)
        call_fail(s->call, -ESHUTDOWN);
    channel_free(s->channel);
    list_remove(&s->node);
    m->count--;
    explicit_bzero(s->grant, sizeof s->grant);
    buf_release(&s->account);
    settings_unref(s->settings);
    free(s);
    condition_wake_all(&m->ended);
}

static void run(struct fiber *self, void *argument)
{
    struct my_session *s = argument;
    while (wait_for_call(self, s) == 0 && clock_monotonic() < s->end) {
        if (s->call->method == MY_LOGIN)
            log_in(self, s);
        else
            pass_on(self, s);
        channel_pause(s->channel, false);
    }
    /* What was answered last leaves at the end of this turn. */
    if (fiber_yield(self) == -ECANCELED)
        log_write(LOG_LOW, "my", s->name, "session ended by the end of the server");
    end(s);
}

/* ---- The service ---- */

struct my_service *my_service_new(struct loop *loop, struct settings *settings, struct peers *peers,
                                  struct span remote_key)
{
    struct my_service *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    *m =
        (struct my_service){.loop = loop, .settings = settings_ref(settings), .peers = peers, .remote_key = remote_key};
    list_init(&m->sessions);
    condition_init(&m->ended);
    return m;
}

void my_service_set_settings(struct my_service *m, struct settings *settings)
{
    settings_unref(m->settings);
    m->settings = settings_ref(settings);
}

/* 0, or -EMFILE. A seat that is taken from a session is free at once: what is left of it lasts no longer than a turn of
 * the loop. */
static int make_room(struct my_service *m, uid_t uid)
{
    struct seat seats[MY_SESSIONS_MAX];
    struct my_session *sessions[MY_SESSIONS_MAX];
    size_t count = 0, spare = 0;
    list_each (node, &m->sessions) {
        struct my_session *s = container_of(node, struct my_session, node);
        if (s->is_ending || count == MY_SESSIONS_MAX)
            continue;
        sessions[count] = s;
        seats[count++] = (struct seat){s->uid, !s->call};
    }
    enum seat_result result = m->stopping ? SEAT_NONE : seat_choose(seats, count, uid, &spare);
    if (result != SEAT_OF_ANOTHER)
        return result == SEAT_FREE ? 0 : -EMFILE;
    log_write(LOG_LOW, "my", sessions[spare]->name, "session ended, as another user wants a seat uid=%u other=%u",
              (unsigned)sessions[spare]->uid, (unsigned)uid);
    sessions[spare]->is_ending = true;
    condition_wake_all(&sessions[spare]->changed);
    return 0;
}

int my_service_attach(struct my_service *m, int fd)
{
    static const struct channel_events events = {called, closed};
    struct ucred peer;
    socklen_t size = sizeof peer;
    int error = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -errno : 0;
    if (!error)
        error = make_room(m, peer.uid);
    struct my_session *s = error ? NULL : calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return error ? error : -ENOMEM;
    }
    *s = (struct my_session){.service = m,
                             .settings = settings_ref(m->settings),
                             .uid = peer.uid,
                             .end = clock_in_seconds(MY_SESSION_SECONDS)};
    snprintf(s->name, sizeof s->name, "my%u-%lu", (unsigned)getpid(), ++m->started);
    buf_init(&s->account, LOGIN_MAX);
    condition_init(&s->changed);
    list_append(&m->sessions, &s->node);
    m->count++;
    s->channel = channel_new(m->loop, fd, &my_service, ROLE_ADMIN, &events, s);
    s->fiber = s->channel ? fiber_start(m->loop, "my", run, s) : NULL;
    if (s->fiber)
        return 0;
    end(s);
    return -ENOMEM;
}

void my_service_stop(struct fiber *self, struct my_service *m, uint64_t deadline)
{
    int error = 0;
    m->stopping = true;
    list_each (node, &m->sessions)
        condition_wake_all(&container_of(node, struct my_session, node)->changed);
    while (!error && m->count)
        error = condition_wait(self, &m->ended, deadline);
    list_each (node, &m->sessions)
        fiber_cancel(container_of(node, struct my_session, node)->fiber);
}
