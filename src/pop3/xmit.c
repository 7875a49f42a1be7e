/* XTND XMIT: a message comes over the POP3 connection, without an envelope. Its sender is the account; its recipients
 * stand in its header.
 *
 * Eudora throws a message away for good at an -ERR, so that is said only for what will never be possible. What may
 * become possible is queued (a full mailbox, as at any other site) or, where we can't take the message at all just now,
 * answered by closing the connection without a word: the client then keeps it. A recipient that is wrong among others
 * that are right is queued, too, under its own name: the courier finds that it leads nowhere and tells the sender. */
#include "pop3/xmit.h"

#include "base/log.h"
#include "format/recipients.h"
#include "intake/deliver.h"
#include "intake/pace.h"
#include "intake/reception.h"

#include <errno.h>
#include <stdio.h>

#define ARENA_MAX ((size_t)32 << 20)
#define SPOOL_SECONDS 60
#define ROUTE_SECONDS 30
#define NOWHERE "invalid" /* RFC 2606: a domain that is in no DNS */

struct xmit {
    struct pop3_session *session;
    struct intake intake;
    struct intake_source source;
    struct envelope envelope;
    struct arena arena;
    struct reception reception;
    bool header_seen;
    struct header_recipients found;
    unsigned reachable; /* recipients that are right, or may become so */
    char refusal[256];  /* why the first wrong one is wrong */
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
                   .completes_header = true},
    };
    memcpy(x->source.ip.bytes, s->peer->address_bytes, sizeof x->source.ip.bytes);
    arena_init(&x->arena, ARENA_MAX);
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
    if (path->is_literal || domain_to_ascii(&x->arena, path->domain, &domain))
        domain = span_text(NOWHERE);
    mail_path_write(path->local_part, domain, &text);
    struct span address = arena_copy(&x->arena, buf_span(&text));
    bool failed = !target || buf_failed(&text) || !address.data;
    buf_release(&text);
    if (failed)
        return -ENOMEM;
    *target = (struct intake_target){.kind = INTAKE_TARGET_REMOTE, .address = address, .next_hop = span_text("*local")};
    *route = (struct intake_route){INTAKE_ROUTE_LOCAL, target, 1};
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
    struct intake_question question = {path, x->envelope.reverse_path, true};
    int error = intake_route_find(self, &x->intake, &x->arena, &question, clock_in_seconds(ROUTE_SECONDS), route);
    if (!error && route->kind == INTAKE_ROUTE_NOT_OURS)
        error = intake_route_relay(x->session->settings, &x->arena, path, true, route);
    return error ? error : route->kind == INTAKE_ROUTE_PAUSED ? -EAGAIN : 0;
}

static int add_recipient(struct fiber *self, struct xmit *x, struct header_recipient *r)
{
    struct intake_route route = {.kind = INTAKE_ROUTE_NOT_OURS};
    const char *problem = r->problem;
    int error = 0;
    if (problem) {
        r->path = (struct mail_path){.text = r->text};
        size_t at = span_find_last(r->text, '@');
        r->path.local_part = span_head(r->text, at);
        r->path.domain = span_skip(r->text, at + 1);
    } else {
        error = find_route(self, x, &r->path, &route);
        if (error)
            return error;
        problem = lasting_problem(x->session->settings, route.kind);
    }
    if (problem)
        note_refusal(x, r->text, problem);
    else
        x->reachable++;
    if (route.kind != INTAKE_ROUTE_LOCAL)
        error = route_to_itself(x, &r->path, &route);
    const struct intake_naming naming = {.path = &r->path};
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
              s->peer->address, log_quote(buf_span(&s->account)), error ? strerror(-error) : "none");
    s->end = "a message could not be taken now";
    return error ? error : -EAGAIN;
}

static int deliver(struct fiber *self, struct xmit *x)
{
    struct pop3_session *s = x->session;
    struct intake_outcome outcome;
    int error = intake_deliver(self, &x->intake, &x->source, &x->envelope, &x->arena, &x->reception.body,
                               x->reception.data.has_8bit, &outcome);
    if (error)
        return break_off(x, "it could not be stored", error);
    if (outcome.verdict == INTAKE_OVER_SENDING_QUOTA &&
        x->envelope.remote_count > s->settings->submission.daily_recipients)
        return refuse(x, "the message names more recipients at other sites than are allowed in a day");
    if (outcome.verdict == INTAKE_OVER_SENDING_QUOTA)
        return break_off(x, "the account's recipients of today would be too many", 0);
    if (outcome.verdict == INTAKE_OVER_QUOTA && !s->settings->smtp.quota_full_is_permanent)
        return break_off(x, "every recipient's mailbox is full", 0);
    if (outcome.verdict != INTAKE_STORED)
        return refuse(x,
                      outcome.verdict == INTAKE_GONE ? "there is no such person here any more" : "the mailbox is full");
    log_write(LOG_LOW, "pop3", s->peer->session_id, "message accepted message=%llx ip=%s from=%s rcpt=%s rcpts=%u",
              (unsigned long long)outcome.message_id, s->peer->address, log_quote(buf_span(&s->account)),
              log_quote(x->envelope.recipients->address), x->envelope.accepted);
    session_note_accepted(s->peer->board);
    pop3_ok(s, "accepted, %llx", (unsigned long long)outcome.message_id);
    return 0;
}

static int finish(struct fiber *self, struct xmit *x)
{
    const struct smtp_problem *problem = reception_judge(&x->reception, &x->intake, &x->envelope);
    if (problem)
        return refuse(x, problem->text);
    if (x->reception.error)
        return break_off(x, "it could not be taken in", x->reception.error);
    if (x->found.count == 0)
        return refuse(x, "the message names no recipient in To, Cc or Bcc");
    int error = add_recipients(self, x);
    if (error == -E2BIG)
        return refuse(x, "the message names too many recipients, or one that is too long");
    if (error)
        return break_off(x, "its recipients could not be looked up", error);
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
