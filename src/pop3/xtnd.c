#include "base/log.h"
#include "format/header.h"
#include "pop3/body.h"
#include "pop3/state.h"
#include "pop3/xmit.h"

#include <errno.h>

#define FIRST_MAX ((uint32_t)32 << 10) /* most headers are shorter */
#define VALUE_MAX ((size_t)8 << 10)    /* of a field's text; no client reads more of a line */

/* ---- XTND XLST name [message]: one field of one message or of all, as "3 Message-Id: <…>" ---- */

/* Does the empty line behind the header stand in these bytes? */
static bool has_whole_header(struct span bytes, uint64_t total)
{
    struct header_field field;
    if (bytes.size == total)
        return true;
    while (header_next(&bytes, &field))
        if (bytes.size == 0)
            return false;
    return true;
}

static void write_field(struct pop3_session *s, uint32_t number, struct span name, struct span message)
{
    struct header_field field;
    if (!header_find(message, name, &field))
        return;
    struct buf *out = stream_output(s->stream), value;
    buf_init(&value, field.value.size + 1);
    header_unfold(field.value, &value);
    buf_printf(out, "%u %.*s: ", number, SPAN_ARG(name));
    buf_add_span(out, span_head(buf_span(&value), VALUE_MAX));
    buf_add_text(out, "\r\n");
    buf_release(&value);
}

/* -ENOENT when the message is gone. */
static int list_field(struct fiber *self, struct pop3_session *s, uint32_t number, struct span name)
{
    struct pop3_piece piece;
    int error = pop3_fetch_piece(self, s, number, 0, FIRST_MAX, &piece);
    if (!error && !has_whole_header(piece.bytes, piece.total)) {
        pop3_fetch_done(&s->fetch);
        error = pop3_fetch_piece(self, s, number, 0, POP3_PIECE_MAX, &piece);
    }
    if (error)
        return error;
    write_field(s, number, name, piece.bytes);
    pop3_fetch_done(&s->fetch);
    return 0;
}

static int list_one(struct fiber *self, struct pop3_session *s, uint32_t number, struct span name)
{
    if (!pop3_maildrop_get(&s->maildrop, number)) {
        pop3_error(s, "no such message");
        return 0;
    }
    size_t before = stream_output(s->stream)->size;
    pop3_ok(s, "the field of message %u", number);
    int error = list_field(self, s, number, name);
    if (!error) {
        buf_add_text(stream_output(s->stream), ".\r\n");
        return 0;
    }
    /* Nothing is sent while a session waits for the store, so the promise can still be taken back. */
    buf_truncate(stream_output(s->stream), before);
    return error == -ENOENT ? (pop3_error(s, "message %u is gone: another session deleted it", number), 0)
                            : pop3_trouble(s, error, "reading the message");
}

static int list_all(struct fiber *self, struct pop3_session *s, struct span name)
{
    pop3_ok(s, "one field of every message");
    for (uint32_t number = 1; number <= s->maildrop.count; number++) {
        if (!pop3_maildrop_get(&s->maildrop, number))
            continue;
        int error = list_field(self, s, number, name);
        if (error && error != -ENOENT) {
            /* The client was told that a list comes: it must not take what it has for the whole. */
            log_write(LOG_MAJOR, "pop3", s->peer->session_id, "a list of fields broke off message=%u error=\"%s\"",
                      number, strerror(-error));
            s->end = "a list could not be made to its end";
            return -EIO;
        }
        error = pop3_flush_some(self, s);
        if (error)
            return error;
    }
    buf_add_text(stream_output(s->stream), ".\r\n");
    return 0;
}

static bool is_field_name(struct span name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] < 33 || name.data[i] > 126 || name.data[i] == ':')
            return false;
    return name.size > 0;
}

static int xlst(struct fiber *self, struct pop3_session *s, struct span rest)
{
    struct span name = span_cut(&rest, ' ');
    uint64_t number = 0;
    rest = span_trim(rest);
    if (!is_field_name(name) || (rest.size && (!span_parse_u64(rest, UINT32_MAX, &number) || number == 0))) {
        pop3_wrong(s, "XTND XLST needs a field's name, and takes a message number");
        return 0;
    }
    return rest.size ? list_one(self, s, (uint32_t)number, name) : list_all(self, s, name);
}

/* ---- ---- */

int pop3_do_xtnd(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    struct span rest = command->argument[0], word = span_cut(&rest, ' ');
    rest = span_trim(rest);
    if (span_is_nocase(word, "XLST"))
        return xlst(self, s, rest);
    if (span_is_nocase(word, "XMIT") && rest.size == 0)
        return pop3_xmit(self, s);
    pop3_wrong(s, "there is no such extension");
    return 0;
}
