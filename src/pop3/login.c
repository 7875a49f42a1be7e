#include "auth.pb-c.h"
#include "auth/mechanisms.h"
#include "format/base64.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "pop3/state.h"

#include <errno.h>

#define SECRET_ROOM 2048
#define ROUNDS_MAX 8 /* of one exchange; SCRAM needs three */
#define DELAY_MAX_MS 30000

/* One exchange with auth. Everything that logs in goes through here. */
struct exchange {
    enum mechanism_id mechanism;
    uint64_t number; /* auth's; 0 before the first step */
    struct buf data; /* the client's message, decoded: secret */
    bool has_data;
    bool abort;
};

static void exchange_init(struct exchange *e, enum mechanism_id mechanism)
{
    *e = (struct exchange){.mechanism = mechanism};
    buf_init(&e->data, POP3_AUTH_LINE_MAX);
    /* Room for what clients send, so that growing leaves no copy of a password behind. A failure stays with the buf. */
    (void)buf_reserve(&e->data, SECRET_ROOM);
}

static void wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->room);
    buf_reset(b);
}

static void exchange_release(struct exchange *e)
{
    wipe(&e->data);
    buf_release(&e->data);
}

/* The line's bytes are the stream's, consumed already: nobody reads them again, so the secret in them goes. */
static void wipe_line(struct span line)
{
    if (line.size)
        explicit_bzero((char *)(uintptr_t)line.data, line.size);
}

static int step(struct fiber *self, struct pop3_session *s, struct exchange *e, struct answer *answer)
{
    unsigned char end_point[64], exporter[64];
    Auth__StepRequest request = AUTH__STEP_REQUEST__INIT;
    request.exchange = e->number;
    request.mechanism = (char *)(uintptr_t)mechanisms[e->mechanism].name;
    request.service = AUTH__SERVICE__SERVICE_POP3;
    request.peer_address = binary_from_span(span_text(s->peer->address));
    request.secure = pop3_is_secure(s);
    if (pop3_has_binding(s)) {
        request.tls_server_end_point =
            binary_from_span(span_from(end_point, stream_tls_binding(s->stream, TLS_SERVER_END_POINT, end_point)));
        request.tls_exporter =
            binary_from_span(span_from(exporter, stream_tls_binding(s->stream, TLS_EXPORTER, exporter)));
    }
    request.data = binary_from_span(buf_span(&e->data));
    request.has_data = e->has_data;
    request.abort = e->abort;
    request.session = binary_from_span(span_text(s->peer->session_id));
    if (e->mechanism == MECHANISM_APOP)
        request.apop_timestamp = binary_from_span(buf_span(&s->timestamp));
    /* Not through pop3_call(): a step that was lost with its process can't be done twice. */
    return channel_call(self, peers_get(s->context->peers, ROLE_AUTH), AUTH_STEP, &request.base, (struct span){NULL, 0},
                        -1, clock_in_seconds(POP3_AUTH_SECONDS), answer);
}

/* ---- What came of it ---- */

static void refuse(struct pop3_session *s, const char *text)
{
    s->context->counters.refused_logins++;
    if (++s->failures < s->settings->auth.failures_per_session) {
        pop3_error(s, "%s", text);
        return;
    }
    pop3_error(s, "%s; too many failures, closing", text);
    pop3_close(s, "too many failed logins");
}

static int log_in(struct fiber *self, struct pop3_session *s, const Auth__StepReply *reply, enum mechanism_id mechanism)
{
    if (reply->grant.len != GRANT_SIZE)
        return pop3_trouble(s, -EPROTO, "login");
    memcpy(s->grant, reply->grant.data, GRANT_SIZE);
    int result = pop3_open_maildrop(self, s);
    if (result) {
        explicit_bzero(s->grant, GRANT_SIZE);
        return pop3_trouble(s, result, "opening the maildrop");
    }
    buf_add(&s->account, reply->address.data, reply->address.len);
    s->account_id = reply->account_id;
    session_note_account(s->peer->board, reply->account_id, buf_span(&s->account));
    s->state = POP3_TRANSACTION;
    buf_release(&s->user);
    s->context->counters.logins++;
    log_write(LOG_ALL, "pop3", s->peer->session_id, "login account=%s ip=%s mechanism=%s tls=%s messages=%u",
              log_quote(buf_span(&s->account)), s->peer->address, mechanisms[mechanism].name,
              stream_is_tls(s->stream) ? stream_tls_version(s->stream) : "no", s->maildrop.count);
    pop3_ok(s, "maildrop has %u message%s (%llu octets)", s->maildrop.count, s->maildrop.count == 1 ? "" : "s",
            (unsigned long long)s->maildrop.octets);
    return 0;
}

