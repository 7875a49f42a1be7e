#include "format/dsn.h"

#include "format/base64.h"
#include "format/date.h"
#include "format/header.h"
#include "format/utf8.h"
#include "format/xtext.h"

#include <stdio.h>

#define LINE_OCTETS 76
#define TEXT_MAX (512u << 10)
#define FIELD_MAX 2048

static const char *const action_names[] = {
    [DSN_FAILED] = "failed",   [DSN_DELAYED] = "delayed",   [DSN_DELIVERED] = "delivered",
    [DSN_RELAYED] = "relayed", [DSN_EXPANDED] = "expanded",
};

void dsn_printable_write(struct span s, bool utf8, struct buf *out)
{
    bool keep = utf8 && utf8_is_valid(s);
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        buf_add_char(out, c < 32 || c == 127 || (c > 127 && !keep) ? '?' : (char)c);
    }
}

/* ---- Fields of message/delivery-status ---- */

/* A field whose value may be long: folded at spaces. */
static void field_write(const char *name, struct span value, struct buf *out)
{
    size_t column = strlen(name) + 1;
    buf_printf(out, "%s:", name);
    while (value.size) {
        size_t word = span_find(value, ' ');
        if (column + 1 + word > LINE_OCTETS && column > 1) {
            buf_add_text(out, "\r\n");
            column = 0;
        }
        buf_add_char(out, ' ');
        buf_add_span(out, span_head(value, word));
        column += 1 + word;
        value = span_skip(value, word + 1);
    }
    buf_add_text(out, "\r\n");
}

static void date_field_write(const char *name, uint64_t at, struct buf *out)
{
    if (!at)
        return;
    buf_printf(out, "%s: ", name);
    date_write(at, out);
    buf_add_text(out, "\r\n");
}

/* Reads one character of valid UTF-8 and returns its size. */
static size_t utf8_take(struct span s, uint32_t *character)
{
    unsigned char lead = (unsigned char)s.data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    *character = size == 1 ? lead : lead & (0x7fu >> size);
    for (size_t i = 1; i < size; i++)
        *character = *character << 6 | ((unsigned char)s.data[i] & 0x3f);
    return size;
}

/* RFC 6533 section 3: utf-8-addr-xtext, which is ASCII. */
static void utf8_xtext_write(struct span address, struct buf *out)
{
    while (address.size) {
        uint32_t c;
        size_t size = utf8_take(address, &c);
        if (c < 0x21 || c > 0x7e || c == '\\' || c == '+' || c == '=')
            buf_printf(out, "\\x{%X}", (unsigned)c);
        else
            buf_add_char(out, (char)c);
        address = span_skip(address, size);
    }
}

static void address_field_write(const struct dsn *dsn, const char *name, struct span address, struct buf *out)
{
    struct buf value;
    buf_init(&value, FIELD_MAX);
    bool international = !utf8_is_ascii(address) && utf8_is_valid(address);
    buf_add_text(&value, international ? "utf-8; " : "rfc822; ");
    if (international && !dsn->smtputf8)
        utf8_xtext_write(address, &value);
    else
        dsn_printable_write(address, dsn->smtputf8, &value);
    field_write(name, buf_span(&value), out);
    buf_release(&value);
}

/* "rfc822;xtext" as the client said it. Its decoded form may be anything. */
static void orcpt_write(const struct dsn *dsn, struct span orcpt, struct buf *out)
{
    struct arena arena;
    struct buf value;
    struct span text = orcpt, type = span_cut(&text, ';'), decoded;
    if (!type.size || !text.size)
        return;
    arena_init(&arena, FIELD_MAX);
    buf_init(&value, FIELD_MAX);
    /* What is of the type utf-8 has an encoding of its own, and keeps it. */
    if (span_is_nocase(type, "utf-8") || !xtext_parse(text, &arena, &decoded))
        decoded = text;
    dsn_printable_write(type, false, &value);
    buf_add_text(&value, "; ");
    dsn_printable_write(decoded, dsn->smtputf8, &value);
    field_write("Original-Recipient", buf_span(&value), out);
    buf_release(&value);
    arena_release(&arena);
}

