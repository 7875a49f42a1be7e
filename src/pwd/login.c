#include "auth.pb-c.h"
#include "auth/mechanisms.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "pwd/state.h"

#include <errno.h>

#define AUTH_SECONDS 60 /* hashes wait for one another under load */
#define DELAY_MAX_MS 30000

/* True when passwords may be taken here; else the refusal was given. */
static bool may_log_in(struct pwd_session *s)
{
    if (pwd_is_secure(s))
        return true;
    if (!s->plain_was_refused)
        log_write(LOG_FAILURE, "pwd", s->peer->session_id, "login refused ip=%s reason=\"no TLS\"", s->peer->address);
    s->plain_was_refused = true;
    if (s->context->tls)
        pwd_wrong(s, "switch TLS on with STLS first");
    else
        pwd_wrong(s, "no passwords without encryption, and none is set up on this server");
    return false;
}

int pwd_do_user(struct fiber *self, struct pwd_session *s, struct span argument)
{
    (void)self;
    pwd_log_out(s);
    buf_reset(&s->user);
    if (!may_log_in(s))
        return 0;
    buf_add_span(&s->user, argument);
    /* The same for every name: who has an account here is nobody's business. */
    pwd_reply(s, "300 now the password");
    return 0;
}

static void refuse(struct pwd_session *s, const char *text)
{
    if (++s->failures < s->settings->auth.failures_per_session) {
        pwd_refuse(s, "%s", text);
        return;
    }
    pwd_refuse(s, "%s; too many failures, closing", text);
    pwd_close(s, "too many failed logins");
}

static void put_off(struct pwd_session *s, int error)
{
    log_write(error == -EPIPE ? LOG_PROBLEM : LOG_MAJOR, "pwd", s->peer->session_id, "login failed error=\"%s\"",
              strerror(-error));
    pwd_wrong(s, "login is not possible at the moment, please try again later");
}

/* Whoever guesses waits for each answer, as long as auth says: here, where it costs nobody else anything. */
static int hold_back(struct fiber *self, uint32_t delay_ms)
{
    delay_ms = delay_ms < DELAY_MAX_MS ? delay_ms : DELAY_MAX_MS;
    return delay_ms ? fiber_sleep(self, clock_monotonic() + delay_ms * (NANOSECONDS / 1000)) : 0;
}

static void conclude(struct pwd_session *s, const Auth__StepReply *reply)
{
    switch (reply->result) {
    case AUTH__RESULT__RESULT_ACCEPTED:
        if (reply->grant.len != GRANT_SIZE || reply->address.len == 0)
            break;
        buf_add(&s->account, reply->address.data, reply->address.len);
        if (buf_failed(&s->account))
            break;
        memcpy(s->grant, reply->grant.data, GRANT_SIZE);
        session_note_account(s->peer->board, reply->account_id, buf_span(&s->account));
        pwd_reply(s, "200 now the new password");
        return;
    case AUTH__RESULT__RESULT_REFUSED:
        refuse(s, "wrong name or password");
        return;
    case AUTH__RESULT__RESULT_DISABLED:
        refuse(s, "this account is closed");
        return;
    case AUTH__RESULT__RESULT_MALFORMED:
        refuse(s, "there is no such name or password");
        return;
    default:
        break;
    }
    put_off(s, -EPROTO);
}

static int step(struct fiber *self, struct pwd_session *s, struct span message)
{
    Auth__StepRequest request = AUTH__STEP_REQUEST__INIT;
    request.mechanism = (char *)(uintptr_t)mechanisms[MECHANISM_PLAIN].name;
    request.service = AUTH__SERVICE__SERVICE_PWD;
    request.peer_address = binary_from_span(span_text(s->peer->address));
    request.secure = pwd_is_secure(s);
    request.data = binary_from_span(message);
    request.has_data = true;
    request.session = binary_from_span(span_text(s->peer->session_id));
    struct answer answer;
    int error = channel_call(self, peers_get(s->context->peers, ROLE_AUTH), AUTH_STEP, &request.base,
                             (struct span){NULL, 0}, -1, clock_in_seconds(AUTH_SECONDS), &answer);
    if (error == -ECANCELED)
        return error;
    int result = error ? 0 : hold_back(self, ((const Auth__StepReply *)answer.message)->delay_ms);
    if (error)
        put_off(s, error);
    else if (!result)
        conclude(s, (const Auth__StepReply *)answer.message);
    answer_release(&answer);
    return result;
}

int pwd_do_pass(struct fiber *self, struct pwd_session *s, struct span argument)
{
    char message[2 * PWD_LINE_MAX + 2]; /* RFC 4616: NUL name NUL password */
    pwd_log_out(s);
    if (!may_log_in(s))
        return 0;
    if (!s->user.size) {
        pwd_wrong(s, "USER comes first");
        return 0;
    }
    size_t name = s->user.size, size = name + argument.size + 2;
    message[0] = message[name + 1] = 0;
    memcpy(message + 1, s->user.data, name);
    memcpy(message + name + 2, argument.data, argument.size);
    buf_reset(&s->user);
    int result = step(self, s, span_from(message, size));
    explicit_bzero(message, sizeof message);
    return result;
}
