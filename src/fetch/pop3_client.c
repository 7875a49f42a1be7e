#include "fetch/pop3_client.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define CAPABILITIES_MAX 200 /* lines */

void pop3_client_init(struct pop3_client *c, struct stream *stream, unsigned timeout)
{
    *c = (struct pop3_client){.stream = stream, .timeout = timeout, .until = CLOCK_NEVER};
}

void pop3_client_release(struct pop3_client *c)
{
    stream_free(c->stream);
    c->stream = NULL;
    c->over = true;
}

const char *pop3_client_problem(const struct pop3_client *c)
{
    return c->problem;
}

int pop3_client_fail(struct pop3_client *c, int error, const char *format, ...)
{
    va_list args;
    c->over = true;
    va_start(args, format);
    vsnprintf(c->problem, sizeof c->problem, format, args);
    va_end(args);
    return error;
}

/* ---- Lines ---- */

static uint64_t deadline(const struct pop3_client *c)
{
    return clock_in_seconds(c->timeout);
}

static int lost(struct pop3_client *c, int error, const char *name)
{
    const char *why = stream_problem(c->stream);
    switch (error) {
    case -ETIMEDOUT:
        if (clock_monotonic() >= c->until)
            return pop3_client_fail(c, error, "the answer to %s did not end within %u seconds", name,
                                    POP3_CLIENT_LISTING_PART * c->timeout);
        return pop3_client_fail(c, error, "no answer to %s within %u seconds", name, c->timeout);
    case -EMSGSIZE:
        return pop3_client_fail(c, error, "a line of the answer to %s is too long", name);
    case -ENODATA:
        return pop3_client_fail(c, error, "the server closed the connection instead of answering %s", name);
    default:
        return pop3_client_fail(c, error, "the connection was lost at %s: %s", name, why[0] ? why : strerror(-error));
    }
}

void pop3_client_send(struct pop3_client *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(stream_output(c->stream), format, args);
    va_end(args);
    buf_add_text(stream_output(c->stream), "\r\n");
}

static int refused(struct pop3_client *c, const char *name, const struct pop3_reply *reply)
{
    c->code = reply->code;
    snprintf(c->problem, sizeof c->problem, "the server refuses %s: %s", name,
             reply->text.size ? log_quote(reply->text) : "it does not say why");
    return -EREMOTEIO;
}

int pop3_client_reply(struct fiber *self, struct pop3_client *c, const char *name, struct pop3_reply *reply)
{
    struct span line;
    if (c->over)
        return -EPIPE;
    int error = stream_read_line(self, c->stream, POP3_CLIENT_LINE_MAX, &line, deadline(c));
    if (error)
        return lost(c, error, name);
    pop3_reply_parse(line, reply);
    if (reply->status == POP3_BAD)
        return pop3_client_fail(c, -EPROTO, "the answer to %s is none of POP3: %s", name, log_quote(line));
    return reply->status == POP3_ERROR ? refused(c, name, reply) : 0;
}

int pop3_client_command(struct fiber *self, struct pop3_client *c, const char *name, struct pop3_reply *reply,
                        const char *format, ...)
{
    va_list args;
    if (c->over)
        return -EPIPE;
    va_start(args, format);
    buf_vprintf(stream_output(c->stream), format, args);
    va_end(args);
    buf_add_text(stream_output(c->stream), "\r\n");
    int error = pop3_client_reply(self, c, name, reply);
    c->until = clock_in_seconds(POP3_CLIENT_LISTING_PART * c->timeout);
    if (!error && reply->status == POP3_CHALLENGE)
        error = pop3_client_fail(c, -EPROTO, "the answer to %s is a challenge, which can't stand there", name);
    return error;
}

int pop3_client_line(struct fiber *self, struct pop3_client *c, const char *name, struct span *line, bool *end)
{
    if (c->over)
        return -EPIPE;
    uint64_t line_until = deadline(c);
    int error =
        stream_read_line(self, c->stream, POP3_CLIENT_LINE_MAX, line, line_until < c->until ? line_until : c->until);
    if (error)
        return lost(c, error, name);
    *end = span_is(*line, ".");
    if (line->size && line->data[0] == '.')
        *line = span_skip(*line, 1);
    return 0;
}

/* ---- The beginning ---- */

int pop3_client_greet(struct fiber *self, struct pop3_client *c)
{
    struct pop3_reply reply = {0};
    int error = pop3_client_reply(self, c, "the connection", &reply);
    if (error == -EREMOTEIO)
        return pop3_client_fail(c, -EBUSY, "the server takes no connection now: %s", log_quote(reply.text));
    if (!error && reply.status != POP3_OK)
        return pop3_client_fail(c, -EPROTO, "the greeting is none of POP3");
    if (error)
        return error;
    struct span stamp = pop3_timestamp(reply.text);
    if (stamp.size && stamp.size < sizeof c->timestamp)
        memcpy(c->timestamp, stamp.data, stamp.size);
    return 0;
}

int pop3_client_ask_capabilities(struct fiber *self, struct pop3_client *c)
{
    struct pop3_reply reply;
    bool end = false;
    c->capabilities = (struct pop3_capabilities){0};
    c->has_capabilities = false;
    int error = pop3_client_command(self, c, "CAPA", &reply, "CAPA");
    if (error)
        return error == -EREMOTEIO ? 0 : error;
    for (unsigned lines = 0; !error && !end; lines++) {
        struct span line;
        error = pop3_client_line(self, c, "CAPA", &line, &end);
        if (!error && !end)
            pop3_capability_parse(line, &c->capabilities);
        if (!error && lines > CAPABILITIES_MAX)
            error = pop3_client_fail(c, -EPROTO, "the answer to CAPA has no end");
    }
    c->has_capabilities = !error;
    return error;
}

int pop3_client_start_tls(struct fiber *self, struct pop3_client *c, struct tls_context *tls, const char *host,
                          bool verify)
{
    struct pop3_reply reply;
    int error = pop3_client_command(self, c, "STLS", &reply, "STLS");
    if (error == -EREMOTEIO)
        return pop3_client_fail(c, -EOPNOTSUPP, "the server refuses STLS, and the account wants it: %s",
                                log_quote(reply.text));
    if (error)
        return error;
    /* Drops what came in the clear behind the reply: nobody can put words into the encrypted conversation. */
    error = stream_start_tls(self, c->stream, tls, host, verify, deadline(c));
    if (error) {
        const char *wrong = stream_tls_problem(c->stream);
        return pop3_client_fail(c, error == -ECANCELED ? error : -EKEYREJECTED, "TLS failed: %s",
                                wrong[0] ? wrong : stream_problem(c->stream));
    }
    c->has_capabilities = false;
    c->capabilities = (struct pop3_capabilities){0};
    return 0;
}
