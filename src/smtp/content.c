#include "smtp/content.h"

#include "base/log.h"
#include "facts/judged_envelope.h"
#include "smtp/judgement.h"

#include <errno.h>

/* ---- Judging ---- */

static int judge_all(struct fiber *self, struct smtp_session *s)
{
    int error = 0;
    for (struct judged_address *a = s->transaction.judged; a && !error; a = a->next)
        if (a->needs_content)
            error = judge_content(self, &s->attempt, a);
    return error;
}

/* ---- What follows ---- */

static bool wants_replies(const struct smtp_transaction *t)
{
    return t->mail.prdr && t->judged && t->judged->next;
}

static const struct judged_address *find_refused(const struct smtp_transaction *t, enum verdict_kind kind)
{
    for (const struct judged_address *a = t->judged; a; a = a->next)
        if (!a->is_taken && judged_verdict(a->answer)->kind == kind)
            return a;
    return NULL;
}

static bool is_any_taken(const struct smtp_transaction *t)
{
    for (const struct judged_address *a = t->judged; a; a = a->next)
        if (a->is_taken)
            return true;
    return false;
}

/* One reply for all that are refused or put off: it names the first. Each has its row. */
static int refuse_all(struct fiber *self, struct smtp_session *s, const struct judged_address *first)
{
    struct smtp_judged_reply reply;
    smtp_judged_reply_make(s, first, &reply);
    for (const struct judged_address *a = s->transaction.judged; a; a = a->next)
        if (a != first && !a->is_taken)
            smtp_judged_note(s, a, &reply);
    reply.refusal.what = SMTP_REFUSED_MESSAGE;
    return smtp_refuse_reported(self, s, &reply.refusal, "%s", reply.text);
}

static void write_replies(struct smtp_session *s)
{
    /* No enhanced code in an intermediate reply: RFC 2034 section 4. */
    smtp_reply(s, 353, "", "What each recipient says follows");
    for (const struct judged_address *a = s->transaction.judged; a; a = a->next) {
        struct smtp_judged_reply reply;
        char who[121];
        if (a->is_taken) {
            smtp_printable(span_head(a->recipient, sizeof who - 1), who, sizeof who);
            smtp_reply(s, 250, "2.1.5", "%s takes this", who);
            continue;
        }
        smtp_judged_reply_make(s, a, &reply);
        log_write(LOG_FAILURE, "smtp", s->peer->session, "message refused for one: %s ip=%s from=%s rcpt=%s reply=%u",
                  reply.reason, s->ip, log_quote(s->transaction.envelope.reverse_path), log_quote(a->recipient),
                  reply.refusal.code);
        smtp_reply(s, reply.refusal.code, reply.refusal.enhanced, "%s", reply.text);
    }
}

/* 1, or what was replied. */
static int answer(struct fiber *self, struct smtp_session *s)
{
    struct smtp_transaction *t = &s->transaction;
    const struct judged_address *refused = find_refused(t, VERDICT_REFUSE), *put_off = find_refused(t, VERDICT_DEFER);
    if (is_any_taken(t) && (wants_replies(t) || !put_off))
        return 1;
    if (wants_replies(t)) {
        write_replies(s);
        return smtp_refuse(s, put_off ? 451 : 550, put_off ? "4.7.1" : "5.7.1", "Nobody takes this%s",
                           put_off ? " now" : "");
    }
    return refuse_all(self, s, put_off ? put_off : refused);
}

/* ---- The envelope ---- */

static bool is_open(const struct intake_recipient *r)
{
    const struct judged *judged = judged_door_of(r);
    return !judged || !judged_keeps_out(judged) || !judged->address_is_refused;
}

/* With a reply for each, those whose address refuses get nothing. */
static void leave_out_refused(struct smtp_transaction *t)
{
    for (struct judged_address *a = t->judged; a; a = a->next)
        for (size_t i = 0; i < a->count; i++)
            if (a->by_door[i])
                a->by_door[i]->address_is_refused = !a->is_taken;
    envelope_keep(&t->envelope, is_open);
}

/* For somebody of ours: their rules and their ledger. What only goes to other sites is nobody's here. */
static int learn_content(struct smtp_session *s, const struct intake_summary *summary)
{
    bool is_wanted = false, with_header = false;
    for (const struct judged_address *a = s->transaction.judged; a; a = a->next) {
        is_wanted |= a->count != 0;
        with_header |= a->needs_header;
    }
    return is_wanted ? facts_learn_content(&s->attempt, &s->transaction.reception, summary, with_header) : 0;
}

int smtp_judge_content(struct fiber *self, struct smtp_session *s, const struct intake_summary *summary)
{
    struct smtp_transaction *t = &s->transaction;
    int error = learn_content(s, summary);
    if (!error)
        error = judge_all(self, s);
    if (error)
        return error;
    int result = answer(self, s);
    for (const struct judged_address *a = t->judged; a && result != -ECANCELED; a = a->next)
        smtp_note_watched(s, a);
    if (result <= 0)
        return result;
    if (wants_replies(t))
        leave_out_refused(t);
    error = judged_envelope_complete(&s->attempt, &t->envelope);
    return error ? error : 1;
}

void smtp_reply_stored(struct smtp_session *s, uint64_t message_id)
{
    if (wants_replies(&s->transaction))
        write_replies(s);
    smtp_reply(s, 250, "2.0.0", "Stored, %llx", (unsigned long long)message_id);
}
