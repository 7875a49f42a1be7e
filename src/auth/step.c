#include "auth.pb-c.h"
#include "auth/account.h"
#include "auth/credentials.h"
#include "auth/password.h"
#include "auth/process.h"
#include "format/ip_address.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdlib.h>

#define STEPS_MAX 4096
/* Longer than any honest login takes, shorter than a client's patience (RFC 5321 section 4.5.3.2: five minutes). */
#define STORE_SECONDS 10
#define HASH_SECONDS 30
#define SESSION_MAX 64
#define ADDRESS_TEXT_MAX 64
#define MILLISECOND (NANOSECONDS / 1000)

struct step {
    struct auth_process *process;
    struct call *call;
    Auth__StepRequest *request;
    struct exchange *exchange; /* ours from begin() to the end of the step */
    struct account_secrets secrets;
    struct buf out;
    char session[SESSION_MAX + 1];
    struct ip_address ip; /* one that does not parse counts as the address zero */
    unsigned char grant[GRANT_SIZE];
    Auth__StepReply reply;
};

/* A desk that was taken over may write what it likes; a log line stays a line. */
static void copy_session(struct step *s)
{
    struct span given = binary_span(s->request->session);
    for (size_t i = 0; i < given.size; i++)
        s->session[i] = given.data[i] > ' ' && given.data[i] < 0x7f ? given.data[i] : '?';
}

static bool is_sane(const Auth__StepRequest *r)
{
    return (r->service == AUTH__SERVICE__SERVICE_SUBMISSION || r->service == AUTH__SERVICE__SERVICE_POP3 ||
            r->service == AUTH__SERVICE__SERVICE_PWD || r->service == AUTH__SERVICE__SERVICE_MY) &&
           r->peer_address.len <= ADDRESS_TEXT_MAX && r->session.len <= SESSION_MAX &&
           r->tls_exporter.len <= SCRAM_BINDING_MAX && r->tls_server_end_point.len <= SCRAM_BINDING_MAX &&
           r->apop_timestamp.len <= SASL_TIMESTAMP_MAX;
}

static const char *mechanism_name(const struct step *s)
{
    return mechanisms[s->exchange->sasl.mechanism].name;
}

static const char *service_name(const struct step *s)
{
    static const char *const names[] = {[AUTH__SERVICE__SERVICE_SUBMISSION] = "submission",
                                        [AUTH__SERVICE__SERVICE_POP3] = "pop3",
                                        [AUTH__SERVICE__SERVICE_PWD] = "pwd",
                                        [AUTH__SERVICE__SERVICE_MY] = "my"};
    return names[s->request->service]; /* is_sane() */
}

/* Every refused login is a Failure in the log, and an event for whoever watches. */
static void note_refusal(const struct step *s, const char *reason, uint64_t delay)
{
    struct auth_process *a = s->process;
    struct span login = s->exchange ? login_span(&s->exchange->sasl.login) : (struct span){NULL, 0};
    struct span ip = binary_span(s->request->peer_address);
    log_write(LOG_FAILURE, "auth", s->session, "login refused service=%s ip=%s login=%s mechanism=%s reason=%s",
              service_name(s), log_quote(ip), log_quote(login), s->exchange ? mechanism_name(s) : "none",
              log_quote(span_text(reason)));
    struct event *event = events_add(&a->events, "login refused", clock_wall());
    if (!event)
        return;
    event_set(event, peer_address, ip);
    event_set(event, account, login);
    event_set(event, reason, span_text(reason));
    event_set(event, session, span_text(s->session));
    event->delay_ms = (uint32_t)(delay / MILLISECOND);
    condition_wake_all(&a->happened);
}

static int answer_with(struct step *s, Auth__Result result)
{
    s->reply.result = result;
    return 0;
}

