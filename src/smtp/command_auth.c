#include "auth.pb-c.h"
#include "base/log.h"
#include "format/base64.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "smtp/session_internal.h"

#include <errno.h>

#define AUTH_LINE_MAX 12288 /* RFC 4954 section 4.5 */
#define SECRET_ROOM 4096    /* more than honest clients send */
#define AUTH_SECONDS 60     /* hashes wait for one another under load */

/* One exchange, from AUTH to 235 or 5xx. */
struct exchange {
    Auth__StepRequest request;
    struct buf data; /* the client's message, decoded: secret */
    unsigned char end_point[64], exporter[64];
};

static void exchange_init(struct exchange *x, struct smtp_session *s, char *mechanism)
{
    auth__step_request__init(&x->request);
    buf_init(&x->data, AUTH_LINE_MAX);
    /* At once, so that growing leaves no copy of a password behind. A failure stays with the buf. */
    (void)buf_reserve(&x->data, SECRET_ROOM);
    x->request.mechanism = mechanism;
    x->request.service = AUTH__SERVICE__SERVICE_SUBMISSION;
    x->request.peer_address = binary_from_span(span_from(s->ip, strlen(s->ip)));
    x->request.session = binary_from_span(span_from(s->peer->session, strlen(s->peer->session)));
    x->request.secure = stream_is_tls(s->stream) || s->trusted;
    if (!s->settings->auth.channel_binding)
        return;
    x->request.tls_server_end_point =
        binary_from_span(span_from(x->end_point, stream_tls_binding(s->stream, TLS_SERVER_END_POINT, x->end_point)));
    x->request.tls_exporter =
        binary_from_span(span_from(x->exporter, stream_tls_binding(s->stream, TLS_EXPORTER, x->exporter)));
}

static void exchange_release(struct exchange *x)
{
    if (x->data.data)
        explicit_bzero(x->data.data, x->data.room);
    buf_release(&x->data);
}

/* Decodes what the client sent into the request, and wipes it: nobody reads the stream's bytes again. False: not
 * base64. */
static bool take_client_data(struct exchange *x, struct span text)
{
    buf_reset(&x->data);
    bool good = base64_parse(text, &x->data);
    if (text.size)
        explicit_bzero((char *)(uintptr_t)text.data, text.size);
    if (!good)
        return false;
    x->request.data = binary_from_span(span_from(x->data.data, x->data.size));
    x->request.has_data = true;
    return true;
}

/* Sends a challenge and reads the answer. 1: an answer is in the request; 0: the client gave up or wrote nonsense,
 * which was answered, and the request is to tell auth; or a negative errno. */
static int challenge(struct fiber *self, struct smtp_session *s, struct exchange *x, struct span text)
{
    struct buf *out = stream_output(s->stream);
    struct span line;
    buf_add_text(out, "334 ");
    base64_write(text, out);
    buf_add_text(out, "\r\n");
    int error =
        stream_read_line(self, s->stream, AUTH_LINE_MAX, &line, smtp_deadline(s, s->settings->smtp.command_timeout));
    if (error && error != -EMSGSIZE)
        return error;
    x->request.abort = error || span_is(line, "*") || !take_client_data(x, line);
    if (!x->request.abort)
        return 1;
    x->request.has_data = false;
    if (error)
        return smtp_refuse(s, 500, "5.5.6", "Line too long");
    if (span_is(line, "*"))
        return smtp_refuse(s, 501, "5.7.0", "Authentication given up");
    return smtp_refuse(s, 501, "5.5.2", "That is not base64");
}

/* RFC 4954 section 6: 454 for what is our trouble. Not counted against the client. */
static int login_impossible(struct smtp_session *s, int error)
{
    log_write(LOG_PROBLEM, "smtp", s->peer->session, "login impossible now ip=%s error=%s", s->ip,
              log_quote(span_text(strerror(-error))));
    return smtp_reply(s, 454, "4.7.0", "Logins are not possible right now, please try again later");
}

static int accept_member(struct smtp_session *s, const Auth__StepReply *reply)
{
    struct span address = arena_copy(&s->arena, span_from(reply->address.data, reply->address.len));
    if (!address.data || reply->grant.len > sizeof s->grant || reply->account_id == 0)
        return login_impossible(s, -EPROTO);
    memcpy(s->grant, reply->grant.data, reply->grant.len);
    s->grant_size = reply->grant.len;
    s->account_id = reply->account_id;
    s->account_address = address;
    session_note_account(s->peer->board, s->account_id, address);
    return smtp_reply(s, 235, "2.7.0", "Welcome, %.*s", SPAN_ARG(address));
}

/* Whoever guesses waits for each answer, as long as auth says: here, where it costs nobody else anything. */
static int hold_back(struct fiber *self, const struct smtp_session *s, uint32_t delay_ms)
{
    uint64_t until = clock_monotonic() + delay_ms * (NANOSECONDS / 1000), latest = smtp_deadline(s, AUTH_SECONDS);
    return delay_ms ? fiber_sleep(self, until < latest ? until : latest) : 0;
}

