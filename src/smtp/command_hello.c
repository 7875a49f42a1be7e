#include "auth/mechanisms.h"
#include "smtp/session_internal.h"

static int remember_helo(struct smtp_session *s, const struct smtp_command *command, bool is_esmtp)
{
    struct smtp_helo helo;
    const struct smtp_problem *problem = smtp_helo_parse(command->argument, &helo);
    if (problem)
        return smtp_refuse_problem(s, problem);
    /* RFC 5321 section 4.1.4: a new HELO ends an open transaction. The arena keeps the old name: at most a few are
     * said. */
    smtp_transaction_reset(s);
    struct span name = span_equal(helo.name, s->helo) ? s->helo : arena_copy(&s->arena, helo.name);
    if (!name.data)
        return smtp_refuse(s, 451, "4.3.0", "You greet us too often; please connect anew");
    s->helo = name;
    s->is_esmtp = is_esmtp;
    return 1;
}

int smtp_handle_helo(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    if (remember_helo(s, command, false) <= 0)
        return 0;
    return smtp_reply(s, 250, "", "%s", s->settings->hostname);
}

static void add_line(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_line(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_add_text(out, "250-");
    buf_vprintf(out, format, args);
    buf_add_text(out, "\r\n");
    va_end(args);
}

static void add_auth(struct smtp_session *s, struct buf *out)
{
    struct buf names = {.limit = 256};
    bool is_secure = stream_is_tls(s->stream) || s->trusted;
    sasl_mechanism_list(is_secure, stream_is_tls(s->stream) && s->settings->auth.channel_binding, &names);
    if (names.size && !s->account_id)
        add_line(out, "AUTH %.*s", SPAN_ARG(buf_span(&names)));
    buf_release(&names);
}

/* A limit has at most six digits: RFC 9422 sections 4.1 and 4.2. */
static unsigned limit_shown(unsigned limit)
{
    return limit > 999999 ? 999999 : limit;
}

/* The keywords of what smtp_abilities() lets through, of RFC 2920, 2034, 3207, 3030 and 9422. */
int smtp_handle_ehlo(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    if (remember_helo(s, command, true) <= 0)
        return 0;
    struct buf *out = stream_output(s->stream);
    add_line(out, "%s", s->settings->hostname);
    add_line(out, "PIPELINING");
    add_line(out, "SIZE %llu", (unsigned long long)s->settings->smtp.message_size);
    add_line(out, "8BITMIME");
    add_line(out, "SMTPUTF8");
    add_line(out, "DSN");
    add_line(out, "CHUNKING");
    add_line(out, "PRDR");
    add_line(out, "LIMITS MAILMAX=%u RCPTMAX=%u", limit_shown(s->settings->smtp.transactions),
             limit_shown(s->settings->smtp.recipients));
    if (s->tls && !stream_is_tls(s->stream))
        add_line(out, "STARTTLS");
    if (smtp_is_member_service(s))
        add_auth(s, out);
    buf_add_text(out, "250 ENHANCEDSTATUSCODES\r\n");
    return 0;
}