/* All names of an account count as one; a name that nobody has counts by itself. */
static uint64_t count_failure(struct step *s)
{
    const struct exchange_account *account = &s->exchange->account;
    struct span login = login_span(account->found ? &account->address : &s->exchange->sasl.login);
    return failures_add(&s->process->logins, &s->ip, login, clock_monotonic());
}

/* Nothing waits here for whoever guesses: the session holds the answer back. */
static int refuse(struct step *s)
{
    uint64_t delay = count_failure(s);
    note_refusal(s, s->exchange->sasl.problem, delay);
    s->reply.delay_ms = (uint32_t)(delay / MILLISECOND);
    return answer_with(s, AUTH__RESULT__RESULT_REFUSED);
}

static int accept_login(struct step *s)
{
    struct auth_process *a = s->process;
    const struct exchange_account *account = &s->exchange->account;
    if (!account->enabled) {
        note_refusal(s, "account disabled", 0);
        return answer_with(s, AUTH__RESULT__RESULT_DISABLED);
    }
    if (s->request->service == AUTH__SERVICE__SERVICE_POP3 &&
        recent_is_too_soon(&a->recent, account->id, a->settings->pop3.login_delay, clock_monotonic())) {
        note_refusal(s, "within LOGIN-DELAY", 0);
        return answer_with(s, AUTH__RESULT__RESULT_TOO_SOON);
    }
    if (s->request->service == AUTH__SERVICE__SERVICE_PWD)
        recent_put_pwd_login(&a->recent, account->id, clock_monotonic());
    if (s->request->service == AUTH__SERVICE__SERVICE_POP3 && a->settings->submission.pop_before_smtp)
        windows_open(&a->windows, &s->ip, account->id, login_span(&account->address),
                     a->settings->submission.pop_window, clock_monotonic());
    log_write(LOG_LOW, "auth", s->session, "login accepted ip=%s account=%s mechanism=%s",
              log_quote(binary_span(s->request->peer_address)), log_quote(login_span(&account->address)),
              mechanism_name(s));
    grant_make(a->grant_key, account->id, clock_monotonic() / NANOSECONDS + GRANT_SECONDS, s->grant);
    s->reply.account_id = account->id;
    s->reply.address = binary_from_span(login_span(&account->address));
    s->reply.grant = binary_from_span(span_from(s->grant, sizeof s->grant));
    return answer_with(s, AUTH__RESULT__RESULT_ACCEPTED);
}

/* Puts the exchange back for the client's next message. */
static int challenge(struct step *s)
{
    struct auth_process *a = s->process;
    struct auth_client *client = auth_client_get(a, s->call->channel_id);
    if (buf_failed(&s->out))
        return -ENOMEM;
    if (!client)
        return -EPIPE;
    int error = exchanges_put(&a->exchanges, &client->exchanges, s->exchange);
    if (error)
        return error;
    s->reply.exchange = s->exchange->id;
    s->exchange = NULL;
    if (a->sweep.place == 0 && (error = timer_start(a->loop, &a->sweep, clock_in_seconds(EXCHANGE_SECONDS))) != 0)
        return error;
    return answer_with(s, AUTH__RESULT__RESULT_CONTINUE);
}

/* Compares with the account's hash, or with nobody's for the same time. 0, -EACCES, or why it can't be told. */
static int compare(struct step *s)
{
    const struct password *password = &s->exchange->sasl.password;
    struct span dummy = buf_span(&s->process->dummy_hash);
    int error = -EINVAL;
    if (s->exchange->account.found && account_has_password(&s->secrets)) {
        error = account_compare(&s->secrets, password);
        if (error == -EINVAL)
            log_write(LOG_PROBLEM, "auth", s->session,
                      "stored password hash is of no known kind; set a new password account=%s",
                      log_quote(login_span(&s->exchange->account.address)));
    }
    /* An imported hash may be a cheap one: how long a refusal takes must not tell that the name is there. */
    bool is_cheap = error == -EACCES && s->secrets.crypt.size == 0;
    if (error != -EINVAL && !is_cheap)
        return error;
    error = password_verify(password, dummy);
    return error == -ENOMEM ? error : -EACCES;
}