static void status_recipient_write(const struct dsn *dsn, const struct dsn_recipient *r, struct buf *out)
{
    struct buf value;
    buf_init(&value, FIELD_MAX);
    buf_add_text(out, "\r\n");
    orcpt_write(dsn, r->orcpt, out);
    address_field_write(dsn, "Final-Recipient", r->final, out);
    buf_printf(out, "Action: %s\r\n", action_names[r->action]);
    buf_add_text(out, "Status: ");
    dsn_printable_write(r->status, false, out);
    buf_add_text(out, "\r\n");
    if (r->remote.size) {
        buf_add_text(&value, "dns; ");
        dsn_printable_write(r->remote, false, &value);
        field_write("Remote-MTA", buf_span(&value), out);
        buf_reset(&value);
    }
    if (r->diagnostic.size) {
        buf_add_text(&value, r->remote.size ? "smtp; " : "x-ostiary; ");
        dsn_printable_write(r->diagnostic, false, &value);
        field_write("Diagnostic-Code", buf_span(&value), out);
    }
    date_field_write("Last-Attempt-Date", r->last_attempt, out);
    date_field_write("Will-Retry-Until", r->retry_until, out);
    buf_release(&value);
}

static void status_write(const struct dsn *dsn, struct buf *out)
{
    struct arena arena;
    struct span envid;
    arena_init(&arena, FIELD_MAX);
    if (dsn->envid.size && xtext_parse(dsn->envid, &arena, &envid)) {
        struct buf value;
        buf_init(&value, FIELD_MAX);
        dsn_printable_write(envid, false, &value);
        field_write("Original-Envelope-Id", buf_span(&value), out);
        buf_release(&value);
    }
    buf_add_text(out, "Reporting-MTA: dns; ");
    dsn_printable_write(dsn->host, false, out);
    buf_add_text(out, "\r\n");
    date_field_write("Arrival-Date", dsn->arrived_at, out);
    for (size_t i = 0; i < dsn->count; i++)
        status_recipient_write(dsn, &dsn->recipients[i], out);
    arena_release(&arena);
}

/* ---- The parts ---- */

static void boundary_write(const struct dsn *dsn, const char *end, struct buf *out)
{
    buf_add_text(out, "\r\n--report-");
    buf_add_span(out, dsn->unique);
    buf_add_text(out, end);
}

/* Text above ASCII goes as base64: a report has to arrive by any way. */
static void text_part_write(const struct dsn *dsn, struct buf *out)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    dsn_text_write(dsn, &text);
    bool plain = utf8_is_ascii(buf_span(&text));
    buf_printf(out, "Content-Type: text/plain; charset=%s\r\n", plain ? "us-ascii" : "utf-8");
    buf_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n", plain ? "7bit" : "base64");
    if (plain)
        buf_add_span(out, buf_span(&text));
    for (struct span rest = buf_span(&text); !plain && rest.size; rest = span_skip(rest, 57)) {
        base64_write(span_head(rest, 57), out);
        buf_add_text(out, "\r\n");
    }
    out->failed |= buf_failed(&text);
    buf_release(&text);
}

/* The header alone, without its empty line. A field that our limit cuts in two is left out. */
static struct span header_of(const struct dsn *dsn)
{
    struct span rest = dsn->message;
    struct header_field field;
    const char *end = rest.data;
    while (header_next(&rest, &field) &&
           (size_t)(field.raw.data + field.raw.size - dsn->message.data) <= DSN_RETURN_MAX)
        end = field.raw.data + field.raw.size;
    return span_from(dsn->message.data, end ? (size_t)(end - dsn->message.data) : 0);
}

static bool is_followed_by_eight_bit(const struct dsn *dsn)
{
    return dsn->is_followed && dsn->eight_bit;
}

static void returned_part_write(const struct dsn *dsn, struct buf *out)
{
    bool fits = dsn->is_whole && dsn->message.size && dsn->message.size <= DSN_RETURN_MAX;
    bool whole = dsn->is_followed || fits;
    struct span returned = dsn->is_followed ? (struct span){"", 0} : whole ? dsn->message : header_of(dsn);
    static const char *const types[2][2] = {{"text/rfc822-headers", "message/rfc822"},
                                            {"message/global-headers", "message/global"}};
    buf_printf(out, "Content-Type: %s\r\n", types[dsn->smtputf8][whole]);
    buf_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n",
               utf8_is_ascii(returned) && !is_followed_by_eight_bit(dsn) ? "7bit" : "8bit");
    buf_add_span(out, returned);
}

