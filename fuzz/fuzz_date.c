/* Dates from anybody, and the trace fields that we write of what peers said. The first byte chooses. */
#include "base/clock.h"
#include "format/date.h"
#include "format/trace.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME_MAX_OCTETS 500

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What was understood, written and read again, is the same. */
static void check_date(struct span text)
{
    int64_t seconds = 4711, again;
    struct buf out;
    bool has_time;

    if (date_parse_iso(text, &again, &has_time))
        require(again >= -62167219200 && again < 253402300800 && again % 60 == 0 && text.size == (has_time ? 16 : 10));
    if (!date_parse(text, &seconds)) {
        require(seconds == 4711);
        return;
    }
    /* The years 0 to 9999, and a zone of at most 99 hours. */
    require(seconds > -62200000000 && seconds < 253402400000);
    /* What the clock can say: date_write is asked for nothing else. */
    if (seconds < 0 || (uint64_t)seconds > UINT64_MAX / NANOSECONDS)
        return;
    buf_init(&out, 100);
    date_write((uint64_t)seconds * NANOSECONDS, &out);
    require(!buf_failed(&out) && date_parse(buf_span(&out), &again) && again == seconds);
    buf_reset(&out);
    date_write_internal((uint64_t)seconds * NANOSECONDS, &out);
    require(!buf_failed(&out) && out.data[0] == '"' && out.data[out.size - 1] == '"');
    struct span inside = span_head(span_skip(buf_span(&out), 1), out.size - 2);
    require(date_parse(inside, &again) && again == seconds);
    buf_release(&out);
}

/* One field: nothing that a peer said ends a line, but folded in front of one of our tokens. */
static void check_field(struct span field, const char *name)
{
    require(field.size > 2 && span_equal(span_skip(field, field.size - 2), span_text("\r\n")));
    require(span_starts_nocase(field, span_text(name)));
    for (size_t i = 0; i < field.size - 2; i++) {
        unsigned char c = (unsigned char)field.data[i];
        if (c == '\r')
            require(field.data[i + 1] == '\n' && field.data[i + 2] == '\t');
        else if (c == '\n' || c == '\t')
            require(i > 0 && field.data[i - 1] == (c == '\n' ? '\r' : '\n'));
        else
            require(c >= ' ' && c != 127);
    }
}

static void check_trace(struct span text)
{
    struct trace_received received = {.wall_nanoseconds = text.size * 1000003 * NANOSECONDS};
    struct span *const fields[] = {&received.helo,        &received.ptr,        &received.host, &received.protocol,
                                   &received.tls_version, &received.tls_cipher, &received.id,   &received.recipient};
    struct buf out;
    int64_t seconds;

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
        *fields[i] = span_head(span_cut(&text, '\0'), NAME_MAX_OCTETS);
    buf_init(&out, 16384);
    trace_received_write(&received, &out);
    require(!buf_failed(&out));
    check_field(buf_span(&out), "Received: from");
    struct span date = span_skip(buf_span(&out), span_find_last(buf_span(&out), ';') + 1);
    require(date_parse(date, &seconds) && (uint64_t)seconds == received.wall_nanoseconds / NANOSECONDS);
    buf_reset(&out);
    trace_return_path_write(received.recipient, &out);
    require(!buf_failed(&out));
    check_field(buf_span(&out), "Return-Path: <");
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        check_trace(span_from(data + 1, size - 1));
    else
        check_date(span_from(data + 1, size - 1));
    return 0;
}