static int refuse_login(struct smtp_session *s, int result)
{
    static const struct smtp_problem problems[] = {
        [AUTH__RESULT__RESULT_REFUSED] = {535, "5.7.8", "Wrong name or password"},
        [AUTH__RESULT__RESULT_DISABLED] = {535, "5.7.13", "This account is closed"},
        [AUTH__RESULT__RESULT_TOO_SOON] = {454, "4.7.0", "Too soon after the last login, please wait a little"},
        [AUTH__RESULT__RESULT_NOT_OFFERED] = {504, "5.5.4", "No such mechanism here; EHLO lists those we offer"},
        [AUTH__RESULT__RESULT_MALFORMED] = {501, "5.5.2", "The authentication message is malformed"},
    };
    size_t count = sizeof problems / sizeof *problems;
    if (result < 0 || (size_t)result >= count || !problems[result].code)
        return login_impossible(s, -EPROTO);
    smtp_refuse_problem(s, &problems[result]);
    if (++s->login_failures < s->settings->auth.failures_per_session || s->closing)
        return 0;
    s->closing = true;
    return smtp_reply(s, 421, "4.7.0", "%s Too many failed logins, goodbye", s->settings->hostname);
}

/* The last words of a mechanism that has some (SCRAM's proof of the server): SMTP has no place for them in 235, so they
 * go as a challenge with an empty answer (RFC 4954 section 4). */
static int send_last_words(struct fiber *self, struct smtp_session *s, struct exchange *x, const Auth__StepReply *reply)
{
    if (reply->data.len == 0)
        return 1;
    int answered = challenge(self, s, x, span_from(reply->data.data, reply->data.len));
    if (answered == 1 && x->data.size)
        return smtp_refuse(s, 501, "5.5.2", "An empty answer was expected");
    return answered;
}

static int step(struct fiber *self, struct smtp_session *s, struct exchange *x, bool *again)
{
    struct answer answer;
    *again = false;
    int error = channel_call(self, peers_get(s->context->peers, ROLE_AUTH), AUTH_STEP, &x->request.base,
                             (struct span){0}, -1, smtp_deadline(s, AUTH_SECONDS), &answer);
    if (error) {
        if (!x->request.abort) /* else the client has its answer */
            login_impossible(s, error);
        return error == -ECANCELED ? error : 0;
    }
    const Auth__StepReply *reply = (const Auth__StepReply *)answer.message;
    int result = 0;
    x->request.exchange = reply->exchange;
    if (reply->result == AUTH__RESULT__RESULT_CONTINUE) {
        result = challenge(self, s, x, span_from(reply->data.data, reply->data.len));
        *again = result == 1 || x->request.abort; /* auth is told that the client gave up */
    } else if (reply->result == AUTH__RESULT__RESULT_ACCEPTED) {
        result = send_last_words(self, s, x, reply);
        if (result == 1)
            result = accept_member(s, reply);
    } else if (!x->request.abort) {
        result = hold_back(self, s, reply->delay_ms);
        if (!result)
            result = refuse_login(s, (int)reply->result);
    }
    answer_release(&answer);
    return result < 0 ? result : 0;
}

int smtp_handle_auth(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    if (!smtp_is_member_service(s))
        return smtp_refuse(s, 502, "5.5.1", "Logging in is for the submission ports, 465 or 587");
    if (s->account_id)
        return smtp_refuse(s, 503, "5.5.1", "You are logged in already");
    if (!stream_is_tls(s->stream) && !s->trusted) {
        log_write(LOG_FAILURE, "smtp", s->peer->session, "login refused ip=%s reason=\"no TLS\"", s->ip);
        return smtp_refuse(s, 538, "5.7.11", "Please switch TLS on first, with STARTTLS");
    }
    struct span mechanism, initial;
    bool has_initial;
    const struct smtp_problem *problem = smtp_auth_parse(command->argument, &mechanism, &has_initial, &initial);
    if (problem)
        return smtp_refuse_problem(s, problem);
    char name[32];
    if (mechanism.size >= sizeof name)
        return smtp_refuse(s, 504, "5.5.4", "No such mechanism here; EHLO lists those we offer");
    memcpy(name, mechanism.data, mechanism.size);
    name[mechanism.size] = 0;
    struct exchange x = {.data = {0}};
    exchange_init(&x, s, name);
    bool again = true;
    int error = 0;
    if (has_initial && !take_client_data(&x, initial)) {
        smtp_refuse(s, 501, "5.5.2", "That is not base64");
        again = false;
    }
    while (again && !error)
        error = step(self, s, &x, &again);
    exchange_release(&x);
    return error;
}
