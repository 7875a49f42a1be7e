#include "intake/deliver.h"

#include "base/log.h"
#include "facts/judged_envelope.h"
#include "smtp/content.h"
#include "smtp/refusal.h"

#include <errno.h>

/* RFC 3848, RFC 6531 section 4.3. */
static const char *protocol_name(const struct smtp_session *s)
{
    static const char *const names[2][2][2] = {
        /* [utf8][tls][authenticated] */
        {{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
        {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}},
    };
    if (!s->is_esmtp)
        return "SMTP";
    return names[s->transaction.mail.smtputf8][stream_is_tls(s->stream)][s->account_id != 0];
}

struct intake_source smtp_source(const struct smtp_session *s)
{
    return (struct intake_source){
        .component = "smtp",
        .session = s->peer->session,
        .ip = s->peer->ip,
        .ip_text = s->ip,
        .helo = s->helo,
        .ptr = s->attempt.facts.ptr.name,
        .protocol = protocol_name(s),
        .tls_version = stream_tls_version(s->stream),
        .tls_cipher = stream_tls_cipher(s->stream),
        .account_id = smtp_account_id(s),
        .completes_header = smtp_account_id(s) || s->is_client_network,
    };
}

uint64_t smtp_first_account(const struct smtp_session *s)
{
    const struct intake_recipient *first = s->transaction.envelope.recipients;
    const struct judged *judged = first ? judged_door_of(first) : NULL;
    return judged ? judged->door->account_id : 0;
}

static int refuse_outcome(struct fiber *self, struct smtp_session *s, enum intake_verdict verdict)
{
    bool permanent = s->settings->smtp.quota_full_is_permanent;
    const struct {
        struct smtp_refusal refusal;
        const char *text;
    } rows[] = {
        [INTAKE_OVER_QUOTA] = {{SMTP_REFUSED_MESSAGE, permanent ? 552 : 452, permanent ? "5.2.2" : "4.2.2",
                                .reason = "mailbox full", .rule = "quota"},
                               permanent ? "The mailbox is full" : "The mailbox is full, please try again later"},
        [INTAKE_GONE] = {{SMTP_REFUSED_MESSAGE, 550, "5.1.1", .reason = "account removed", .rule = "no-such-user"},
                         "There is no such person here any more"},
        [INTAKE_OVER_SENDING_QUOTA] = {{SMTP_REFUSED_MESSAGE, 452, "4.7.1", .reason = "too many recipients today",
                                        .rule = "daily-limit"},
                                       "That is more recipients at other sites than are allowed in a day; please send "
                                       "it tomorrow"},
    };
    struct smtp_refusal refusal = rows[verdict].refusal;
    refusal.account_id = smtp_first_account(s);
    return smtp_refuse_reported(self, s, &refusal, "%s", rows[verdict].text);
}

static int reply_outcome(struct fiber *self, struct smtp_session *s, const struct intake_outcome *outcome)
{
    const struct envelope *e = &s->transaction.envelope;
    if (outcome->verdict != INTAKE_STORED)
        return refuse_outcome(self, s, outcome->verdict);
    log_write(LOG_LOW, "smtp", s->peer->session,
              "message accepted message=%llx ip=%s%s%s from=%s rcpt=%s rcpts=%u remote=%u",
              (unsigned long long)outcome->message_id, s->ip, smtp_account_id(s) ? " account=" : "",
              smtp_account_id(s) ? log_quote(smtp_account_address(s)) : "", log_quote(e->reverse_path),
              log_quote(e->recipients->address), e->accepted, e->remote_count);
    session_note_accepted(s->peer->board);
    stream_settle(s->stream);
    smtp_reply_stored(s, outcome->message_id);
    return 0;
}

static int store(struct fiber *self, struct smtp_session *s, const struct intake_summary *summary)
{
    struct smtp_transaction *t = &s->transaction;
    struct intake_source source = smtp_source(s);
    struct intake_outcome outcome;
    int error = intake_deliver(self, &s->intake, &source, &t->envelope, &t->arena, &t->reception.body, summary,
                               t->reception.data.has_8bit, &outcome);
    if (!error)
        return reply_outcome(self, s, &outcome);
    smtp_refuse_internal(s, error == -EPROTO ? "the store's answer makes no sense" : "the message could not be stored",
                         error);
    return error == -ECANCELED ? error : 0;
}

static int judge(struct fiber *self, struct smtp_session *s, struct intake_summary *summary)
{
    int error = intake_summarise(&s->transaction.reception.body, summary);
    if (error || !summary->is_held)
        return error ? error : smtp_judge_content(self, s, summary);
    s->attempt.fingerprint = summary->fingerprint;
    error = judged_envelope_hold(&s->attempt, &s->transaction.envelope);
    return error ? error : 1;
}

int smtp_deliver(struct fiber *self, struct smtp_session *s)
{
    struct intake_summary summary;
    int result = judge(self, s, &summary);
    if (result > 0)
        result = store(self, s, &summary);
    else if (result < 0 && result != -ECANCELED) {
        smtp_refuse_internal(s, "the message could not be judged", result);
        result = 0;
    }
    buf_release(&summary.bytes);
    smtp_transaction_reset(s);
    return result;
}
