#include "smtp/refusal.h"

#include "auth.pb-c.h"
#include "base/log.h"
#include "facts/ledger.h"
#include "facts/ledger_row.h"
#include "ipc/binary.h"
#include "ipc/services.h"

#include <errno.h>
#include <stdio.h>

#define REPORT_SECONDS 1
#define DELAY_MAX_MS 30000
#define REPLY_TEXT_MAX 480
#define REFERENCE ". Reference "
#define REFERENCE_SIZE (sizeof REFERENCE + 9)
#define NOTED_MAX 50 /* rows of one refused message */

static const struct {
    const char *name;
    Auth__Refused reported;
} kinds[] = {
    [SMTP_REFUSED_RETURN_PATH] = {"return-path", AUTH__REFUSED__REFUSED_RETURN_PATH},
    [SMTP_REFUSED_RECIPIENT] = {"recipient", AUTH__REFUSED__REFUSED_RECIPIENT},
    [SMTP_REFUSED_UNKNOWN_USER] = {"recipient", AUTH__REFUSED__REFUSED_UNKNOWN_USER},
    [SMTP_REFUSED_MESSAGE] = {"message", AUTH__REFUSED__REFUSED_MESSAGE},
    [SMTP_REFUSED_PASSCODE] = {"recipient", AUTH__REFUSED__REFUSED_PASSCODE},
};

static struct span sender_of(const struct smtp_session *s, const struct smtp_refusal *refusal)
{
    return refusal->sender.size ? refusal->sender : s->transaction.envelope.reverse_path;
}

static struct span recipient_of(const struct smtp_session *s, const struct smtp_refusal *refusal)
{
    const struct envelope *e = &s->transaction.envelope;
    if (refusal->recipient.size || refusal->what == SMTP_REFUSED_RETURN_PATH || !e->recipients)
        return refusal->recipient;
    return e->recipients->address;
}

static void log_refusal(const struct smtp_session *s, const struct smtp_refusal *refusal)
{
    const char *account = smtp_account_id(s) ? log_quote(smtp_account_address(s)) : "";
    const char *from = log_quote(sender_of(s, refusal));
    struct span recipient = recipient_of(s, refusal);
    bool has_recipient = refusal->what != SMTP_REFUSED_RETURN_PATH;
    char count[32] = "";
    if (refusal->what == SMTP_REFUSED_MESSAGE)
        snprintf(count, sizeof count, " rcpts=%u", s->transaction.envelope.accepted);
    log_write(LOG_FAILURE, "smtp", s->peer->session, "%s refused: %s%s%s ip=%s%s%s from=%s%s%s%s reply=%u",
              kinds[refusal->what].name, refusal->reason, refusal->evidence.size ? " evidence=" : "",
              refusal->evidence.size ? log_quote(refusal->evidence) : "", s->ip, *account ? " account=" : "", account,
              from, has_recipient ? " rcpt=" : "", has_recipient ? log_quote(recipient) : "", count, refusal->code);
}

/* How long the reply is to be held back, in milliseconds. auth counts; when it is away nobody is delayed. */
static unsigned report(struct fiber *self, struct smtp_session *s, const struct smtp_refusal *refusal)
{
    Auth__ReportRequest request = AUTH__REPORT_REQUEST__INIT;
    request.refused = kinds[refusal->what].reported;
    request.peer_address = binary_from_span(span_text(s->ip));
    request.account_id = smtp_account_id(s);
    request.reverse_path = binary_from_span(sender_of(s, refusal));
    request.recipient = binary_from_span(recipient_of(s, refusal));
    request.code = refusal->code;
    request.reason = binary_from_span(span_text(refusal->reason));
    request.session = binary_from_span(span_text(s->peer->session));
    request.account = binary_from_span(smtp_account_address(s));
    struct answer answer;
    int error = channel_call(self, peers_get(s->context->peers, ROLE_AUTH), AUTH_REPORT, &request.base,
                             (struct span){0}, -1, smtp_deadline(s, REPORT_SECONDS), &answer);
    if (error)
        return 0;
    unsigned delay = ((const Auth__ReportReply *)answer.message)->delay_ms;
    answer_release(&answer);
    return delay < DELAY_MAX_MS ? delay : DELAY_MAX_MS;
}

static void note_row(struct smtp_session *s, const struct smtp_refusal *refusal, const struct ledger_place *place,
                     struct span recipient, uint64_t account_id, struct span reply)
{
    StoreWrite__LedgerRow row;
    struct arena scratch;
    arena_init(&scratch, 64u << 10);
    if (ledger_row_begin(&s->attempt, &scratch, recipient, reply, &row) == 0) {
        row.account_id = account_id;
        row.stage = DECIDE_RCPT;
        row.verdict = refusal->code >= 500 ? VERDICT_REFUSE : VERDICT_DEFER;
        row.rule = binary_from_span(span_text(refusal->rule));
        row.evidence = binary_from_span(refusal->evidence);
        row.sentence = binary_from_span(span_text(refusal->reason));
        ledger_note(s->context->ledger, place, &row);
    }
    arena_release(&scratch);
}

struct noting {
    struct smtp_session *session;
    const struct smtp_refusal *refusal;
    struct ledger_place place;
    struct span reply;
    unsigned noted;
};

/* Each person finds it under the reference that the sender was given. Rows that have it and one account would become
 * one (store/ledger.h), so whoever has two addresses in the transaction has another one for the second. */
