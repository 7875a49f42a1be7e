/* STARTTLS (RFC 3207) and AUTH (RFC 4954) of the SMTP client. */
#include "deliver/smtp_client_internal.h"

#include "format/base64.h"

#include <errno.h>
#include <stdio.h>

#define SECRET_MAX 1024
#define CREDENTIALS_MAX 4096

int smtp_client_start_tls(struct fiber *self, struct smtp_client *c, struct tls_context *tls, const char *host,
                          bool verify)
{
    struct smtp_reply reply;
    if (c->over)
        return c->error;
    if (!c->extensions.starttls || stream_is_tls(c->stream)) {
        c->reply = (struct smtp_reply){0};
        return -EOPNOTSUPP;
    }
    buf_add_text(stream_output(c->stream), "STARTTLS\r\n");
    int error = smtp_client_read_reply(self, c, "STARTTLS", c->timeouts.command, &reply);
    if (error)
        return error;
    if (reply.code >= 400)
        return -EOPNOTSUPP;
    if (reply.code != 220)
        return smtp_client_fail_reply(c, &reply);
    c->step = "the TLS handshake";
    error = stream_start_tls(self, c->stream, tls, host, verify, smtp_client_deadline(c, c->timeouts.command));
    if (error) {
        (void)smtp_client_fail(c, error);
        snprintf(c->problem, sizeof c->problem, "%s%s%s", stream_problem(c->stream),
                 *stream_tls_problem(c->stream) ? ": " : "", stream_tls_problem(c->stream));
        return error == -ECANCELED || error == -ENOMEM ? error : (c->error = -EKEYREJECTED);
    }
    return smtp_client_hello(self, c);
}

/* ---- AUTH ---- */

/* The refusal of a login is one of it, not of the conversation. */
static int check_login(struct smtp_client *c, const struct smtp_reply *reply)
{
    if (reply->code == 235) {
        c->is_authenticated = true;
        return 0;
    }
    return reply->code >= 400 ? -EACCES : smtp_client_fail_reply(c, reply);
}

static void write_secret(struct smtp_client *c, const char *command, struct span secret)
{
    struct buf *out = stream_output(c->stream);
    buf_add_text(out, command);
    base64_write(secret, out);
    buf_add(out, "\r\n", 2);
}

static int login_plain(struct fiber *self, struct smtp_client *c, struct span user, struct span password)
{
    struct smtp_reply reply;
    struct buf message;
    buf_init(&message, CREDENTIALS_MAX);
    buf_add_char(&message, '\0');
    buf_add_span(&message, user);
    buf_add_char(&message, '\0');
    buf_add_span(&message, password);
    int error = buf_failed(&message) ? smtp_client_fail(c, -ENOMEM) : 0;
    if (!error) {
        write_secret(c, "AUTH PLAIN ", buf_span(&message));
        error = smtp_client_read_reply(self, c, "AUTH", c->timeouts.command, &reply);
    }
    if (message.data)
        explicit_bzero(message.data, message.size);
    buf_release(&message);
    return error ? error : check_login(c, &reply);
}

/* No RFC; everybody means this by it: two challenges whose words are of no matter. */
static int login_login(struct fiber *self, struct smtp_client *c, struct span user, struct span password)
{
    struct smtp_reply reply;
    buf_add_text(stream_output(c->stream), "AUTH LOGIN\r\n");
    int error = smtp_client_read_reply(self, c, "AUTH", c->timeouts.command, &reply);
    const struct span answers[] = {user, password};
    for (size_t i = 0; !error && i < 2; i++) {
        if (reply.code != 334)
            return check_login(c, &reply);
        write_secret(c, "", answers[i]);
        error = smtp_client_read_reply(self, c, "AUTH", c->timeouts.command, &reply);
    }
    return error ? error : check_login(c, &reply);
}

int smtp_client_authenticate(struct fiber *self, struct smtp_client *c, struct span user, struct span password)
{
    if (c->over)
        return c->error;
    if (!stream_is_tls(c->stream))
        return -EPERM;
    if (user.size > SECRET_MAX || password.size > SECRET_MAX)
        return smtp_client_fail(c, -ENOMEM);
    c->step = "AUTH";
    if (c->extensions.mechanisms & SMTP_AUTH_PLAIN)
        return login_plain(self, c, user, password);
    if (c->extensions.mechanisms & SMTP_AUTH_LOGIN)
        return login_login(self, c, user, password);
    return -EOPNOTSUPP;
}
