#include "smtp/sender.h"

#include "auth.pb-c.h"
#include "base/log.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "smtp/refusal.h"
#include "store_read.pb-c.h"

#include <errno.h>

#define ASK_SECONDS 30

/* May the grant's account use this sender? 1 yes, 0 no, or a negative errno. The null path is nobody's address. */
static int may_send(struct fiber *self, struct smtp_session *s, struct span grant, const struct mail_path *path,
                    uint32_t *recipients_left)
{
    struct span domain;
    if (path->is_null || path->is_literal || domain_to_ascii(&s->transaction.arena, path->domain, &domain))
        return s->transaction.arena.is_starved ? -ENOMEM : 0;
    StoreRead__MaySendRequest request = STORE_READ__MAY_SEND_REQUEST__INIT;
    request.grant = binary_from_span(grant);
    request.local_part = binary_from_span(path->local_part);
    request.domain = binary_from_span(domain);
    struct answer answer;
    int error = channel_call(self, peers_get(s->context->peers, ROLE_READER), STORE_READ_MAY_SEND, &request.base,
                             (struct span){0}, -1, smtp_deadline(s, ASK_SECONDS), &answer);
    if (error)
        return error;
    const StoreRead__MaySendReply *reply = (const StoreRead__MaySendReply *)answer.message;
    int allowed = reply->allowed;
    *recipients_left = s->settings->submission.daily_recipients ? reply->recipients_left : UINT32_MAX;
    answer_release(&answer);
    return allowed;
}

static int check_member(struct fiber *self, struct smtp_session *s, const struct smtp_mail *mail,
                        struct smtp_sender *sender)
{
    int allowed = may_send(self, s, span_from(s->grant, s->grant_size), &mail->path, &sender->recipients_left);
    if (allowed < 0) {
        smtp_refuse_internal(s, "the sender could not be checked", allowed);
        return allowed == -ECANCELED ? allowed : 0;
    }
    if (allowed) {
        sender->account_id = s->account_id;
        sender->address = s->account_address;
        return 1;
    }
    const struct smtp_refusal refusal = {.what = SMTP_REFUSED_RETURN_PATH,
                                         .code = 553,
                                         .enhanced = "5.7.1",
                                         .reason = "not the member's",
                                         .sender = mail->path.text};
    return smtp_refuse_reported(self, s, &refusal, "<%.*s> is not one of your addresses; you are %.*s",
                                SPAN_ARG(mail->path.text), SPAN_ARG(s->account_address));
}

/* What auth or the reader can't say is no reason to turn a stranger's mail away. Only relaying hangs on it, and is put
 * off then. */
static int check_window(struct fiber *self, struct smtp_session *s, const struct smtp_mail *mail,
                        struct smtp_sender *sender)
{
    Auth__WindowRequest request = AUTH__WINDOW_REQUEST__INIT;
    request.peer_address = binary_from_span(span_text(s->ip));
    struct answer answer;
    int error = channel_call(self, peers_get(s->context->peers, ROLE_AUTH), AUTH_WINDOW, &request.base,
                             (struct span){0}, -1, smtp_deadline(s, ASK_SECONDS), &answer);
    int allowed = error;
    if (!error) {
        const Auth__WindowReply *reply = (const Auth__WindowReply *)answer.message;
        allowed = reply->open && reply->account_id
                      ? may_send(self, s, binary_span(reply->grant), &mail->path, &sender->recipients_left)
                      : 0;
        if (allowed > 0) {
            sender->address = arena_copy(&s->transaction.arena, binary_span(reply->address));
            sender->account_id = reply->account_id;
            log_write(LOG_LOW, "smtp", s->peer->session, "POP-before-SMTP ip=%s account=%s", s->ip,
                      log_quote(sender->address));
        }
        answer_release(&answer);
    }
    if (allowed < 0)
        log_write(LOG_PROBLEM, "smtp", s->peer->session, "POP-before-SMTP could not be asked about ip=%s error=%s",
                  s->ip, log_quote(span_text(strerror(-allowed))));
    sender->window_unknown = allowed < 0;
    return allowed == -ECANCELED ? allowed : 1;
}

int smtp_sender_check(struct fiber *self, struct smtp_session *s, const struct smtp_mail *mail,
                      struct smtp_sender *sender)
{
    *sender = (struct smtp_sender){.recipients_left = UINT32_MAX};
    if (smtp_is_member_service(s))
        return check_member(self, s, mail, sender);
    if (s->settings->submission.pop_before_smtp && !s->is_client_network && !mail->path.is_null)
        return check_window(self, s, mail, sender);
    return 1;
}

enum smtp_relaying smtp_sender_relaying(const struct smtp_session *s)
{
    if (s->account_id || s->is_client_network || s->transaction.sender.account_id)
        return SMTP_RELAYING_YES;
    return s->transaction.sender.window_unknown ? SMTP_RELAYING_UNKNOWN : SMTP_RELAYING_NO;
}