static int conclude(struct fiber *self, struct pop3_session *s, const Auth__StepReply *reply,
                    enum mechanism_id mechanism)
{
    /* Whoever guesses waits for each answer, as long as auth says: here, where it costs nobody else anything. */
    uint32_t delay_ms = reply->delay_ms < DELAY_MAX_MS ? reply->delay_ms : DELAY_MAX_MS;
    int error = delay_ms ? fiber_sleep(self, clock_monotonic() + delay_ms * (NANOSECONDS / 1000)) : 0;
    if (error)
        return error;
    switch (reply->result) {
    case AUTH__RESULT__RESULT_ACCEPTED:
        return log_in(self, s, reply, mechanism);
    case AUTH__RESULT__RESULT_REFUSED:
        refuse(s, "[AUTH] wrong name or password");
        return 0;
    case AUTH__RESULT__RESULT_DISABLED:
        refuse(s, "[AUTH] this account is closed");
        return 0;
    case AUTH__RESULT__RESULT_TOO_SOON:
        pop3_error(s, "[LOGIN-DELAY] please wait %u seconds between logins", s->settings->pop3.login_delay);
        return 0;
    case AUTH__RESULT__RESULT_NOT_OFFERED:
        refuse(s, "[AUTH] this way to log in is not offered here");
        return 0;
    case AUTH__RESULT__RESULT_MALFORMED:
        s->errors++;
        refuse(s, "the authentication data does not parse");
        return 0;
    default:
        return pop3_trouble(s, -EPROTO, "login");
    }
}

/* ---- Challenges: RFC 5034 section 4 ---- */

/* Sends a challenge and reads the answer into e->data. 0 with *go_on false when a reply was given instead. */
static int challenge(struct fiber *self, struct pop3_session *s, struct exchange *e, struct span data, bool *go_on)
{
    struct buf *out = stream_output(s->stream);
    buf_add_text(out, "+ ");
    base64_write(data, out);
    buf_add_text(out, "\r\n");
    struct span line;
    int result = stream_read_line(self, s->stream, POP3_AUTH_LINE_MAX, &line, pop3_line_deadline(s));
    *go_on = false;
    wipe(&e->data);
    if (result == -EMSGSIZE) {
        e->abort = true;
        pop3_wrong(s, "the answer is longer than %d octets", POP3_AUTH_LINE_MAX);
        return 0;
    }
    if (result)
        return result;
    if (span_is(line, "*")) {
        e->abort = true;
        pop3_error(s, "authentication cancelled");
        return 0;
    }
    e->has_data = *go_on = base64_parse(line, &e->data);
    wipe_line(line);
    if (!*go_on) {
        e->abort = true;
        pop3_wrong(s, "the answer is not base64");
    }
    return 0;
}

/* Tells auth that the exchange is over, so that it does not keep it for a minute. The client has its reply already. */
static int abandon(struct fiber *self, struct pop3_session *s, struct exchange *e)
{
    struct answer answer;
    wipe(&e->data);
    e->has_data = false;
    int result = step(self, s, e, &answer);
    if (!result)
        answer_release(&answer);
    return result == -ECANCELED ? result : 0;
}

static int run_exchange(struct fiber *self, struct pop3_session *s, struct exchange *e)
{
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        struct answer answer;
        int result = step(self, s, e, &answer);
        wipe(&e->data);
        if (result)
            return pop3_trouble(s, result, "login");
        const Auth__StepReply *reply = (const Auth__StepReply *)answer.message;
        e->number = reply->exchange;
        if (reply->result != AUTH__RESULT__RESULT_CONTINUE) {
            result = conclude(self, s, reply, e->mechanism);
            answer_release(&answer);
            return result;
        }
        bool go_on;
        result = challenge(self, s, e, span_from(reply->data.data, reply->data.len), &go_on);
        answer_release(&answer);
        if (result)
            return result;
        if (!go_on)
            return abandon(self, s, e);
    }
    return pop3_trouble(s, -EPROTO, "login");
}

