/* What src/format/smtp_data.c must do, written as naively as can be: over the whole input at once, a byte at a time.
 * For its test and its fuzz target. */
#ifndef TEST_SMTP_DATA_REFERENCE_H
#define TEST_SMTP_DATA_REFERENCE_H

#include "format/smtp_data.h"

#include <ctype.h>
#include <stdlib.h>

struct reference {
    bool ended;
    size_t consumed;
    char *content;
    size_t size;
    unsigned problems;
    bool was_repaired;
    uint64_t header_size, header_lines;
    unsigned received_hops;
    bool has_8bit, header_has_8bit, header_has_bad_utf8, has_from, has_date, has_message_id;
};

/* Where CRLF "." CRLF ends, the CRLF of an empty message imagined; 0 when it does not. */
static size_t reference_find_end(struct span in)
{
    for (size_t i = 0; i + 3 <= in.size; i++)
        if (!memcmp(in.data + i, ".\r\n", 3) && (i == 0 || (i >= 2 && !memcmp(in.data + i - 2, "\r\n", 2))))
            return i + 3;
    return 0;
}

static void reference_copy(struct reference *r, struct span in, bool dots, bool repair)
{
    bool line_start = true, bare = false;
    char *to = r->content;

    for (size_t i = 0; i < in.size; i++) {
        char c = in.data[i];
        char next = i + 1 < in.size ? in.data[i + 1] : 'x';
        bool is_stuffing = dots && line_start && c == '.' && next != '\r' && next != '\n';
        line_start = false;
        if (is_stuffing)
            continue;
        if (c != '\r' && c != '\n') {
            *to++ = c;
            continue;
        }
        *to++ = '\r';
        *to++ = '\n';
        if (c == '\r' && i + 1 < in.size && next == '\n') {
            i++;
            line_start = true;
        } else {
            bare = true;
        }
    }
    r->size = (size_t)(to - r->content);
    if (bare && repair)
        r->was_repaired = true;
    else if (bare)
        r->problems |= 1u << SMTP_DATA_BARE_LINE_END;
}

/* The size of the field name that the line begins with, 0 when it is no field. */
static size_t reference_field_name(const char *line, size_t size)
{
    size_t name = 0, colon;

    while (name < size && line[name] > 32 && line[name] < 127 && line[name] != ':')
        name++;
    for (colon = name; colon < size && (line[colon] == ' ' || line[colon] == '\t'); colon++)
        ;
    return colon < size && line[colon] == ':' ? name : 0;
}

static bool reference_name_is(const char *line, size_t name, const char *wanted)
{
    if (name != strlen(wanted))
        return false;
    for (size_t i = 0; i < name; i++)
        if (tolower((unsigned char)line[i]) != wanted[i])
            return false;
    return true;
}

/* False when the header ends in front of this line. */
static bool reference_header_line(struct reference *r, const char *line, size_t size)
{
    size_t name = reference_field_name(line, size);
    bool is_continuation = size > 0 && (line[0] == ' ' || line[0] == '\t') && r->header_lines > 0;

    if (!name && !is_continuation)
        return false;
    if (!is_continuation) {
        r->received_hops += reference_name_is(line, name, "received");
        r->has_from |= reference_name_is(line, name, "from");
        r->has_date |= reference_name_is(line, name, "date");
        r->has_message_id |= reference_name_is(line, name, "message-id");
    }
    r->header_lines++;
    r->header_size += size + 2;
    for (size_t i = 0; i < size; i++)
        r->header_has_8bit |= (unsigned char)line[i] > 127;
    r->header_has_bad_utf8 |= !utf8_is_valid(span_from(line, size));
    return true;
}

static void reference_check(struct reference *r, const struct smtp_data_limits *limits)
{
    bool in_header = true;

    for (size_t i = 0, size; i < r->size; i += size + 2) {
        for (size = 0; memcmp(r->content + i + size, "\r\n", 2); size++) {
            r->has_8bit |= (unsigned char)r->content[i + size] > 127;
            if (!r->content[i + size])
                r->problems |= 1u << SMTP_DATA_NUL;
        }
        if (limits->max_line && size > limits->max_line)
            r->problems |= 1u << SMTP_DATA_LINE_TOO_LONG;
        in_header = in_header && reference_header_line(r, r->content + i, size);
    }
    if (limits->max_size && r->size > limits->max_size)
        r->problems |= 1u << SMTP_DATA_TOO_LARGE;
    if (limits->max_header_size && r->header_size > limits->max_header_size)
        r->problems |= 1u << SMTP_DATA_HEADER_TOO_LARGE;
    if (limits->max_header_lines && r->header_lines > limits->max_header_lines)
        r->problems |= 1u << SMTP_DATA_TOO_MANY_HEADER_LINES;
}

/* r->content is to be freed. For DATA that does not end only `ended` and `consumed` are told. */
static void reference_data(struct reference *r, struct span in, const struct smtp_data_limits *limits)
{
    size_t end = reference_find_end(in);

    *r = (struct reference){.ended = end > 0, .consumed = end ? end : in.size, .content = malloc(2 * in.size + 4)};
    if (!r->content)
        abort();
    if (!end)
        return;
    reference_copy(r, span_head(in, end - 3), true, limits->repair);
    reference_check(r, limits);
}

static void reference_chunks(struct reference *r, struct span in, const struct smtp_data_limits *limits)
{
    *r = (struct reference){.ended = true, .consumed = in.size, .content = malloc(2 * in.size + 4)};
    if (!r->content)
        abort();
    reference_copy(r, in, false, limits->repair);
    if (r->size && (r->size < 2 || memcmp(r->content + r->size - 2, "\r\n", 2))) {
        memcpy(r->content + r->size, "\r\n", 2);
        r->size += 2;
    }
    reference_check(r, limits);
}

/* The name of the first thing in which the two differ, or NULL. */
static const char *reference_difference(const struct reference *r, const struct smtp_data *d, struct span content)
{
    if (d->problems != r->problems)
        return "problems";
    if (!r->problems && !span_equal(content, span_from(r->content, r->size)))
        return "content";
    if (d->size != r->size)
        return "size";
    if (d->header_size != r->header_size || d->header_lines != r->header_lines)
        return "header_size, header_lines";
    if (d->received_hops != r->received_hops)
        return "received_hops";
    if (d->has_8bit != r->has_8bit || d->header_has_8bit != r->header_has_8bit)
        return "has_8bit, header_has_8bit";
    if (d->header_has_bad_utf8 != r->header_has_bad_utf8)
        return "header_has_bad_utf8";
    if (d->has_from != r->has_from || d->has_date != r->has_date || d->has_message_id != r->has_message_id)
        return "has_from, has_date, has_message_id";
    return d->was_repaired != r->was_repaired ? "was_repaired" : NULL;
}

#endif
