#include "base/log.h"
#include "intake/route.h"
#include "smtp/session_internal.h"

#include <errno.h>

#define ASK_SECONDS 30

int smtp_handle_starttls(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    if (!s->tls)
        return smtp_refuse(s, 502, "5.5.1", "TLS is not available here");
    if (stream_is_tls(s->stream))
        return smtp_refuse(s, 503, "5.5.1", "TLS is on already");
    if (command->argument.size)
        return smtp_refuse(s, 501, "5.5.4", "STARTTLS takes no parameters");
    smtp_reply(s, 220, "2.0.0", "Ready to start TLS");
    int error = stream_accept_tls(self, s->stream, s->tls, smtp_deadline(s, s->settings->smtp.command_timeout));
    if (error)
        return error;
    smtp_forget_client(s);
    return 0;
}

int smtp_handle_rset(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    smtp_transaction_reset(s);
    return smtp_reply(s, 250, "2.0.0", "Flushed");
}

int smtp_handle_noop(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    return smtp_reply(s, 250, "2.0.0", "Fine");
}

int smtp_handle_help(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    struct buf *out = stream_output(s->stream);
    buf_add_text(out, "214-2.0.0 Commands:");
    for (enum smtp_verb verb = SMTP_HELO; verb < SMTP_UNKNOWN; verb++)
        buf_printf(out, " %s", smtp_verb_name(verb));
    buf_add_text(out, "\r\n");
    return smtp_reply(s, 214, "2.0.0", "For more, ask postmaster at %s", s->settings->hostname);
}

int smtp_handle_quit(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    s->closing = s->said_quit = true;
    return smtp_reply(s, 221, "2.0.0", "%s says goodbye", s->settings->hostname);
}

/* RFC 5321 section 3.5.3: 252 unless the site lets VRFY tell who exists. A display name or a string without an @ is
 * never looked up. */
int smtp_handle_vrfy(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    if (command->argument.size == 0)
        return smtp_refuse(s, 501, "5.5.4", "VRFY needs an address");
    if (!s->settings->smtp.vrfy)
        return smtp_reply(s, 252, "2.1.5", "Send some mail, we'll do our best");
    struct arena scratch;
    arena_init(&scratch, 512u << 10);
    struct span text = command->argument;
    /* RFC 6531 section 3.7.4.2. */
    bool utf8 = s->is_esmtp && span_ends_nocase(text, span_text(" SMTPUTF8"));
    if (utf8)
        text = span_trim(span_head(text, text.size - strlen(" SMTPUTF8")));
    if (text.size > 1 && text.data[0] == '<' && text.data[text.size - 1] == '>')
        text = span_head(span_skip(text, 1), text.size - 2);
    struct mail_path path;
    const char *problem = mail_address_parse(text, utf8, &scratch, &path);
    struct intake_route route = {0};
    const struct intake_question question = {.path = &path};
    int error =
        problem ? 0 : intake_route_find(self, &s->intake, &scratch, &question, smtp_deadline(s, ASK_SECONDS), &route);
    if (problem && scratch.is_starved)
        smtp_refuse_internal(s, "no memory for VRFY", -ENOMEM);
    else if (problem)
        smtp_refuse(s, 501, "5.1.3", "Not an address: %s", problem);
    else if (error)
        smtp_refuse_internal(s, "VRFY could not ask the store", error);
    else if (route.kind == INTAKE_ROUTE_LOCAL || route.kind == INTAKE_ROUTE_OVER_QUOTA)
        smtp_reply(s, 250, "2.1.5", "<%.*s>", SPAN_ARG(path.text));
    else
        smtp_refuse(s, 550, "5.1.1", "No such person here");
    arena_release(&scratch);
    return error == -ECANCELED ? error : 0;
}

int smtp_handle_expn(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    return smtp_refuse(s, 502, "5.5.1", "Lists are not expanded here");
}
