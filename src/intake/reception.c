#include "intake/reception.h"

#include "base/clock.h"
#include "format/date.h"
#include "format/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void reception_init(struct reception *r)
{
    *r = (struct reception){0};
    intake_body_init(&r->body);
}

void reception_release(struct reception *r)
{
    intake_body_release(&r->body);
}

static int write_trace(struct reception *r, const struct intake *intake, const struct intake_source *source,
                       const struct envelope *envelope)
{
    struct buf *out = &r->body.memory;
    struct trace_received received = {
        .helo = source->helo,
        .ptr = source->ptr,
        .ip = source->ip,
        .host = span_text(intake->settings->hostname),
        .protocol = span_text(source->protocol),
        .tls_version = span_text(source->tls_version),
        .tls_cipher = span_text(source->tls_cipher),
        .id = span_text(source->session),
        .recipient = envelope->accepted == 1 ? envelope->recipients->address : (struct span){0},
        .wall_nanoseconds = clock_wall(),
    };
    trace_return_path_write(envelope->reverse_path, out);
    trace_received_write(&received, out);
    r->trace_size = r->body.own_size = out->size;
    return buf_failed(out) ? -ENOMEM : 0;
}

void reception_begin(struct reception *r, const struct intake *intake, const struct intake_source *source,
                     const struct envelope *envelope, bool repair)
{
    const struct smtp_data_limits limits = {
        .max_size = intake->settings->smtp.message_size,
        .max_line = intake->settings->smtp.line_length,
        .max_header_size = intake->settings->smtp.header_size,
        .max_header_lines = intake->settings->smtp.header_lines,
        .repair = repair,
    };
    smtp_data_init(&r->data, &limits);
    r->completes_header = source->completes_header;
    r->error = write_trace(r, intake, source, envelope);
}

/* RFC 6409 section 8. */
static void write_missing_fields(const struct smtp_data *data, const char *hostname, struct buf *fields)
{
    if (!data->has_date) {
        buf_add_text(fields, "Date: ");
        date_write(clock_wall(), fields);
        buf_add_text(fields, "\r\n");
    }
    if (!data->has_message_id) {
        unsigned char random[16];
        if (getrandom(random, sizeof random, 0) != sizeof random)
            abort();
        buf_add_text(fields, "Message-ID: <");
        for (size_t i = 0; i < sizeof random; i++)
            buf_printf(fields, "%02x", random[i]);
        buf_printf(fields, "@%s>\r\n", hostname);
    }
}

static int mend_header(struct reception *r, const char *hostname)
{
    struct buf *memory = &r->body.memory;
    struct span content = span_skip(buf_span(memory), r->trace_size);
    struct buf fields;
    buf_init(&fields, 512);
    if (r->completes_header)
        write_missing_fields(&r->data, hostname, &fields);
    if (r->data.header_lines == 0 && content.size && !span_is(span_head(content, 2), "\r\n"))
        buf_add_text(&fields, "\r\n");
    int error = buf_failed(&fields) || !buf_reserve(memory, fields.size) ? -ENOMEM : 0;
    if (!error && fields.size) {
        memmove(memory->data + r->trace_size + fields.size, memory->data + r->trace_size, content.size);
        memcpy(memory->data + r->trace_size, fields.data, fields.size);
        memory->size += fields.size;
        r->body.own_size += fields.size;
    }
    buf_release(&fields);
    return error;
}

void reception_settle(struct fiber *self, struct reception *r, const struct intake *intake, uint64_t deadline,
                      bool at_end)
{
    if (r->error || smtp_data_problem(&r->data) != SMTP_DATA_FINE)
        return;
    if (buf_failed(&r->body.memory)) {
        r->error = -ENOMEM;
        return;
    }
    bool is_large = intake_body_is_large(&r->body, !r->data.in_header);
    if (!r->header_mended && (at_end || is_large)) {
        r->error = mend_header(r, intake->settings->hostname);
        r->header_mended = true;
    }
    if (!r->error && is_large && r->body.spool < 0 && !intake_channel(self, intake, ROLE_WRITER))
        r->error = -EPIPE;
    if (!r->error && is_large)
        r->error = intake_body_make_room(self, &r->body, intake->peers, deadline);
}

static const struct smtp_problem header_not_utf8 = {550, "5.6.0", "The header has bytes that are not UTF-8"};
static const struct smtp_problem looping = {554, "5.4.6", "Too many Received: fields: this message goes in circles"};

const struct smtp_problem *reception_judge(const struct reception *r, const struct intake *intake,
                                           const struct envelope *envelope)
{
    enum smtp_data_problem problem = smtp_data_problem(&r->data);
    if (problem != SMTP_DATA_FINE)
        return smtp_data_reply(problem);
    if (r->data.received_hops > intake->settings->smtp.received_hops)
        return &looping;
    if (envelope->smtputf8 && r->data.header_has_bad_utf8)
        return &header_not_utf8;
    return NULL;
}