/* ---- Commands ---- */

/* True when the mechanism may be used here; else the refusal was given. */
static bool may_use(struct pop3_session *s, enum mechanism_id mechanism)
{
    bool secure = pop3_is_secure(s);
    if (mechanism_fits(mechanism, secure, pop3_has_binding(s)))
        return true;
    if (secure) {
        pop3_error(s, "[AUTH] %s needs channel binding data, which this connection does not have",
                   mechanisms[mechanism].name);
        return false;
    }
    s->context->counters.refused_logins++;
    if (!s->plain_was_refused)
        log_write(LOG_FAILURE, "pop3", s->peer->session_id, "login refused ip=%s mechanism=%s reason=\"no TLS\"",
                  s->peer->address, mechanisms[mechanism].name);
    s->plain_was_refused = true;
    if (s->context->tls)
        pop3_error(s, "[AUTH] no passwords without encryption: use STLS first, or POP3S");
    else
        pop3_error(s, "[AUTH] no passwords without encryption, and none is set up on this server");
    return false;
}

int pop3_do_user(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)self;
    buf_reset(&s->user);
    if (!may_use(s, MECHANISM_PLAIN))
        return 0;
    buf_add_span(&s->user, command->argument[0]);
    /* The same for every name: who has an account here is nobody's business. */
    pop3_ok(s, "now the password");
    return 0;
}

int pop3_do_pass(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    if (!may_use(s, MECHANISM_PLAIN)) {
        wipe_line(command->argument[0]);
        return 0;
    }
    if (!s->user.size) {
        wipe_line(command->argument[0]);
        pop3_wrong(s, "USER comes first");
        return 0;
    }
    struct exchange e;
    exchange_init(&e, MECHANISM_PLAIN);
    buf_add_char(&e.data, 0);
    buf_add_span(&e.data, buf_span(&s->user));
    buf_add_char(&e.data, 0);
    buf_add_span(&e.data, command->argument[0]);
    wipe_line(command->argument[0]);
    buf_reset(&s->user);
    e.has_data = true;
    int result = buf_failed(&e.data) ? pop3_trouble(s, -ENOMEM, "login") : run_exchange(self, s, &e);
    exchange_release(&e);
    return result;
}

int pop3_do_apop(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    if (!s->timestamp.size) {
        pop3_wrong(s, "APOP is not offered here");
        return 0;
    }
    if (!may_use(s, MECHANISM_APOP))
        return 0;
    struct exchange e;
    exchange_init(&e, MECHANISM_APOP);
    buf_add_span(&e.data, command->argument[0]);
    buf_add_char(&e.data, ' ');
    buf_add_span(&e.data, command->argument[1]);
    e.has_data = true;
    int result = buf_failed(&e.data) ? pop3_trouble(s, -ENOMEM, "login") : run_exchange(self, s, &e);
    exchange_release(&e);
    return result;
}

int pop3_do_auth(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    enum mechanism_id mechanism = mechanism_parse(command->argument[0]);
    struct exchange e;
    int result = 0;
    buf_reset(&s->user);
    exchange_init(&e, mechanism);
    if (mechanism == MECHANISM_COUNT || !mechanisms[mechanism].is_sasl) {
        pop3_wrong(s, "[AUTH] no such mechanism here; CAPA lists them");
        goto out;
    }
    if (!may_use(s, mechanism))
        goto out;
    if (command->arguments > 1) {
        e.has_data = true;
        struct span initial = command->argument[1];
        if (!span_is(initial, "=") && !base64_parse(initial, &e.data)) {
            pop3_wrong(s, "the initial response is not base64");
            goto out;
        }
        wipe_line(initial);
    }
    result = run_exchange(self, s, &e);
out:
    exchange_release(&e);
    return result;
}
