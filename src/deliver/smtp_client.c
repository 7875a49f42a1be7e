#include "deliver/smtp_client.h"

#include "deliver/smtp_client_internal.h"

#include <errno.h>
#include <stdio.h>

#define RECIPIENTS_MAX 100
#define SERVICE_NOT_AVAILABLE 421

const struct smtp_client_timeouts smtp_client_timeouts_least = {
    .greeting = 5 * 60,
    .command = 5 * 60,
    .data = 2 * 60,
    .block = 3 * 60,
    .end_of_data = 10 * 60,
};

void smtp_client_init(struct smtp_client *c, struct stream *stream, const char *our_name)
{
    *c = (struct smtp_client){.stream = stream,
                              .deadline = CLOCK_NEVER,
                              .timeouts = smtp_client_timeouts_least,
                              .our_name = our_name,
                              .step = "the greeting"};
}

void smtp_client_release(struct smtp_client *c)
{
    stream_free(c->stream);
    c->stream = NULL;
    if (!c->over)
        (void)smtp_client_fail(c, -EPIPE);
}

const char *smtp_client_problem(const struct smtp_client *c)
{
    return c->problem;
}

/* ---- What ends it ---- */

int smtp_client_fail(struct smtp_client *c, int error)
{
    if (c->over)
        return c->error;
    c->over = true;
    c->error = error;
    const char *detail = c->stream ? stream_problem(c->stream) : "";
    const char *colon = *detail ? ": " : "";
    if (error == -ETIMEDOUT)
        snprintf(c->problem, sizeof c->problem, "%s took too long", c->step);
    else if (error == -ECANCELED)
        snprintf(c->problem, sizeof c->problem, "broken off at %s", c->step);
    else if (error == -ECONNRESET || error == -EPIPE || error == -ENODATA)
        snprintf(c->problem, sizeof c->problem, "the connection was lost at %s%s%s", c->step, colon, detail);
    else if (error == -EREMOTEIO)
        snprintf(c->problem, sizeof c->problem, "the peer ended the conversation at %s", c->step);
    else if (error == -EPROTO)
        snprintf(c->problem, sizeof c->problem, "at %s came what is no reply of SMTP", c->step);
    else
        snprintf(c->problem, sizeof c->problem, "at %s: %s%s%s", c->step, strerror(-error), colon, detail);
    return error;
}

int smtp_client_fail_reply(struct smtp_client *c, const struct smtp_reply *reply)
{
    if (c->over)
        return c->error;
    int error = smtp_client_fail(c, -EPROTO);
    snprintf(c->problem, sizeof c->problem, "at %s came the code %u, which has no place there", c->step, reply->code);
    return error;
}

uint64_t smtp_client_deadline(const struct smtp_client *c, unsigned seconds)
{
    uint64_t deadline = clock_in_seconds(seconds);
    return deadline < c->deadline ? deadline : c->deadline;
}

/* ---- Replies ---- */

/* The greeting word of EHLO's first line; a peer that says anything else has no name. */
static void note_name(struct smtp_client *c, struct span text)
{
    struct span name = span_head(text, span_find(text, ' '));
    bool is_word = name.size > 0 && name.size <= SMTP_CLIENT_NAME_MAX;
    for (size_t i = 0; is_word && i < name.size; i++)
        is_word = name.data[i] > ' ' && name.data[i] <= '~';
    name = is_word ? name : (struct span){0};
    if (is_word)
        memcpy(c->peer_name, name.data, name.size);
    c->peer_name[name.size] = '\0';
}

static int read_lines(struct fiber *self, struct smtp_client *c, uint64_t deadline, struct smtp_reply *reply,
                      bool is_hello)
{
    struct smtp_reply_reader reader;
    smtp_reply_start(&reader, reply);
    for (;;) {
        struct span line, text;
        int error = stream_read_line(self, c->stream, SMTP_REPLY_LINE_MAX, &line, deadline);
        if (error)
            return smtp_client_fail(c, error == -EMSGSIZE ? -EPROTO : error);
        enum smtp_reply_status status = smtp_reply_add_line(&reader, line, &text);
        if (status == SMTP_REPLY_BAD) {
            *reply = (struct smtp_reply){0};
            return smtp_client_fail(c, -EPROTO);
        }
        if (is_hello && reader.lines == 1)
            note_name(c, text);
        else if (is_hello)
            smtp_extensions_add_line(&c->extensions, text);
        if (status == SMTP_REPLY_END)
            return 0;
    }
}

