#include "base/log.h"
#include "smtp/session_internal.h"

#include <stdio.h>
#include <string.h>

#define REPLY_TEXT_MAX 480 /* RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets */

__attribute__((format(printf, 4, 0))) static void write_reply(struct smtp_session *s, unsigned code,
                                                              const char *enhanced, const char *format, va_list args)
{
    char text[REPLY_TEXT_MAX];
    const char *words = format;
    if (strchr(format, '%')) { /* most replies have no places to fill */
        vsnprintf(text, sizeof text, format, args);
        /* With what somebody else said: it must not be a reply of its own. UTF-8 stays for those who asked for it. */
        for (char *c = text; *c; c++)
            *c = (char)((unsigned char)*c < ' ' || *c == 127 ? '?' : *c);
        words = text;
    }
    struct buf *out = stream_output(s->stream);
    buf_add_u64(out, code);
    buf_add_char(out, ' ');
    if (*enhanced) {
        buf_add_text(out, enhanced);
        buf_add_char(out, ' ');
    }
    buf_add_text(out, words);
    buf_add_text(out, "\r\n");
}

void smtp_printable(struct span text, char *out, size_t room)
{
    size_t size = text.size < room ? text.size : room - 1;
    for (size_t i = 0; i < size; i++)
        out[i] = (char)(text.data[i] < 32 || text.data[i] > 126 ? '?' : text.data[i]);
    out[size] = 0;
}

int smtp_reply(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_reply(s, code, enhanced, format, args);
    va_end(args);
    return 0;
}

int smtp_refuse(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    smtp_refuse_va(s, code, enhanced, format, args);
    va_end(args);
    return 0;
}

int smtp_refuse_va(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, va_list args)
{
    write_reply(s, code, enhanced, format, args);
    session_note_refused(s->peer->board);
    if (++s->errors < s->settings->smtp.errors || s->closing)
        return 0;
    s->closing = true;
    log_write(LOG_FAILURE, "smtp", s->peer->session, "session ended: too many errors service=%s ip=%s errors=%u",
              service_kind_name(s->peer->service), s->ip, s->errors);
    return smtp_reply(s, 421, "4.7.0", "%s Too many errors, goodbye", s->settings->hostname);
}

int smtp_refuse_problem(struct smtp_session *s, const struct smtp_problem *problem)
{
    return smtp_refuse(s, problem->code, problem->enhanced, "%s", problem->text);
}

int smtp_refuse_internal(struct smtp_session *s, const char *what, int error)
{
    const struct envelope *e = &s->transaction.envelope;
    log_write(LOG_PROBLEM, "smtp", s->peer->session, "temporary failure: %s ip=%s from=%s rcpt=%s error=%s", what,
              s->ip, log_quote(e->reverse_path), log_quote(e->recipients ? e->recipients->address : (struct span){0}),
              log_quote(span_text(strerror(-error))));
    return smtp_reply(s, 451, "4.3.0", "Temporary failure on our side, please try again later");
}
