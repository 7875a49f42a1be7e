/* XTND XMIT: a message comes over the POP3 connection, without an envelope. Its sender is the account; its recipients
 * stand in its header.
 *
 * Eudora throws a message away for good at an -ERR, so that is said only for what will never be possible. What may
 * become possible is queued: an address whose mailbox is full, a recipient that is wrong among others that are right,
 * and everybody while intake is paused, wait under their own names, and the courier asks again where they lead,
 * delivers, or tells the sender; recipients at other sites past the day's limit wait for a day with room.
 *
 * Queueing needs the store. A process of it that is away is waited for; where it does not come back soon, or went away
 * in the middle of the call that stores the message (it may have it or not), the connection is closed without a word.
 * That is right: nothing was promised, the client keeps the message and sends it again, and twice is better than never.
 */
#include "pop3/xmit.h"

#include "base/clock.h"
#include "base/log.h"
#include "facts/judged_envelope.h"
#include "facts/ledger.h"
#include "facts/ledger_row.h"
#include "format/recipients.h"
#include "intake/deliver.h"
#include "intake/pace.h"
#include "intake/reception.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define ARENA_MAX ((size_t)32 << 20)
#define SPOOL_SECONDS 60
#define ROUTE_SECONDS 30
#define PATIENCE_SECONDS 20 /* for the store: twice the longest wait before it is started anew */
#define REFUSED_FACTS_MAX (8u << 10)
#define NOWHERE "invalid"  /* RFC 2606: a domain that is in no DNS */
#define WRONG_PART_MAX 250 /* bytes of a wrong address's name, and of its domain: it is kept for the report only */

struct xmit {
    struct pop3_session *session;
    struct intake intake;
    struct intake_source source;
    struct envelope envelope;
    struct arena arena;
    struct reception reception;
    struct attempt attempt;
    struct judged_address *judged, **last_judged; /* recipients of ours */
    bool header_seen;
    struct header_recipients found;
    unsigned reachable;                   /* recipients that are right, or may become so */
    char refusal[DECISION_REPLY_MAX + 1]; /* why the first wrong one is wrong */
};

static void begin(struct pop3_session *s, struct xmit *x)
{
    *x = (struct xmit){
        .session = s,
        .intake = {s->context->peers, s->settings, s->context->routes},
        .source = {.component = "pop3",
                   .session = s->peer->session_id,
                   .ip_text = s->peer->address,
                   .protocol = stream_is_tls(s->stream) ? "POP3S" : "POP3",
                   .tls_version = stream_tls_version(s->stream),
                   .tls_cipher = stream_tls_cipher(s->stream),
                   .account_id = s->account_id,
                   .completes_header = true,
                   .may_wait_for_allowance = true},
    };
    memcpy(x->source.ip.bytes, s->peer->address_bytes, sizeof x->source.ip.bytes);
    arena_init(&x->arena, ARENA_MAX);
    x->last_judged = &x->judged;
    x->attempt = (struct attempt){.sources = s->context->facts,
                                  .settings = s->settings,
                                  .session = s->peer->session_id,
                                  .connection = &x->arena,
                                  .transaction = &x->arena,
                                  .facts = {.standing = STANDING_MEMBER,
                                            .reverse_path = buf_span(&s->account),
                                            .sender_account = buf_span(&s->account),
                                            .is_tls = stream_is_tls(s->stream)}};
    memcpy(x->attempt.facts.ip.bytes, s->peer->address_bytes, sizeof x->attempt.facts.ip.bytes);
    envelope_init(&x->envelope);
    x->envelope.reverse_path = buf_span(&s->account);
    reception_init(&x->reception);
    reception_begin(&x->reception, &x->intake, &x->source, &x->envelope, s->settings->smtp.repair_members_line_ends);
}

static void end(struct xmit *x)
{
    reception_release(&x->reception);
    arena_release(&x->arena);
}

/* ---- Taking the message in ---- */

