#include "auth.pb-c.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "pwd/state.h"

#include <errno.h>

#define CHANGE_SECONDS 90 /* longer than auth takes for all its own waits */

static void put_off(struct pwd_session *s, int error, bool was_asked)
{
    log_write(error == -EPIPE || error == -EAGAIN ? LOG_PROBLEM : LOG_MAJOR, "pwd", s->peer->session_id,
              "changing the password failed account=%s error=\"%s\"", log_quote(buf_span(&s->account)),
              strerror(-error));
    if (error == -EACCES) {
        /* The grant ran out, or the account is closed or gone. */
        pwd_wrong(s, "this login is no longer good, nothing is changed: please log in again");
        pwd_log_out(s);
    } else if (was_asked && error != -EAGAIN) {
        pwd_wrong(s, "it is not known whether the password is changed: please try the new one, then the old one");
        pwd_log_out(s);
    } else {
        pwd_wrong(s, "changing the password is not possible at the moment, nothing is changed: please try again later");
    }
}

static void conclude(struct pwd_session *s, const Auth__ChangePasswordReply *reply)
{
    if (!reply->changed) {
        pwd_wrong(s, "%.400s", reply->problem);
        return;
    }
    pwd_log_out(s);
    s->changes++;
    pwd_reply(s, "200 the password is changed");
}

static int change(struct fiber *self, struct pwd_session *s, struct span password)
{
    Auth__ChangePasswordRequest request = AUTH__CHANGE_PASSWORD_REQUEST__INIT;
    request.grant = binary_from_span(span_from(s->grant, sizeof s->grant));
    request.address = binary_from_span(buf_span(&s->account));
    request.password = binary_from_span(password);
    request.peer_address = binary_from_span(span_text(s->peer->address));
    request.session = binary_from_span(span_text(s->peer->session_id));
    struct channel *auth = peers_get(s->context->peers, ROLE_AUTH);
    struct answer answer;
    /* Once only: whether one that was lost with its process was done is not known. */
    int error = channel_call(self, auth, AUTH_CHANGE_PASSWORD, &request.base, (struct span){NULL, 0}, -1,
                             clock_in_seconds(CHANGE_SECONDS), &answer);
    if (error == -ECANCELED)
        return error;
    if (error)
        put_off(s, error, auth != NULL);
    else
        conclude(s, (const Auth__ChangePasswordReply *)answer.message);
    answer_release(&answer);
    return 0;
}

int pwd_do_newpass(struct fiber *self, struct pwd_session *s, struct span argument)
{
    if (!s->account.size) {
        pwd_wrong(s, "PASS comes first");
        return 0;
    }
    if (s->peer->in_hand)
        *s->peer->in_hand = true;
    int result = change(self, s, argument);
    /* The client is told, too, before the server stops. */
    if (!result)
        result = stream_flush(self, s->stream, clock_in_seconds(s->settings->pwd.idle_timeout));
    if (s->peer->in_hand)
        *s->peer->in_hand = false;
    return result;
}
