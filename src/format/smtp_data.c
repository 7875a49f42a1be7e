#include "format/smtp_data.h"

/* Where the parser stands in the line. A byte that decides nothing yet (a dot at a line's start, a CR) is held here,
 * not in the output. */
enum { AT_START, AFTER_DOT, AFTER_DOT_CR, IN_LINE, AFTER_CR };

/* Where it stands in a line of the header. */
enum { FIELD_START, FIELD_NAME, FIELD_NAME_BLANK, FIELD_BODY };

static const struct span crlf = SPAN("\r\n");
static const struct span dot = SPAN(".");

void smtp_data_init(struct smtp_data *d, const struct smtp_data_limits *limits)
{
    *d = (struct smtp_data){.limits = *limits, .state = AT_START, .in_header = true};
}

static void set_problem(struct smtp_data *d, enum smtp_data_problem problem)
{
    d->problems |= 1u << problem;
}

static void check_limit(struct smtp_data *d, uint64_t value, uint64_t limit, enum smtp_data_problem problem)
{
    if (limit && value > limit)
        set_problem(d, problem);
}

static void store(struct smtp_data *d, struct span bytes, struct buf *out)
{
    d->size += bytes.size;
    check_limit(d, d->size, d->limits.max_size, SMTP_DATA_TOO_LARGE);
    if (!d->problems)
        buf_add_span(out, bytes);
}

/* ---- The header ---- */

static void note_field(struct smtp_data *d)
{
    struct span name = {d->name, d->name_size};

    if (span_is(name, "received"))
        d->received_hops++;
    else if (span_is(name, "from"))
        d->has_from = true;
    else if (span_is(name, "date"))
        d->has_date = true;
    else if (span_is(name, "message-id"))
        d->has_message_id = true;
}

/* One byte at the start of a header line, up to its colon. A line that is neither field nor continuation is the body's
 * first. */
static void take_name_byte(struct smtp_data *d, char c)
{
    bool is_blank = c == ' ' || c == '\t';

    if (d->field_state == FIELD_START && is_blank && d->header_lines > 0) {
        d->field_state = FIELD_BODY;
    } else if (c == ':' && d->name_size > 0) {
        d->field_state = FIELD_BODY;
        note_field(d);
    } else if (is_blank && d->name_size > 0) {
        d->field_state = FIELD_NAME_BLANK;
    } else if (c > ' ' && c < 127 && c != ':' && d->field_state != FIELD_NAME_BLANK) {
        d->field_state = FIELD_NAME;
        if (d->name_size < sizeof(d->name))
            d->name[d->name_size++] = ascii_lower(c);
    } else {
        d->in_header = false;
    }
}

static void take_header_bytes(struct smtp_data *d, struct span bytes)
{
    for (size_t i = 0; i < bytes.size && d->in_header && d->field_state != FIELD_BODY; i++)
        take_name_byte(d, bytes.data[i]);
    d->line_has_8bit |= !utf8_is_ascii(bytes);
    if (!d->line_has_bad_utf8)
        d->line_has_bad_utf8 = !utf8_check_feed(&d->utf8, bytes);
}

static void end_header_line(struct smtp_data *d)
{
    if (d->field_state != FIELD_BODY) { /* the empty line, or one without a colon */
        d->in_header = false;
        return;
    }
    d->header_lines++;
    d->header_size = d->size;
    d->header_has_8bit |= d->line_has_8bit;
    d->header_has_bad_utf8 |= d->line_has_bad_utf8 || !utf8_check_is_complete(&d->utf8);
    check_limit(d, d->header_lines, d->limits.max_header_lines, SMTP_DATA_TOO_MANY_HEADER_LINES);
    check_limit(d, d->header_size, d->limits.max_header_size, SMTP_DATA_HEADER_TOO_LARGE);
    d->field_state = FIELD_START;
    d->name_size = 0;
    d->line_has_8bit = d->line_has_bad_utf8 = false;
    d->utf8 = (struct utf8_check){0};
}

/* ---- Lines ---- */

static void count_content(struct smtp_data *d, struct span bytes)
{
    if (d->in_header)
        take_header_bytes(d, bytes);
    d->line_size += bytes.size;
    check_limit(d, d->line_size, d->limits.max_line, SMTP_DATA_LINE_TOO_LONG);
}

static void add_content(struct smtp_data *d, struct span bytes, struct buf *out)
{
    count_content(d, bytes);
    store(d, bytes, out);
}

/* Behind the CRLF that was stored. */
static void end_line(struct smtp_data *d)
{
    if (d->in_header)
        end_header_line(d);
    d->line_size = 0;
}

/* A bare CR or LF. What follows is the start of a line, but no dot counts there: the client that sent it may mean
 * anything by one, and to read it as an end is what SMTP smuggling lives on. Hence IN_LINE, not AT_START. */
static void add_bare_line_end(struct smtp_data *d, struct buf *out)
{
    if (d->limits.repair)
        d->was_repaired = true;
    else
        set_problem(d, SMTP_DATA_BARE_LINE_END);
    store(d, crlf, out);
    end_line(d);
    d->state = IN_LINE;
}

/* The input of one call. `cr` and `lf` are the next ones at or behind `at`, `end` when there is none: each byte is
 * looked at once for each of the two, however many bare ones there are. */
struct cursor {
    const char *at, *end, *cr, *lf;
    struct buf *out;
};

static const char *find_next(const struct cursor *c, const char *known, char byte)
{
    if (known >= c->at)
        return known;
    const char *found = memchr(c->at, byte, (size_t)(c->end - c->at));
    return found ? found : c->end;
}