/* As soon as the header is whole, and before anything of it may leave memory: who is to get it, and Bcc goes. */
static void read_header(struct xmit *x)
{
    struct buf *memory = &x->reception.body.memory;
    if (x->header_seen || x->reception.error || smtp_data_problem(&x->reception.data) != SMTP_DATA_FINE ||
        buf_failed(memory))
        return;
    struct span account = buf_span(&x->session->account);
    struct span domain = span_skip(account, span_find_last(account, '@') + 1);
    char *content = memory->data + x->reception.trace_size;
    size_t size = memory->size - x->reception.trace_size;
    header_recipients_find(span_from(content, size), domain, &x->arena, &x->found);
    memory->size = x->reception.trace_size + header_remove_bcc(content, size);
    x->header_seen = true;
}

static void settle(struct fiber *self, struct xmit *x, bool at_end)
{
    if (at_end || !x->reception.data.in_header)
        read_header(x);
    x->intake.patient_until = clock_in_seconds(PATIENCE_SECONDS);
    reception_settle(self, &x->reception, &x->intake, clock_in_seconds(SPOOL_SECONDS), at_end);
}

static int take_message(struct fiber *self, struct xmit *x)
{
    struct stream *stream = x->session->stream;
    const struct settings *settings = x->session->settings;
    struct pace pace;
    pace_begin(&pace);
    for (;;) {
        struct span input = stream_input(stream);
        size_t consumed = 0;
        enum smtp_data_status status = SMTP_DATA_MORE;
        if (input.size)
            status = smtp_data_feed(&x->reception.data, input, &consumed, &x->reception.body.memory);
        stream_consume(stream, consumed);
        pace.bytes += consumed;
        settle(self, x, status == SMTP_DATA_END);
        if (status == SMTP_DATA_END)
            return 0;
        int error = pace_wait(self, stream, &pace, settings->smtp.data_minimum_rate,
                              clock_in_seconds(settings->smtp.data_timeout));
        if (error)
            return error;
    }
}

/* ---- Recipients ---- */

/* The one target of a recipient that leads nowhere now: itself. The courier asks again where it leads, and tells the
 * sender if that is nowhere still. */
static int route_to_itself(struct xmit *x, const struct mail_path *path, struct intake_route *route)
{
    struct span domain;
    struct buf text;
    struct intake_target *target = arena_alloc(&x->arena, sizeof *target);
    buf_init(&text, 1024);
    if (domain_to_ascii(&x->arena, path->domain, &domain))
        domain = span_text(NOWHERE);
    mail_path_write(path->local_part, domain, &text);
    struct span address = arena_copy(&x->arena, buf_span(&text));
    bool failed = !target || buf_failed(&text) || !address.data;
    buf_release(&text);
    if (failed)
        return -ENOMEM;
    *target = (struct intake_target){
        .kind = INTAKE_TARGET_REMOTE, .address = address, .next_hop = span_text(INTAKE_ASK_AGAIN)};
    *route = (struct intake_route){.kind = INTAKE_ROUTE_LOCAL, .targets = target, .count = 1};
    return 0;
}

/* What is wrong with it for ever; NULL where it is right or may become so. */
static const char *lasting_problem(const struct settings *settings, enum intake_route_kind kind)
{
    switch (kind) {
    case INTAKE_ROUTE_NO_USER:
        return "there is no such person here";
    case INTAKE_ROUTE_RELAY_FORM:
        return "relaying is not allowed, in no notation";
    case INTAKE_ROUTE_NOT_OURS:
        return "no mail can go to such a domain";
    case INTAKE_ROUTE_DISABLED:
        return "this account is closed";
    case INTAKE_ROUTE_LIST_REFUSES:
        return "you may not post to this mailing list";
    case INTAKE_ROUTE_OVER_QUOTA:
        return settings->smtp.quota_full_is_permanent ? "the mailbox is full" : NULL;
    default:
        return NULL;
    }
}

static void note_refusal(struct xmit *x, struct span address, const char *problem)
{
    struct pop3_session *s = x->session;
    log_write(LOG_FAILURE, "pop3", s->peer->session_id, "recipient refused: %s ip=%s account=%s rcpt=%s", problem,
              s->peer->address, log_quote(buf_span(&s->account)), log_quote(address));
    if (!x->refusal[0])
        snprintf(x->refusal, sizeof x->refusal, "<%.*s>: %s", (int)(address.size > 150 ? 150 : address.size),
                 address.data, problem);
}