/* ---- The header ---- */

static const char *subject(const struct dsn *dsn)
{
    static const char *const words[] = {
        [DSN_FAILED] = "Your message could not be delivered",
        [DSN_DELAYED] = "Your message is delayed",
        [DSN_DELIVERED] = "Your message was delivered",
        [DSN_RELAYED] = "Your message was passed on",
        [DSN_EXPANDED] = "Your message was sent on to several people",
    };
    static const char *const words_for_recipient[] = {
        [DSN_FAILED] = "A message to you could not be sent on",
        [DSN_DELAYED] = "A message to you is delayed on its way on",
        [DSN_DELIVERED] = "A message to you was sent on",
        [DSN_RELAYED] = "A message to you was sent on",
        [DSN_EXPANDED] = "A message to you was sent on",
    };
    enum dsn_action worst = DSN_EXPANDED;
    for (size_t i = 0; i < dsn->count; i++)
        worst = dsn->recipients[i].action < worst ? dsn->recipients[i].action : worst;
    return dsn->is_for_recipient ? words_for_recipient[worst] : words[worst];
}

/* Our report belongs to the thread of the message it is about. */
static void reference_write(const struct dsn *dsn, struct buf *out)
{
    struct header_field field;
    struct buf id;
    buf_init(&id, 512);
    if (header_find(dsn->message, span_text("Message-ID"), &field))
        header_unfold(field.value, &id);
    struct span text = buf_span(&id);
    bool is_id = !buf_failed(&id) && text.size > 2 && text.data[0] == '<' && text.data[text.size - 1] == '>' &&
                 span_find(text, ' ') == text.size && (dsn->smtputf8 || utf8_is_ascii(text));
    for (size_t i = 0; is_id && i < 2; i++) {
        buf_add_text(out, i ? "References: " : "In-Reply-To: ");
        dsn_printable_write(text, true, out);
        buf_add_text(out, "\r\n");
    }
    buf_release(&id);
}

static void header_write(const struct dsn *dsn, struct buf *out)
{
    buf_add_text(out, "From: Mail delivery <MAILER-DAEMON@");
    dsn_printable_write(dsn->host, false, out);
    buf_add_text(out, ">\r\nTo: <");
    dsn_printable_write(dsn->to, true, out);
    buf_add_text(out, ">\r\n");
    buf_printf(out, "Subject: %s\r\n", subject(dsn));
    date_field_write("Date", dsn->now, out);
    buf_add_text(out, "Message-ID: <report-");
    buf_add_span(out, dsn->unique);
    buf_add_char(out, '@');
    dsn_printable_write(dsn->host, false, out);
    buf_add_text(out, ">\r\n");
    reference_write(dsn, out);
    buf_add_text(out, "Auto-Submitted: auto-replied\r\n"
                      "MIME-Version: 1.0\r\n"
                      "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"report-");
    buf_add_span(out, dsn->unique);
    buf_add_text(out, "\"\r\n");
}

void dsn_end_write(const struct dsn *dsn, struct buf *out)
{
    boundary_write(dsn, "--\r\n", out);
}

void dsn_write(const struct dsn *dsn, struct buf *out)
{
    struct buf body;
    buf_init(&body, out->limit);
    boundary_write(dsn, "\r\n", &body);
    text_part_write(dsn, &body);
    boundary_write(dsn, "\r\n", &body);
    buf_printf(&body, "Content-Type: message/%sdelivery-status\r\n", dsn->smtputf8 ? "global-" : "");
    if (dsn->smtputf8)
        buf_add_text(&body, "Content-Transfer-Encoding: 8bit\r\n");
    buf_add_text(&body, "\r\n");
    status_write(dsn, &body);
    boundary_write(dsn, "\r\n", &body);
    returned_part_write(dsn, &body);
    if (!dsn->is_followed)
        dsn_end_write(dsn, &body);
    header_write(dsn, out);
    /* A composite type may not be less than its parts: RFC 2045 section 6.4. */
    buf_printf(out, "Content-Transfer-Encoding: %s\r\n",
               utf8_is_ascii(buf_span(&body)) && !dsn->smtputf8 && !is_followed_by_eight_bit(dsn) ? "7bit" : "8bit");
    buf_add_span(out, buf_span(&body));
    out->failed |= buf_failed(&body);
    buf_release(&body);
}