static int check_password(struct fiber *self, struct step *s, enum sasl_outcome *outcome)
{
    struct auth_process *a = s->process;
    struct sasl_exchange *sasl = &s->exchange->sasl;
    const struct exchange_account *account = &s->exchange->account;
    struct span password = password_span(&sasl->password);
    *outcome = SASL_PROVEN;
    if (account->found && recent_has(&a->recent, account->id, account->version, password, clock_monotonic()))
        return 0;
    bool suspect = failures_is_suspect(&a->logins, &s->ip, clock_monotonic());
    int error = turnstile_enter(self, &a->turnstile, suspect ? TURNSTILE_SUSPECT : TURNSTILE_CLEAN,
                                clock_in_seconds(HASH_SECONDS));
    if (error)
        return error;
    error = compare(s);
    turnstile_leave(&a->turnstile);
    if (error == -EACCES) {
        sasl->problem = account->found ? "wrong password" : "unknown name";
        *outcome = SASL_REFUSED;
        return 0;
    }
    if (!error)
        recent_put(&a->recent, account->id, account->version, password, clock_monotonic());
    return error;
}

static int look_up(struct fiber *self, struct step *s, enum sasl_outcome *outcome)
{
    struct auth_process *a = s->process;
    struct exchange *x = s->exchange;
    login_qualify(&x->sasl.login, a->settings->auth.default_domain);
    int error = account_look_up(self, a->peers, login_span(&x->sasl.login), clock_in_seconds(STORE_SECONDS),
                                &x->account, &s->secrets);
    if (error) {
        log_write(LOG_PROBLEM, "auth", s->session, "no answer from the store; login put off error=%d", -error);
        return -EAGAIN;
    }
    struct sasl_account stored = {
        .found = x->account.found,
        .scram = buf_span(&s->secrets.scram),
        .apop = buf_span(&s->secrets.apop),
        .fake_key = span_from(a->fake_key, sizeof a->fake_key),
    };
    digest_random(stored.nonce, sizeof stored.nonce);
    *outcome = sasl_credentials(&x->sasl, &stored, &s->out);
    return *outcome == SASL_CHECK_PASSWORD ? check_password(self, s, outcome) : 0;
}

static bool may_use(const struct step *s, enum mechanism_id id)
{
    const Auth__StepRequest *r = s->request;
    bool binding = r->tls_exporter.len || r->tls_server_end_point.len;
    if (id == MECHANISM_COUNT || !mechanism_fits(id, r->secure, binding))
        return false;
    return id != MECHANISM_APOP || (s->process->settings->pop3.apop && r->service == AUTH__SERVICE__SERVICE_POP3);
}

/* Sets s->exchange, or the reply that there is none. */
static int find_exchange(struct step *s)
{
    struct auth_process *a = s->process;
    const Auth__StepRequest *r = s->request;
    if (r->exchange == 0) {
        enum mechanism_id id = mechanism_parse(span_text(r->mechanism));
        if (!may_use(s, id)) {
            note_refusal(s, "mechanism not offered", 0);
            return answer_with(s, AUTH__RESULT__RESULT_NOT_OFFERED);
        }
        s->exchange = exchange_new(&a->exchanges, id, clock_monotonic());
        return s->exchange ? 0 : -ENOMEM;
    }
    struct auth_client *client = auth_client_get(a, s->call->channel_id);
    if (client)
        s->exchange = exchanges_take(&a->exchanges, &client->exchanges, r->exchange, clock_monotonic());
    if (s->exchange && !r->abort)
        return 0;
    if (s->exchange)
        log_write(LOG_LOW, "auth", s->session, "login given up ip=%s", log_quote(binary_span(r->peer_address)));
    else
        note_refusal(s, "took too long", 0);
    return answer_with(s, s->exchange ? AUTH__RESULT__RESULT_MALFORMED : AUTH__RESULT__RESULT_REFUSED);
}