static void note_more(struct noting *n, const struct judged_address *address, uint64_t account_id)
{
    struct smtp_session *s = n->session;
    bool has_it = address == s->transaction.judged && account_id == n->refusal->account_id;
    if (has_it || n->noted == NOTED_MAX || !ledger_lists_more(s->context->ledger))
        return;
    struct ledger_place place = n->place;
    if (account_id == n->refusal->account_id)
        place.reference = ledger_new_reference();
    n->noted++;
    note_row(s, n->refusal, &place, address->recipient, account_id, n->reply);
}

/* A message that is refused as a whole is missed at every door that it was for. The first one has its row. */
static void note_others(struct smtp_session *s, const struct smtp_refusal *refusal, const struct ledger_place *first,
                        struct span reply)
{
    struct noting n = {s, refusal, {.reference = first->reference, .wants_row = true}, reply, 1};
    if (refusal->what != SMTP_REFUSED_MESSAGE || refusal->recipient.size)
        return;
    for (const struct judged_address *a = s->transaction.judged; a; a = a->next) {
        bool is_somebodys = false;
        for (size_t i = 0; i < a->count; i++) {
            uint64_t account_id = a->by_door[i] ? a->by_door[i]->door->account_id : 0;
            is_somebodys |= account_id != 0;
            if (account_id)
                note_more(&n, a, account_id);
        }
        if (!is_somebodys)
            note_more(&n, a, 0);
    }
}

/* Adds the reference to the reply's text. What fails here fails the note only. Is it one of a flood? */
static bool note(struct smtp_session *s, const struct smtp_refusal *refusal, struct buf *text)
{
    char shown[10];
    struct span recipient = recipient_of(s, refusal);
    struct span rule = span_text(refusal->rule);
    const struct ledger_place place = ledger_find_place(s->context->ledger, rule, &s->peer->ip, recipient);
    struct buf reply;
    reference_write(place.reference, shown);
    buf_printf(text, REFERENCE "%s", shown);
    if (!place.wants_row)
        return ledger_is_counted(&place);
    buf_init(&reply, 2 * REPLY_TEXT_MAX);
    buf_printf(&reply, "%u %s ", refusal->code, refusal->enhanced);
    if (refusal->noted)
        buf_printf(&reply, "%s" REFERENCE "%s", refusal->noted, shown);
    else
        buf_add_span(&reply, buf_span(text));
    note_row(s, refusal, &place, recipient, refusal->account_id, buf_span(&reply));
    note_others(s, refusal, &place, buf_span(&reply));
    buf_release(&reply);
    return false;
}

/* A call for each of a flood's refusals would cost honest mail more than the flood itself does. */
static bool wants_report(const struct smtp_refusal *refusal, bool is_counted)
{
    return !is_counted || refusal->what == SMTP_REFUSED_UNKNOWN_USER || refusal->what == SMTP_REFUSED_PASSCODE;
}

/* Holds the reply back as long as auth says. */
static int hold_back(struct fiber *self, struct smtp_session *s, const struct smtp_refusal *refusal)
{
    unsigned delay = report(self, s, refusal);
    if (fiber_is_canceled(self))
        return -ECANCELED;
    if (!delay)
        return 0;
    /* What was replied before goes out first: behind a pipeline of refusals a client would hear nothing for minutes. */
    int error = stream_flush(self, s->stream, smtp_deadline(s, s->settings->smtp.command_timeout));
    uint64_t until = clock_monotonic() + delay * (NANOSECONDS / 1000);
    return error ? error : fiber_sleep(self, until < s->ends_at ? until : s->ends_at);
}

/* The reply's text, with the reference where it is noted. Is the attempt one of a flood that is counted? */
__attribute__((format(printf, 4, 0))) static bool write_text(struct smtp_session *s, const struct smtp_refusal *refusal,
                                                             struct buf *text, const char *format, va_list args)
{
    buf_init(text, 2 * REPLY_TEXT_MAX);
    buf_vprintf(text, format, args);
    if (!refusal->rule || !s->context->ledger)
        return refusal->is_counted;
    if (text->size > REPLY_TEXT_MAX - REFERENCE_SIZE)
        buf_truncate(text, REPLY_TEXT_MAX - REFERENCE_SIZE);
    return note(s, refusal, text);
}

int smtp_put_off(struct smtp_session *s, const struct smtp_refusal *refusal, const char *format, ...)
{
    struct buf text;
    va_list args;
    va_start(args, format);
    write_text(s, refusal, &text, format, args);
    va_end(args);
    smtp_reply(s, refusal->code, refusal->enhanced, "%.*s", SPAN_ARG(buf_span(&text)));
    buf_release(&text);
    return 0;
}

int smtp_refuse_reported(struct fiber *self, struct smtp_session *s, const struct smtp_refusal *refusal,
                         const char *format, ...)
{
    struct buf text;
    va_list args;
    /* Honest mail goes before a flood. Once a session: a turn of the loop for each of many refusals costs as much. */
    if (s->errors == 0 && s->attempt.facts.standing == STANDING_STRANGER && fiber_step_aside(self) != 0)
        return -ECANCELED;
    va_start(args, format);
    bool is_counted = write_text(s, refusal, &text, format, args);
    va_end(args);
    /* A flood's lines would fill the disk: the ledger tells the log how many there were (facts/ledger.h). */
    if (!is_counted)
        log_refusal(s, refusal);
    int error = wants_report(refusal, is_counted) ? hold_back(self, s, refusal) : 0;
    if (!error)
        smtp_refuse(s, refusal->code, refusal->enhanced, "%.*s", SPAN_ARG(buf_span(&text)));
    buf_release(&text);
    return error;
}
