#include "base/log.h"
#include "smtp/deliver.h"
#include "smtp/session_internal.h"

#include <errno.h>

#define SPOOL_SECONDS 60
#define RATE_WINDOW_SECONDS 60

/* ---- Taking in: what DATA and BDAT share ---- */

/* A message being taken in. With BDAT it lives from chunk to chunk, in the transaction's arena. */
struct intake {
    struct smtp_data data;
    size_t trace_size;
    bool header_mended;
    int error; /* ours: the rest is read and dropped, and 451 said at the end */
};

/* Slow is allowed, dripping is not: each minute has to bring its share (a client that sends a byte every ten seconds
 * would hold its place for weeks). */
struct pace {
    uint64_t window_ends;
    uint64_t bytes;
};

static struct smtp_data_limits limits_of(const struct smtp_session *s)
{
    return (struct smtp_data_limits){
        .max_size = s->settings->smtp.message_size,
        .max_line = s->settings->smtp.line_length,
        .max_header_size = s->settings->smtp.header_size,
        .max_header_lines = s->settings->smtp.header_lines,
        .repair = s->account_id != 0 && s->settings->smtp.repair_members_line_ends,
    };
}

static void intake_begin(struct smtp_session *s, struct intake *intake)
{
    struct smtp_data_limits limits = limits_of(s);
    *intake = (struct intake){0};
    smtp_data_init(&intake->data, &limits);
    intake->error = smtp_write_trace(s, &intake->trace_size);
}

/* After each feeding: what the header lacks as soon as it is whole (it is by the time that the body is large: the
 * setting's cap sees to it), then room for more. */
static void intake_settle(struct fiber *self, struct smtp_session *s, struct intake *intake, bool at_end)
{
    struct smtp_body *body = &s->transaction.body;
    if (intake->error || smtp_data_problem(&intake->data) != SMTP_DATA_FINE)
        return;
    if (buf_failed(&body->memory)) {
        intake->error = -ENOMEM;
        return;
    }
    bool is_large = smtp_body_is_large(body, !intake->data.in_header);
    if (!intake->header_mended && (at_end || is_large)) {
        intake->error = smtp_mend_header(s, &intake->data, intake->trace_size);
        intake->header_mended = true;
    }
    if (!intake->error && is_large)
        intake->error = smtp_body_make_room(self, body, s->context->peers, smtp_deadline(s, SPOOL_SECONDS));
}

/* Waits for more input, within the limits of time. */
static int wait_for_input(struct fiber *self, struct smtp_session *s, struct pace *pace)
{
    uint64_t now = clock_monotonic();
    uint64_t wanted = (uint64_t)s->settings->smtp.data_minimum_rate * RATE_WINDOW_SECONDS;
    if (now >= pace->window_ends) {
        if (pace->bytes < wanted)
            return -ETIMEDOUT;
        *pace = (struct pace){.window_ends = now + RATE_WINDOW_SECONDS * NANOSECONDS};
    }
    uint64_t deadline = smtp_deadline(s, s->settings->smtp.data_timeout);
    bool paced = wanted && pace->bytes < wanted && pace->window_ends < deadline;
    return stream_fill(self, s->stream, paced ? pace->window_ends : deadline);
}

static void pace_begin(struct pace *pace)
{
    *pace = (struct pace){.window_ends = clock_in_seconds(RATE_WINDOW_SECONDS)};
}

static void refuse_message(struct smtp_session *s, const struct smtp_problem *problem)
{
    log_write(LOG_FAILURE, "smtp", s->peer->session, "message refused: %s ip=%s from=%s rcpt=%s rcpts=%u reply=%u",
              problem->text, s->ip, log_quote(s->transaction.reverse_path),
              log_quote(s->transaction.recipients->address), s->transaction.recipient_count, problem->code);
    smtp_refuse_problem(s, problem);
}

static const struct smtp_problem header_not_utf8 = {550, "5.6.0", "The header has bytes that are not UTF-8"};
static const struct smtp_problem looping = {554, "5.4.6", "Too many Received: fields: this message goes in circles"};

/* What is wrong with the whole message, or NULL. 8-bit headers without SMTPUTF8 are common in honest mail and harmless
 * to store: only bytes that are no UTF-8 in an SMTPUTF8 message are refused (RFC 6532 section 3.1). */
static const struct smtp_problem *judge(const struct smtp_session *s, const struct smtp_data *data)
{
    enum smtp_data_problem problem = smtp_data_problem(data);
    if (problem != SMTP_DATA_FINE)
        return smtp_data_reply(problem);
    if (data->received_hops > s->settings->smtp.received_hops)
        return &looping;
    if (s->transaction.mail.smtputf8 && data->header_has_bad_utf8)
        return &header_not_utf8;
    return NULL;
}