/* People of this machine have no address: "uid 1000" counts by itself, as a network that nobody else has. */
static struct ip_address count_as(const Auth__StepRequest *r)
{
    static const struct span mark = SPAN("uid ");
    struct span text = binary_span(r->peer_address);
    struct ip_address ip;
    uint64_t uid;
    if (ip_address_parse(text, &ip))
        return ip;
    memset(&ip, 0, sizeof ip);
    if (r->service != AUTH__SERVICE__SERVICE_MY || !span_equal(span_head(text, mark.size), mark) ||
        !span_parse_u64(span_skip(text, mark.size), UINT32_MAX, &uid))
        return ip;
    /* In fd00::/8 (RFC 4193), which never comes in from outside. */
    memcpy(ip.bytes,
           "\xfd"
           "uid",
           4);
    for (int i = 0; i < 4; i++)
        ip.bytes[4 + i] = (unsigned char)(uid >> (24 - 8 * i));
    return ip;
}

/* 0 with s->reply filled, or a negative errno: then nothing was decided. */
static int run_step(struct fiber *self, struct step *s)
{
    const Auth__StepRequest *r = s->request;
    if (!is_sane(r))
        return -EINVAL;
    copy_session(s);
    s->ip = count_as(r);
    int error = find_exchange(s);
    if (error || s->reply.result != AUTH__RESULT__RESULT_UNSET)
        return error;
    struct sasl_input input = {
        .has_data = r->has_data,
        .data = binary_span(r->data),
        .bindings = {binary_span(r->tls_exporter), binary_span(r->tls_server_end_point)},
        .apop_timestamp = binary_span(r->apop_timestamp),
    };
    enum sasl_outcome outcome = sasl_step(&s->exchange->sasl, &input, &s->out);
    if (outcome == SASL_LOOKUP && (error = look_up(self, s, &outcome)) != 0)
        return error;
    switch (outcome) {
    case SASL_CHALLENGE:
        return challenge(s);
    case SASL_PROVEN:
        return accept_login(s);
    case SASL_REFUSED:
        return refuse(s);
    case SASL_MALFORMED:
        note_refusal(s, "message does not parse", 0);
        return answer_with(s, AUTH__RESULT__RESULT_MALFORMED);
    case SASL_LOOKUP:
    case SASL_CHECK_PASSWORD:
        break;
    }
    abort(); /* look_up() leaves neither */
}

static void step_main(struct fiber *self, void *argument)
{
    struct step *s = argument;
    struct auth_process *a = s->process;
    int error = run_step(self, s);
    /* The request may hold a password, and its memory goes back to the heap with the call. */
    if (s->request->data.len)
        explicit_bzero(s->request->data.data, s->request->data.len);
    if (error) {
        call_fail(s->call, error == -EINVAL ? error : -EAGAIN);
    } else {
        s->reply.data = binary_from_span(buf_span(&s->out));
        call_reply(s->call, &s->reply.base, (struct span){0}, -1);
    }
    exchange_free(s->exchange);
    account_secrets_release(&s->secrets);
    buf_release(&s->out);
    explicit_bzero(s, sizeof *s);
    free(s);
    a->steps--;
}

void auth_step_start(struct auth_process *a, struct call *call)
{
    struct step *s = a->steps < STEPS_MAX ? calloc(1, sizeof *s) : NULL;
    if (!s)
        goto busy;
    s->process = a;
    s->call = call;
    s->request = (Auth__StepRequest *)call->request;
    auth__step_reply__init(&s->reply);
    buf_init(&s->out, SASL_MESSAGE_MAX);
    account_secrets_init(&s->secrets);
    a->steps++;
    if (fiber_start(a->loop, "auth step", step_main, s))
        return;
    a->steps--;
    free(s);
busy:
    log_write(LOG_PROBLEM, "auth", NULL, "too many logins at once; one was put off");
    call_fail(call, -EAGAIN);
}
