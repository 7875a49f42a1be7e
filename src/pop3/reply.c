#include "pop3/state.h"

#include <errno.h>

__attribute__((format(printf, 3, 0))) static void write_reply(struct pop3_session *s, const char *indicator,
                                                              const char *format, va_list args)
{
    struct buf *out = stream_output(s->stream);
    buf_add_text(out, indicator);
    buf_vprintf(out, format, args);
    buf_add_text(out, "\r\n");
}

void pop3_ok(struct pop3_session *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_reply(s, "+OK ", format, args);
    va_end(args);
}

void pop3_error(struct pop3_session *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_reply(s, "-ERR ", format, args);
    va_end(args);
    session_note_refused(s->peer->board);
}

void pop3_wrong(struct pop3_session *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_reply(s, "-ERR ", format, args);
    va_end(args);
    session_note_refused(s->peer->board);
    s->errors++;
}

void pop3_close(struct pop3_session *s, const char *why)
{
    s->state = POP3_CLOSING;
    s->end = why;
}

int pop3_trouble(struct pop3_session *s, int error, const char *what)
{
    if (error == -ECANCELED)
        return error;
    log_write(error == -EPIPE ? LOG_PROBLEM : LOG_MAJOR, "pop3", s->peer->session_id, "%s failed error=\"%s\"", what,
              strerror(-error));
    switch (error) {
    case -EACCES: /* the grant ran out, or the processes that made it were started anew */
        pop3_error(s, "[SYS/TEMP] this login is no longer good, please log in again");
        pop3_close(s, "the grant was refused");
        break;
    case -EIO:
        pop3_error(s, "[SYS/PERM] %s failed: the mail store reports damage, please tell the postmaster", what);
        break;
    default:
        pop3_error(s, "[SYS/TEMP] %s is not possible at the moment, please try again later", what);
        break;
    }
    return 0;
}

void pop3_set_in_hand(struct pop3_session *s, bool in_hand)
{
    if (s->peer->in_hand)
        *s->peer->in_hand = in_hand;
}

int pop3_flush_some(struct fiber *self, struct pop3_session *s)
{
    if (stream_output(s->stream)->size < POP3_OUTPUT_MAX)
        return 0;
    return stream_flush(self, s->stream, clock_in_seconds(s->settings->pop3.idle_timeout));
}

uint64_t pop3_line_deadline(const struct pop3_session *s)
{
    uint64_t idle = clock_in_seconds(s->settings->pop3.idle_timeout);
    return s->state == POP3_AUTHORIZATION && s->login_deadline < idle ? s->login_deadline : idle;
}

bool pop3_has_binding(const struct pop3_session *s)
{
    return stream_is_tls(s->stream) && s->settings->auth.channel_binding;
}

bool pop3_is_secure(const struct pop3_session *s)
{
    return stream_is_tls(s->stream) || network_list_has(&s->settings->trusted_networks, s->peer->address_bytes);
}
