#include "base/log.h"
#include "intake/pace.h"
#include "smtp/refusal.h"

#include <errno.h>

#define SPOOL_SECONDS 60

/* ---- Taking in: what DATA and BDAT share ---- */

static void begin(struct smtp_session *s)
{
    struct intake_source source = smtp_source(s);
    reception_begin(&s->transaction.reception, &s->intake, &source, &s->transaction.envelope,
                    s->account_id != 0 && s->settings->smtp.repair_members_line_ends);
}

static void settle(struct fiber *self, struct smtp_session *s, bool at_end)
{
    reception_settle(self, &s->transaction.reception, &s->intake, smtp_deadline(s, SPOOL_SECONDS), at_end);
}

/* Waits for more input, within the limits of time. */
static int wait_for_input(struct fiber *self, struct smtp_session *s, struct pace *pace)
{
    return pace_wait(self, s->stream, pace, s->settings->smtp.data_minimum_rate,
                     smtp_deadline(s, s->settings->smtp.data_timeout));
}

/* 0, or a negative errno that ends the session. */
static int refuse_failed(struct fiber *self, struct smtp_session *s, const struct smtp_problem *problem)
{
    int result = 0;
    if (problem) {
        const struct smtp_refusal refusal = {.what = SMTP_REFUSED_MESSAGE,
                                             .code = problem->code,
                                             .enhanced = problem->enhanced,
                                             .reason = problem->text,
                                             .rule = "message-form",
                                             .account_id = smtp_first_account(s)};
        result = smtp_refuse_reported(self, s, &refusal, "%s", problem->text);
    } else {
        smtp_refuse_internal(s, "the message could not be taken in", s->transaction.reception.error);
    }
    smtp_transaction_reset(s);
    return result;
}

/* The end of the message: judged, stored, answered. */
static int finish(struct fiber *self, struct smtp_session *s)
{
    struct smtp_transaction *t = &s->transaction;
    settle(self, s, true);
    const struct smtp_problem *problem = reception_judge(&t->reception, &s->intake, &t->envelope);
    int error = t->reception.error;
    if (!problem && !error)
        return smtp_deliver(self, s);
    int result = refuse_failed(self, s, problem);
    return error == -ECANCELED ? error : result;
}

static void set_in_hand(struct smtp_session *s, bool in_hand)
{
    if (s->peer->in_hand)
        *s->peer->in_hand = in_hand;
}

/* ---- DATA ---- */

static int take_data(struct fiber *self, struct smtp_session *s)
{
    struct reception *r = &s->transaction.reception;
    struct pace pace;
    pace_begin(&pace);
    for (;;) {
        struct span input = stream_input(s->stream);
        size_t consumed = 0;
        enum smtp_data_status status = SMTP_DATA_MORE;
        if (input.size)
            status = smtp_data_feed(&r->data, input, &consumed, &r->body.memory);
        stream_consume(s->stream, consumed);
        pace.bytes += consumed;
        if (status == SMTP_DATA_END)
            return 0;
        settle(self, s, false);
        int error = wait_for_input(self, s, &pace);
        if (error)
            return error;
    }
}

int smtp_handle_data(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    if (command->argument.size)
        return smtp_refuse(s, 501, "5.5.4", "DATA takes no parameters");
    if (s->transaction.envelope.accepted == 0)
        return smtp_refuse(s, 554, "5.5.1", "No valid recipients"); /* RFC 2920 section 3.1 */
    begin(s);
    /* No enhanced code before 354: RFC 2034 section 4. */
    smtp_reply(s, 354, "", "Go ahead, end with CRLF.CRLF");
    set_in_hand(s, true);
    int error = take_data(self, s);
    if (!error)
        error = finish(self, s);
    set_in_hand(s, false);
    return error;
}

/* ---- BDAT: RFC 3030 ---- */

/* What forbids a chunk now. Its octets have to be swallowed all the same: they stand in the pipeline already. */
static const struct smtp_problem *check_chunk(const struct smtp_session *s)
{
    static const struct smtp_problem no_mail = {503, "5.5.1", "Please say MAIL FROM first"};
    static const struct smtp_problem no_recipients = {554, "5.5.1", "No valid recipients"};
    static const struct smtp_problem gave_up = {503, "5.5.1", "An earlier chunk was refused; RSET, please"};
    const struct smtp_transaction *t = &s->transaction;
    if (t->chunk_failed)
        return &gave_up;
    if (!t->open)
        return &no_mail;
    return t->envelope.accepted == 0 ? &no_recipients : NULL;
}

/* `taken` false: the octets are dropped. */
static int take_chunk(struct fiber *self, struct smtp_session *s, bool taken, uint64_t size)
{
    struct reception *r = &s->transaction.reception;
    struct pace pace;
    pace_begin(&pace);
    while (size) {
        struct span input = stream_input(s->stream);
        input = span_head(input, size < input.size ? (size_t)size : input.size);
        if (taken && input.size)
            smtp_data_feed_chunk(&r->data, input, &r->body.memory);
        stream_consume(s->stream, input.size);
        size -= input.size;
        pace.bytes += input.size;
        if (taken)
            settle(self, s, false);
        int error = size && stream_input(s->stream).size == 0 ? wait_for_input(self, s, &pace) : 0;
        if (error)
            return error;
    }
    return 0;
}

static int refuse_chunk(struct fiber *self, struct smtp_session *s, uint64_t size, const struct smtp_problem *problem)
{
    /* A client that announces more than any message may have isn't waited for. */
    if (size > s->settings->smtp.message_size) {
        s->closing = true;
        return smtp_reply(s, 421, "4.7.0", "%s %s", s->settings->hostname, problem->text);
    }
    int error = take_chunk(self, s, false, size);
    return error ? error : smtp_refuse_problem(s, problem);
}

static int end_chunk(struct fiber *self, struct smtp_session *s, uint64_t size, bool last)
{
    struct reception *r = &s->transaction.reception;
    if (last) {
        smtp_data_finish_chunks(&r->data, &r->body.memory);
        return finish(self, s);
    }
    const struct smtp_problem *problem = smtp_data_reply(smtp_data_problem(&r->data));
    if (!problem && !r->error)
        return smtp_reply(s, 250, "2.0.0", "%llu octets taken", (unsigned long long)size);
    int error = refuse_failed(self, s, problem);
    s->transaction.chunk_failed = true;
    return error;
}

int smtp_handle_bdat(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    uint64_t size;
    bool last;
    const struct smtp_problem *problem = smtp_bdat_parse(command->argument, &size, &last);
    if (problem) {
        /* How many octets follow is not known, so what follows could be taken for commands. */
        s->closing = true;
        return smtp_refuse_problem(s, problem);
    }
    problem = check_chunk(s);
    if (problem)
        return refuse_chunk(self, s, size, problem);
    if (!s->transaction.in_chunks)
        begin(s);
    s->transaction.in_chunks = true;
    set_in_hand(s, true);
    int error = take_chunk(self, s, true, size);
    if (!error)
        error = end_chunk(self, s, size, last);
    set_in_hand(s, false);
    return error;
}