static int find_route(struct fiber *self, struct xmit *x, const struct mail_path *path, struct intake_route *route)
{
    const struct intake_question question = {.path = path,
                                             .reverse_path = x->envelope.reverse_path,
                                             .authenticated = true,
                                             .judged = true,
                                             .ip = &x->attempt.facts.ip};
    int error = intake_route_find(self, &x->intake, &x->arena, &question, clock_in_seconds(ROUTE_SECONDS), route);
    if (!error && route->kind == INTAKE_ROUTE_NOT_OURS)
        error = intake_route_relay(x->session->settings, &x->arena, path, true, route);
    return error;
}

/* The words of the door that does not take it, noted in the ledger. */
static void note_judged(struct xmit *x, const struct judged_address *address)
{
    const struct kept_verdict *verdict = judged_verdict(address->answer);
    struct span rule = span_text(verdict->rule < rule_count ? rules[verdict->rule].name : "none");
    const struct ledger_place place =
        ledger_find_place(x->session->context->ledger, rule, &x->attempt.facts.ip, address->recipient);
    StoreWrite__LedgerRow row;
    struct buf text;
    buf_init(&text, sizeof x->refusal - 1);
    judged_write_reply(&x->attempt, address->answer, place.reference, &text);
    if (ledger_row_judged(&x->attempt, &x->arena, address->answer, false, buf_span(&text), REFUSED_FACTS_MAX, &row) ==
        0)
        ledger_note(x->session->context->ledger, &place, &row);
    log_write(LOG_FAILURE, "pop3", x->session->peer->session_id,
              "recipient refused: rule %.*s ip=%s account=%s rcpt=%s", SPAN_ARG(rule), x->session->peer->address,
              log_quote(buf_span(&x->session->account)), log_quote(address->recipient));
    if (!x->refusal[0])
        span_write_text(buf_span(&text), x->refusal, sizeof x->refusal);
    buf_release(&text);
}

/* At the doors of those of ours. A member's message is not split: where others take it, who refuses it finds it in the
 * folder for that. */
static int judge_recipient(struct fiber *self, struct xmit *x, const struct mail_path *path,
                           const struct intake_route *route, struct intake_naming *naming)
{
    struct judged_address *address;
    if (route->is_relayed) {
        x->reachable++;
        return 0;
    }
    int error = judge_address(self, &x->attempt, path, (struct span){0}, route, &address);
    if (error)
        return error;
    naming->by_door = address->by_door;
    *x->last_judged = address;
    x->last_judged = &address->next;
    if (address->is_taken)
        x->reachable++;
    return 0;
}

static int add_recipient(struct fiber *self, struct xmit *x, struct header_recipient *r)
{
    struct intake_route route = {.kind = INTAKE_ROUTE_NOT_OURS};
    const char *problem = r->problem;
    int error = 0;
    if (problem) {
        r->path = (struct mail_path){.text = r->text};
        size_t at = span_find_last(r->text, '@');
        r->path.local_part = span_head(r->text, at < WRONG_PART_MAX ? at : WRONG_PART_MAX);
        r->path.domain = span_head(span_skip(r->text, at + 1), WRONG_PART_MAX);
    } else {
        error = find_route(self, x, &r->path, &route);
        if (error)
            return error;
        problem = lasting_problem(x->session->settings, route.kind);
    }
    struct intake_naming naming = {.path = &r->path};
    if (problem)
        note_refusal(x, r->text, problem);
    else if (route.kind == INTAKE_ROUTE_LOCAL)
        error = judge_recipient(self, x, &r->path, &route, &naming);
    else
        x->reachable++;
    if (!error && route.kind != INTAKE_ROUTE_LOCAL)
        error = route_to_itself(x, &r->path, &route);
    if (!error && !envelope_has_room(&x->envelope, &naming, &route))
        error = -E2BIG;
    x->envelope.smtputf8 |= r->path.has_utf8;
    return error ? error : envelope_add(&x->envelope, &x->arena, &naming, &route);
}