static int read_reply(struct fiber *self, struct smtp_client *c, const char *step, unsigned seconds,
                      struct smtp_reply *reply, bool is_hello)
{
    *reply = (struct smtp_reply){0};
    if (c->over)
        return c->error;
    c->step = step;
    int error = read_lines(self, c, smtp_client_deadline(c, seconds), reply, is_hello);
    if (error) {
        *reply = (struct smtp_reply){0};
        return error;
    }
    if (reply->code >= 400)
        c->reply = *reply;
    return reply->code == SERVICE_NOT_AVAILABLE ? smtp_client_fail(c, -EREMOTEIO) : 0;
}

int smtp_client_read_reply(struct fiber *self, struct smtp_client *c, const char *step, unsigned seconds,
                           struct smtp_reply *reply)
{
    return read_reply(self, c, step, seconds, reply, false);
}

/* ---- Hello ---- */

static int say_hello(struct fiber *self, struct smtp_client *c, const char *verb, struct smtp_reply *reply)
{
    c->extensions = (struct smtp_extensions){0};
    c->peer_name[0] = '\0';
    buf_printf(stream_output(c->stream), "%s %s\r\n", verb, c->our_name);
    int error = read_reply(self, c, verb, c->timeouts.command, reply, true);
    if (error)
        return error;
    if (reply->code / 100 == 3)
        return smtp_client_fail_reply(c, reply);
    if (!smtp_reply_is_positive(reply))
        c->extensions = (struct smtp_extensions){0};
    return 0;
}

int smtp_client_hello(struct fiber *self, struct smtp_client *c)
{
    struct smtp_reply reply;
    int error = say_hello(self, c, "EHLO", &reply);
    c->is_extended = !error && smtp_reply_is_positive(&reply);
    if (error || c->is_extended)
        return error;
    /* RFC 5321 section 3.2: only a peer that does not know EHLO is greeted with HELO; one that is busy stays so. */
    if (reply.code / 100 == 5)
        error = say_hello(self, c, "HELO", &reply);
    c->extensions = (struct smtp_extensions){0};
    return error || smtp_reply_is_positive(&reply) ? error : smtp_client_fail(c, -EREMOTEIO);
}

int smtp_client_open(struct fiber *self, struct smtp_client *c)
{
    struct smtp_reply greeting;
    int error = smtp_client_read_reply(self, c, "the greeting", c->timeouts.greeting, &greeting);
    if (error)
        return error;
    if (greeting.code >= 400)
        return smtp_client_fail(c, -EREMOTEIO);
    return greeting.code == 220 ? smtp_client_hello(self, c) : smtp_client_fail_reply(c, &greeting);
}

/* ---- Between transactions, and the end ---- */

size_t smtp_client_recipients_max(const struct smtp_client *c)
{
    uint64_t said = c->extensions.rcpt_max;
    return said > 0 && said < RECIPIENTS_MAX ? (size_t)said : RECIPIENTS_MAX;
}

bool smtp_client_has_room(const struct smtp_client *c)
{
    return !c->over && (!c->extensions.mail_max || c->transactions < c->extensions.mail_max);
}

bool smtp_client_is_quiet(struct smtp_client *c)
{
    return !c->over && stream_is_quiet(c->stream);
}

void smtp_client_close(struct fiber *self, struct smtp_client *c)
{
    if (c->over)
        return;
    struct smtp_reply reply;
    uint64_t deadline = smtp_client_deadline(c, SMTP_CLIENT_QUIT_SECONDS);
    buf_add_text(stream_output(c->stream), "QUIT\r\n");
    int error = smtp_client_read_reply(self, c, "QUIT", SMTP_CLIENT_QUIT_SECONDS, &reply);
    /* How the farewell goes changes nothing for anybody. A peer that answered says nothing more. */
    if (!error)
        stream_close(self, c->stream, true, deadline);
    (void)smtp_client_fail(c, -EPIPE);
}
