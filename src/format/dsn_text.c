/* The part of a report that people read. */
#include "format/date.h"
#include "format/dsn.h"
#include "format/encoded_word.h"
#include "format/header.h"

#define COLUMNS 72
#define SUBJECT_MAX 300

/* Words of a text, wrapped and indented. */
static void paragraph_write(struct span text, unsigned indent, struct buf *out)
{
    size_t column = 0;
    while (text.size) {
        struct span word = span_cut(&text, ' ');
        if (!word.size)
            continue;
        if (column && column + 1 + word.size > COLUMNS) {
            buf_add_text(out, "\r\n");
            column = 0;
        }
        if (column) {
            buf_add_char(out, ' ');
            column++;
        } else {
            buf_printf(out, "%*s", (int)indent, "");
            column = indent;
        }
        dsn_printable_write(word, true, out);
        column += word.size;
    }
    buf_add_text(out, "\r\n");
}

/* Controls become spaces, and what is cut is cut between characters: the decoder's output ends where its limit is. */
static void header_line_write(const struct dsn *dsn, const char *field_name, const char *label, struct buf *out)
{
    struct header_field field;
    struct buf line, text;
    if (!header_find(dsn->message, span_text(field_name), &field))
        return;
    buf_init(&line, 8192);
    buf_init(&text, SUBJECT_MAX);
    header_unfold(span_head(field.value, 4096), &line);
    encoded_word_decode(buf_span(&line), &text);
    struct span shown = buf_span(&text);
    if (shown.size) {
        buf_printf(out, "    %-9s", label);
        dsn_printable_write(shown, true, out);
        buf_add_text(out, "\r\n");
    }
    buf_release(&line);
    buf_release(&text);
}

static void recipient_write(const struct dsn *dsn, const struct dsn_recipient *r, struct buf *out)
{
    buf_add_text(out, "\r\n  ");
    dsn_printable_write(r->original.size ? r->original : r->final, true, out);
    if (r->original.size && r->final.size && !span_equal_nocase(r->original, r->final)) {
        buf_add_text(out, "\r\n  (which leads to ");
        dsn_printable_write(r->final, true, out);
        buf_add_char(out, ')');
    }
    buf_add_text(out, "\r\n");
    if (r->why && r->why[0])
        paragraph_write(span_text(r->why), 6, out);
    if (!r->diagnostic.size)
        return;
    struct buf said;
    buf_init(&said, 4096);
    if (r->remote.size)
        buf_printf(&said, "The server %.*s said: ", SPAN_ARG(r->remote));
    buf_add_span(&said, r->diagnostic);
    paragraph_write(buf_span(&said), 6, out);
    buf_release(&said);
}

struct words {
    const char *happened, *next;
};

static const struct words for_recipient[] = {
    [DSN_FAILED] = {"was for you, or for an address that you look after. This server has to send it on, and could not:",
                    "It will not be tried again. The whole message is attached to this one. Its sender is not told: "
                    "please see to where this mail is sent on to, and answer the message if it wants an answer."},
    [DSN_DELAYED] = {"was for you, or for an address that you look after, and could not be sent on yet:",
                     "This server goes on trying. Should it fail in the end, you will get the whole message here. Its "
                     "sender is not told."},
    [DSN_DELIVERED] = {"was sent on to", ""},
    [DSN_RELAYED] = {"was sent on to", ""},
    [DSN_EXPANDED] = {"was sent on to", ""},
};

static const struct words for_author[] = {
    [DSN_FAILED] = {"could not be delivered to",
                    "It will not be tried again. When the reason is mended, please send the message anew."},
    [DSN_DELAYED] = {"has not been delivered yet to",
                     "This server goes on trying. You need not do anything; should it fail in the end, you will be "
                     "told."},
    [DSN_DELIVERED] = {"was delivered to", ""},
    [DSN_RELAYED] = {"was passed on to a server that does not confirm deliveries, on its way to",
                     "Nobody will tell you more of it when all goes well."},
    [DSN_EXPANDED] = {"was sent on to all whom this address stands for:", ""},
};

static void action_write(const struct dsn *dsn, enum dsn_action action, struct buf *out)
{
    const struct words *words = dsn->is_for_recipient ? for_recipient : for_author;
    uint64_t until = 0;
    bool has = false;
    for (size_t i = 0; i < dsn->count; i++) {
        const struct dsn_recipient *r = &dsn->recipients[i];
        if (r->action != action)
            continue;
        if (!has) {
            buf_add_text(out, "\r\n");
            paragraph_write(span_text(words[action].happened), 0, out);
        }
        has = true;
        recipient_write(dsn, r, out);
        until = r->retry_until > until ? r->retry_until : until;
    }
    if (!has)
        return;
    if (words[action].next[0]) {
        buf_add_text(out, "\r\n");
        paragraph_write(span_text(words[action].next), 0, out);
    }
    if (until) {
        buf_add_text(out, "It is given up at the latest on ");
        date_write(until, out);
        buf_add_text(out, ".\r\n");
    }
}

void dsn_text_write(const struct dsn *dsn, struct buf *out)
{
    buf_add_text(out, "This is the mail server ");
    dsn_printable_write(dsn->host, false, out);
    buf_add_text(out, dsn->is_for_recipient ? ".\r\n\r\nThis message\r\n\r\n" : ".\r\n\r\nYour message\r\n\r\n");
    header_line_write(dsn, "Subject", "Subject:", out);
    header_line_write(dsn, "Date", "Date:", out);
    header_line_write(dsn, "To", "To:", out);
    for (int action = DSN_FAILED; action <= DSN_EXPANDED; action++)
        action_write(dsn, (enum dsn_action)action, out);
    buf_add_text(out, "\r\nThis server's reference for the message is ");
    dsn_printable_write(dsn->reference, false, out);
    buf_add_text(out, ". Should you ask\r\npostmaster@");
    dsn_printable_write(dsn->host, false, out);
    buf_add_text(out, " for help, please name it.\r\n");
}