static int add_recipients(struct fiber *self, struct xmit *x)
{
    unsigned most = x->session->settings->smtp.recipients;
    if (x->found.is_incomplete || x->found.count > most)
        return -E2BIG;
    for (struct header_recipient *r = x->found.first; r; r = r->next) {
        int error = add_recipient(self, x, r);
        if (error)
            return error;
    }
    return 0;
}

/* ---- The content ---- */

static bool shows_header(const struct xmit *x)
{
    for (const struct judged_address *a = x->judged; a; a = a->next)
        if (a->needs_header)
            return true;
    return false;
}

/* What each recipient's rules say of the message itself. `reachable` counts those who take it then. */
static int judge_message(struct fiber *self, struct xmit *x)
{
    struct intake_summary summary;
    int error = intake_summarise(&x->reception.body, &summary);
    bool is_held = !error && summary.is_held;
    x->attempt.fingerprint = summary.fingerprint;
    if (!error && !is_held)
        error = facts_learn_content(&x->attempt, &x->reception, &summary, shows_header(x));
    buf_release(&summary.bytes);
    if (is_held)
        return judged_envelope_hold(&x->attempt, &x->envelope);
    for (struct judged_address *a = x->judged; a && !error; a = a->next) {
        bool was_taken = a->is_taken;
        if (a->needs_content && was_taken)
            error = judge_content(self, &x->attempt, a);
        x->reachable -= was_taken && !a->is_taken;
    }
    for (struct judged_address *a = x->judged; a && !error; a = a->next)
        if (!a->is_taken && !x->reachable)
            note_judged(x, a);
    return error || !x->reachable ? error : judged_envelope_complete(&x->attempt, &x->envelope);
}

/* ---- The answer ---- */

/* What will never be possible. */
static int refuse(struct xmit *x, const char *problem)
{
    struct pop3_session *s = x->session;
    log_write(LOG_FAILURE, "pop3", s->peer->session_id, "message refused: %s ip=%s account=%s", problem,
              s->peer->address, log_quote(buf_span(&s->account)));
    pop3_error(s, "%s", problem);
    return 0;
}

/* What is not possible now: without a word, so that the client keeps the message. */
static int break_off(struct xmit *x, const char *why, int error)
{
    struct pop3_session *s = x->session;
    log_write(LOG_PROBLEM, "pop3", s->peer->session_id,
              "a message was not taken now, the client keeps it: %s ip=%s account=%s error=\"%s\"", why,
              s->peer->address, log_quote(buf_span(&s->account)), strerror(-error));
    s->end = "a message could not be taken now";
    return error;
}

/* Every mailbox turned out to be full: each address waits under its own name, as at any other site. */
static int wait_for_room(struct xmit *x)
{
    struct envelope full = x->envelope;
    const char *before = NULL;
    envelope_init(&x->envelope);
    x->envelope.reverse_path = full.reverse_path;
    x->envelope.smtputf8 = full.smtputf8;
    for (const struct intake_recipient *r = full.recipients; r; r = r->next) {
        struct mail_path path;
        struct intake_route route;
        /* The targets of one address stand together and share its text. */
        if (r->address.data == before)
            continue;
        before = r->address.data;
        if (mail_address_parse(r->address, true, &x->arena, &path) != NULL)
            return -ENOMEM;
        const struct intake_naming naming = {.path = &path};
        int error = route_to_itself(x, &path, &route);
        if (!error)
            error = envelope_add(&x->envelope, &x->arena, &naming, &route);
        if (error)
            return error;
    }
    return 0;
}

static int store(struct fiber *self, struct xmit *x, struct intake_outcome *outcome)
{
    x->intake.patient_until = clock_in_seconds(PATIENCE_SECONDS);
    return intake_deliver(self, &x->intake, &x->source, &x->envelope, &x->arena, &x->reception.body, NULL,
                          x->reception.data.has_8bit, outcome);
}