static void take_in_line(struct smtp_data *d, struct cursor *c)
{
    const char *start = c->at;

    c->cr = find_next(c, c->cr, '\r');
    c->lf = find_next(c, c->lf, '\n');
    if (c->lf < c->end && c->cr + 1 == c->lf) {
        c->at = c->lf + 1;
        count_content(d, span_from(start, (size_t)(c->cr - start)));
        store(d, span_from(start, (size_t)(c->at - start)), c->out);
        end_line(d);
        d->state = AT_START;
        return;
    }
    const char *stop = c->cr < c->lf ? c->cr : c->lf;
    if (stop > start)
        add_content(d, span_from(start, (size_t)(stop - start)), c->out);
    c->at = stop < c->end ? stop + 1 : stop;
    if (stop == c->end)
        return;
    if (stop == c->lf)
        add_bare_line_end(d, c->out);
    else
        d->state = AFTER_CR;
}

static void take_after_cr(struct smtp_data *d, struct cursor *c)
{
    if (*c->at != '\n') {
        add_bare_line_end(d, c->out);
        return;
    }
    c->at++;
    store(d, crlf, c->out);
    end_line(d);
    d->state = AT_START;
}

/* A line that began with a dot. Followed by a bare CR or LF it is a line that holds just that dot, whoever meant what
 * by it. */
static void take_after_dot(struct smtp_data *d, struct cursor *c)
{
    if (*c->at == '\r') {
        c->at++;
        d->state = AFTER_DOT_CR;
        return;
    }
    if (*c->at == '\n')
        add_content(d, dot, c->out);
    d->state = IN_LINE;
}

/* True at the end of data. */
static bool take_after_dot_cr(struct smtp_data *d, struct cursor *c)
{
    if (*c->at == '\n') {
        c->at++;
        return true;
    }
    add_content(d, dot, c->out);
    add_bare_line_end(d, c->out);
    return false;
}

static void take_at_start(struct smtp_data *d, struct cursor *c)
{
    if (d->dots && *c->at == '.') {
        c->at++;
        d->state = AFTER_DOT;
    } else {
        d->state = IN_LINE;
    }
}

/* What is asked of every byte wherever it stands is asked of the whole piece at once. */
static void check_bytes(struct smtp_data *d, struct span taken)
{
    if (taken.size && memchr(taken.data, 0, taken.size))
        set_problem(d, SMTP_DATA_NUL);
    if (!d->has_8bit)
        d->has_8bit = !utf8_is_ascii(taken);
}

static enum smtp_data_status feed(struct smtp_data *d, struct span input, size_t *consumed, struct buf *out)
{
    struct cursor c = {input.data, input.data, NULL, NULL, out};
    bool ended = false;

    *consumed = 0;
    if (input.size == 0)
        return SMTP_DATA_MORE;
    c.end = input.data + input.size;
    while (c.at < c.end && !ended) {
        switch (d->state) {
        case AT_START:
            take_at_start(d, &c);
            break;
        case AFTER_DOT:
            take_after_dot(d, &c);
            break;
        case AFTER_DOT_CR:
            ended = take_after_dot_cr(d, &c);
            break;
        case AFTER_CR:
            take_after_cr(d, &c);
            break;
        default:
            take_in_line(d, &c);
        }
    }
    *consumed = (size_t)(c.at - input.data);
    check_bytes(d, span_head(input, *consumed));
    return ended ? SMTP_DATA_END : SMTP_DATA_MORE;
}

enum smtp_data_status smtp_data_feed(struct smtp_data *d, struct span input, size_t *consumed, struct buf *out)
{
    d->dots = true;
    return feed(d, input, consumed, out);
}

void smtp_data_feed_chunk(struct smtp_data *d, struct span input, struct buf *out)
{
    size_t consumed;

    d->dots = false;
    (void)feed(d, input, &consumed, out);
}

void smtp_data_finish_chunks(struct smtp_data *d, struct buf *out)
{
    if (d->state == AFTER_CR) {
        add_bare_line_end(d, out);
    } else if (d->line_size > 0) {
        store(d, crlf, out);
        end_line(d);
    }
    d->state = AT_START;
}

enum smtp_data_problem smtp_data_problem(const struct smtp_data *d)
{
    for (unsigned i = SMTP_DATA_TOO_LARGE; i <= SMTP_DATA_LINE_TOO_LONG; i++)
        if (d->problems & 1u << i)
            return (enum smtp_data_problem)i;
    return SMTP_DATA_FINE;
}

const struct smtp_problem *smtp_data_reply(enum smtp_data_problem problem)
{
    static const struct smtp_problem replies[] = {
        [SMTP_DATA_TOO_LARGE] = {552, "5.3.4", "The message is larger than is taken here"},
        [SMTP_DATA_BARE_LINE_END] = {550, "5.6.11", "The message has a CR or LF that is not part of a CRLF"},
        [SMTP_DATA_NUL] = {550, "5.6.0", "The message has a NUL byte"},
        [SMTP_DATA_HEADER_TOO_LARGE] = {552, "5.3.4", "The header of the message is larger than is taken here"},
        [SMTP_DATA_TOO_MANY_HEADER_LINES] = {552, "5.3.4", "The header of the message has too many lines"},
        [SMTP_DATA_LINE_TOO_LONG] = {550, "5.6.0", "A line of the message is longer than is taken here"},
    };

    return problem == SMTP_DATA_FINE ? NULL : &replies[problem];
}