/* The end of the message: judged, stored, answered. */
static int intake_end(struct fiber *self, struct smtp_session *s, struct intake *intake)
{
    intake_settle(self, s, intake, true);
    const struct smtp_problem *problem = judge(s, &intake->data);
    if (!problem && !intake->error) {
        struct smtp_data data = intake->data; /* an intake of BDAT lives in the arena that delivery resets */
        return smtp_deliver(self, s, &data);
    }
    if (problem)
        refuse_message(s, problem);
    else
        smtp_refuse_internal(s, "the message could not be taken in", intake->error);
    smtp_transaction_reset(s);
    return intake->error == -ECANCELED ? intake->error : 0;
}

static void set_in_hand(struct smtp_session *s, bool in_hand)
{
    if (s->peer->in_hand)
        *s->peer->in_hand = in_hand;
}

/* ---- DATA ---- */

static int take_data(struct fiber *self, struct smtp_session *s, struct intake *intake)
{
    struct pace pace;
    pace_begin(&pace);
    for (;;) {
        struct span input = stream_input(s->stream);
        size_t consumed = 0;
        enum smtp_data_status status = SMTP_DATA_MORE;
        if (input.size)
            status = smtp_data_feed(&intake->data, input, &consumed, &s->transaction.body.memory);
        stream_consume(s->stream, consumed);
        pace.bytes += consumed;
        if (status == SMTP_DATA_END)
            return 0;
        intake_settle(self, s, intake, false);
        int error = wait_for_input(self, s, &pace);
        if (error)
            return error;
    }
}

int smtp_handle_data(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    if (command->argument.size)
        return smtp_refuse(s, 501, "5.5.4", "DATA takes no parameters");
    if (s->transaction.recipient_count == 0)
        return smtp_refuse(s, 554, "5.5.1", "No valid recipients"); /* RFC 2920 section 3.1 */
    struct intake intake;
    intake_begin(s, &intake);
    /* No enhanced code before 354: RFC 2034 section 4. */
    smtp_reply(s, 354, "", "Go ahead, end with CRLF.CRLF");
    set_in_hand(s, true);
    int error = take_data(self, s, &intake);
    if (!error)
        error = intake_end(self, s, &intake);
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
    return t->recipient_count == 0 ? &no_recipients : NULL;
}

/* `intake` NULL: the octets are dropped. */
static int take_chunk(struct fiber *self, struct smtp_session *s, struct intake *intake, uint64_t size)
{
    struct pace pace;
    pace_begin(&pace);
    while (size) {
        struct span input = stream_input(s->stream);
        input = span_head(input, size < input.size ? (size_t)size : input.size);
        if (intake && input.size)
            smtp_data_feed_chunk(&intake->data, input, &s->transaction.body.memory);
        stream_consume(s->stream, input.size);
        size -= input.size;
        pace.bytes += input.size;
        if (intake)
            intake_settle(self, s, intake, false);
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
    int error = take_chunk(self, s, NULL, size);
    return error ? error : smtp_refuse_problem(s, problem);
}

static struct intake *begin_chunks(struct smtp_session *s)
{
    struct intake *intake = arena_alloc(&s->transaction.arena, sizeof *intake);
    if (!intake)
        return NULL;
    intake_begin(s, intake);
    s->transaction.in_chunks = true;
    return intake;
}

static int end_chunk(struct fiber *self, struct smtp_session *s, struct intake *intake, uint64_t size, bool last)
{
    if (last) {
        smtp_data_finish_chunks(&intake->data, &s->transaction.body.memory);
        return intake_end(self, s, intake);
    }
    const struct smtp_problem *problem = smtp_data_reply(smtp_data_problem(&intake->data));
    if (!problem && !intake->error)
        return smtp_reply(s, 250, "2.0.0", "%llu octets taken", (unsigned long long)size);
    if (problem)
        refuse_message(s, problem);
    else
        smtp_refuse_internal(s, "the message could not be taken in", intake->error);
    smtp_transaction_reset(s);
    s->transaction.chunk_failed = true;
    return 0;
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
    struct smtp_transaction *t = &s->transaction;
    if (!t->in_chunks)
        t->intake = begin_chunks(s);
    if (!t->intake) {
        t->chunk_failed = !last;
        int broken = take_chunk(self, s, NULL, size); /* what stands in the pipeline are no commands */
        return broken ? broken : smtp_refuse_internal(s, "no memory for BDAT", -ENOMEM);
    }
    set_in_hand(s, true);
    int error = take_chunk(self, s, t->intake, size);
    if (!error)
        error = end_chunk(self, s, t->intake, size, last);
    set_in_hand(s, false);
    return error;
}