static int refuse_for_good(struct xmit *x, enum intake_verdict verdict)
{
    if (verdict == INTAKE_GONE)
        return refuse(x, "there is no such person here any more");
    if (verdict == INTAKE_OVER_QUOTA)
        return refuse(x, "the mailbox is full");
    return refuse(x, x->envelope.remote_count > x->session->settings->submission.daily_recipients
                         ? "the message names more recipients at other sites than are allowed in a day"
                         : "your limit of recipients at other sites is used up for all the days that mail may wait");
}

static void accept_message(struct xmit *x, const struct intake_outcome *outcome)
{
    struct pop3_session *s = x->session;
    unsigned long long id = outcome->message_id;
    char day[16] = "";
    struct tm date;
    time_t due = (time_t)(outcome->remote_due_at / NANOSECONDS);
    if (due && gmtime_r(&due, &date) && strftime(day, sizeof day, "%Y-%m-%d", &date))
        pop3_ok(s, "accepted, %llx; your limit of recipients at other sites is used up, they get it on %s (UTC)", id,
                day);
    else
        pop3_ok(s, "accepted, %llx", id);
    log_write(LOG_LOW, "pop3", s->peer->session_id, "message accepted message=%llx ip=%s from=%s rcpt=%s rcpts=%u%s%s",
              id, s->peer->address, log_quote(buf_span(&s->account)), log_quote(x->envelope.recipients->address),
              x->envelope.accepted, *day ? " waits-until=" : "", day);
    session_note_accepted(s->peer->board);
}

static int deliver(struct fiber *self, struct xmit *x)
{
    struct intake_outcome outcome;
    int error = store(self, x, &outcome);
    if (!error && outcome.verdict == INTAKE_OVER_QUOTA && !x->session->settings->smtp.quota_full_is_permanent) {
        error = wait_for_room(x);
        if (!error)
            error = store(self, x, &outcome);
    }
    if (error)
        return break_off(x, "it could not be stored", error);
    if (outcome.verdict != INTAKE_STORED)
        return refuse_for_good(x, outcome.verdict);
    accept_message(x, &outcome);
    return 0;
}

static int address(struct fiber *self, struct xmit *x)
{
    x->intake.patient_until = clock_in_seconds(PATIENCE_SECONDS);
    int error = x->found.out_of_memory ? -ENOMEM : add_recipients(self, x);
    /* Without memory right addresses look wrong. What asks for more than the arena's limit always will. */
    if (x->arena.is_starved)
        return -ENOMEM;
    return error == -ENOMEM && x->arena.is_full ? -E2BIG : error;
}

static int finish(struct fiber *self, struct xmit *x)
{
    const struct smtp_problem *problem = reception_judge(&x->reception, &x->intake, &x->envelope);
    if (problem)
        return refuse(x, problem->text);
    if (x->reception.error)
        return break_off(x, "it could not be taken in", x->reception.error);
    if (x->found.count == 0 && !x->found.out_of_memory && !x->found.is_incomplete)
        return refuse(x, "the message names no recipient in To, Cc or Bcc");
    int error = address(self, x);
    if (error == -E2BIG)
        return refuse(x, "the message names too many recipients, or one that is too long");
    if (error)
        return break_off(x, "its recipients could not be looked up", error);
    error = judge_message(self, x);
    if (error)
        return break_off(x, "its recipients could not be asked", error);
    return x->reachable ? deliver(self, x) : refuse(x, x->refusal);
}

int pop3_xmit(struct fiber *self, struct pop3_session *s)
{
    if (!s->settings->pop3.xtnd_xmit) {
        pop3_error(s, "sending over POP3 is switched off here; please use the submission port, 587 or 465");
        return 0;
    }
    struct xmit x;
    begin(s, &x);
    pop3_ok(s, "send the message, end with a line that holds one dot");
    pop3_set_in_hand(s, true);
    int error = take_message(self, &x);
    if (!error)
        error = finish(self, &x);
    pop3_set_in_hand(s, false);
    end(&x);
    return error;
}
