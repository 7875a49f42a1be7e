#include "smtp/content.h"

#include "base/log.h"
#include "facts/content.h"
#include "facts/ledger_row.h"
#include "smtp/judgement.h"

#include <errno.h>

#define FACTS_MAX (4u << 10) /* of one recipient, in the ledger */
#define ROW_OVERHEAD 200     /* a row's numbers and tags */

/* ---- Judging ---- */

static int learn_content(struct smtp_session *s, struct span summary)
{
    struct smtp_transaction *t = &s->transaction;
    struct facts *facts = &s->attempt.facts;
    struct span whole;
    int error = intake_body_map(&t->reception.body, &whole);
    if (error)
        return error;
    error = facts_fill_content(&facts->content, whole, t->reception.trace_size, summary, &t->arena);
    intake_body_unmap(&t->reception.body, whole);
    facts->state[FACT_CONTENT] = error ? FACT_UNKNOWN : FACT_KNOWN;
    return error;
}

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

/* The door by which a target gets it: under several addresses, one that is open. */
static struct judged *door_of(const struct intake_recipient *r)
{
    for (const struct intake_recipient *way = r; way; way = way->again)
        if (!way->judged || !judged_keeps_out(way->judged))
            return way->judged;
    return r->judged;
}

static bool is_open(const struct intake_recipient *r)
{
    const struct judged *judged = door_of(r);
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

/* Rows as long as the call has room for them. That one is missing hurts nobody; that the mail is would. */
static int add_row(struct smtp_session *s, struct intake_recipient *r, const struct judged *judged, size_t *left)
{
    static const char reply[] = "250 2.0.0 Stored";
    struct smtp_transaction *t = &s->transaction;
    StoreWrite__LedgerRow *row = arena_alloc(&t->arena, sizeof *row);
    size_t facts_max = *left / (t->envelope.target_count + 1);
    if (!row || ledger_row_judged(&s->attempt, &t->arena, judged, true, span_text(reply),
                                  facts_max < FACTS_MAX ? facts_max : FACTS_MAX, row))
        return -ENOMEM;
    size_t size = ROW_OVERHEAD + store_write__ledger_row__get_packed_size(row);
    if (size > *left)
        return 0;
    *left -= size;
    r->ledger = row;
    return 0;
}

/* A name for which there is no room, among thousands of recipients: the INBOX has it then. */
static void add_folder(struct intake_recipient *r, const struct judged *judged, size_t *left)
{
    struct span folder = judged_folder(judged);
    if (r->target->kind != INTAKE_TARGET_MAILBOX || folder.size + 4 > *left)
        return;
    r->folder = folder;
    *left -= folder.size ? folder.size + 4 : 0;
}

static int complete_envelope(struct smtp_session *s)
{
    struct smtp_transaction *t = &s->transaction;
    size_t left = envelope_bytes_left(&t->envelope);
    int error = 0;
    for (struct intake_recipient *r = t->envelope.recipients; r; r = r->next)
        if (door_of(r))
            add_folder(r, door_of(r), &left);
    for (struct intake_recipient *r = t->envelope.recipients; r && !error; r = r->next)
        if (door_of(r))
            error = add_row(s, r, door_of(r), &left);
    return error;
}

int smtp_judge_content(struct fiber *self, struct smtp_session *s, struct span summary)
{
    struct smtp_transaction *t = &s->transaction;
    int error = learn_content(s, summary);
    if (!error)
        error = judge_all(self, s);
    if (error)
        return error;
    int result = answer(self, s);
    if (result <= 0)
        return result;
    if (wants_replies(t))
        leave_out_refused(t);
    error = complete_envelope(s);
    return error ? error : 1;
}

void smtp_reply_stored(struct smtp_session *s, uint64_t message_id)
{
    if (wants_replies(&s->transaction))
        write_replies(s);
    smtp_reply(s, 250, "2.0.0", "Stored, %llx", (unsigned long long)message_id);
}
