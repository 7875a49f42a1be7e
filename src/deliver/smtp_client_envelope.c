/* A transaction of the SMTP client: what can be refused without asking, MAIL and RCPT, and what becomes of whom. */
#include "deliver/smtp_client_internal.h"

#include <errno.h>

/* Octets of an address between its brackets. RFC 5321 section 4.5.3.1.3 has 256; a peer may take more. */
#define PATH_MAX_OCTETS 1000
/* Commands under way: their replies must find room between the two of us, or each would wait for the other to read. */
#define WINDOW 64
#define PASSCODE_DIGITS_MAX 20

/* ---- Without asking ---- */

static bool has_8bit(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] > 127)
            return true;
    return false;
}

/* Nothing in it ends the path or the line, so that it can't become a parameter or a command. */
static bool is_sendable(struct span path)
{
    bool quoted = false;
    for (size_t i = 0; i < path.size; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c < ' ' || c == 127 || (!quoted && (c == ' ' || c == '<' || c == '>')))
            return false;
        if (c == '\\' && quoted && i + 1 < path.size && path.data[i + 1] >= ' ' && path.data[i + 1] != 127)
            i++;
        else if (c == '"')
            quoted = !quoted;
    }
    return !quoted && path.size <= PATH_MAX_OCTETS;
}

/* The same for xtext and "rfc822;xtext". */
static bool is_sendable_parameter(struct span value, size_t max, bool utf8)
{
    for (size_t i = 0; i < value.size; i++)
        if ((unsigned char)value.data[i] <= ' ' || value.data[i] == 127)
            return false;
    return value.size > 0 && value.size <= max && (utf8 || !has_8bit(value));
}

static void settle_all(struct smtp_client_transaction *t, const struct smtp_reply *reply)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->recipients[i].final.is_ours)
            t->recipients[i].final = *reply;
}

static void refuse_all(struct smtp_client_transaction *t, unsigned code, const char *enhanced, const char *text)
{
    struct smtp_reply reply;
    smtp_reply_set(&reply, code, enhanced, text);
    settle_all(t, &reply);
}

/* 1, 0, or a negative errno. */
static int body_has_8bit(struct fiber *self, const struct smtp_client_transaction *t)
{
    for (uint64_t offset = 0; offset < t->message->size;) {
        struct span piece = {0};
        int error = t->message->read(self, t->message->argument, offset, &piece);
        if (error || piece.size == 0)
            return error ? error : -EIO;
        if (has_8bit(piece))
            return 1;
        offset += piece.size;
    }
    return 0;
}

static int check_message(struct fiber *self, struct smtp_client_transaction *t)
{
    const struct smtp_extensions *offered = &t->client->extensions;
    const struct smtp_client_message *message = t->message;
    if (!is_sendable(message->reverse_path))
        refuse_all(t, 553, "5.1.7", "The sender's address can't be sent in any command");
    else if ((message->smtputf8 || has_8bit(message->reverse_path)) && !(offered->smtputf8 && message->smtputf8))
        refuse_all(t, 550, "5.6.7", "The next server does not take internationalised mail (SMTPUTF8)");
    else if (offered->size_max && message->size > offered->size_max)
        refuse_all(t, 552, "5.3.4", "The message is larger than the next server takes");
    else if (message->may_have_8bit && !offered->eight_bit_mime) {
        int found = body_has_8bit(self, t);
        if (found < 0)
            return smtp_client_fail(t->client, found);
        if (found)
            refuse_all(t, 554, "5.6.3", "The next server does not take 8-bit messages, and this is one");
    }
    return 0;
}

int smtp_client_check(struct fiber *self, struct smtp_client_transaction *t)
{
    t->client->step = "looking through the message";
    for (size_t i = 0; i < t->count; i++) {
        struct smtp_client_recipient *recipient = &t->recipients[i];
        recipient->final = (struct smtp_reply){0};
        if (recipient->address.size == 0 || !is_sendable(recipient->address))
            smtp_reply_set(&recipient->final, 553, "5.1.3", "The address can't be sent in any command");
        else if (has_8bit(recipient->address) && !t->message->smtputf8)
            smtp_reply_set(&recipient->final, 550, "5.6.7", "The address needs SMTPUTF8, and the message came without");
    }
    return check_message(self, t);
}

bool smtp_client_is_anybody_left(const struct smtp_client_transaction *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->recipients[i].final.is_ours)
            return true;
    return false;
}

/* ---- Commands ---- */

static void write_mail(struct smtp_client_transaction *t)
{
    static const char *const rets[] = {[SMTP_RET_FULL] = " RET=FULL", [SMTP_RET_HDRS] = " RET=HDRS"};
    const struct smtp_extensions *offered = &t->client->extensions;
    const struct smtp_client_message *message = t->message;
    struct buf *out = stream_output(t->client->stream);
    buf_add_text(out, "MAIL FROM:<");
    buf_add_span(out, message->reverse_path);
    buf_add_char(out, '>');
    if (offered->size)
        buf_printf(out, " SIZE=%llu", (unsigned long long)message->size);
    if (offered->eight_bit_mime && message->may_have_8bit)
        buf_add_text(out, " BODY=8BITMIME");
    if (offered->smtputf8 && message->smtputf8)
        buf_add_text(out, " SMTPUTF8");
    if (offered->dsn && message->ret != SMTP_RET_NONE)
        buf_add_text(out, rets[message->ret]);
    if (offered->dsn && is_sendable_parameter(message->envid, SMTP_ENVID_MAX, false)) {
        buf_add_text(out, " ENVID=");
        buf_add_span(out, message->envid);
    }
    buf_add(out, "\r\n", 2);
}

static void write_notify(unsigned notify, struct buf *out)
{
    static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
    const char *separator = " NOTIFY=";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(notify & 1u << i))
            continue;
        buf_add_text(out, separator);
        buf_add_text(out, names[i]);
        separator = ",";
    }
}

/* What else it may be does not go on the line: it might be a parameter. */
static bool is_passcode(struct span code)
{
    for (size_t i = 0; i < code.size; i++)
        if (code.data[i] < '0' || code.data[i] > '9')
            return false;
    return code.size > 0 && code.size <= PASSCODE_DIGITS_MAX;
}

static void write_rcpt(struct smtp_client_transaction *t, const struct smtp_client_recipient *recipient)
{
    struct buf *out = stream_output(t->client->stream);
    buf_add_text(out, "RCPT TO:<");
    buf_add_span(out, recipient->address);
    buf_add_char(out, '>');
    if (is_passcode(recipient->passcode)) {
        buf_add_char(out, ' ');
        buf_add_span(out, recipient->passcode);
    }
    if (t->client->extensions.dsn) {
        write_notify(recipient->notify & SMTP_NOTIFY_NEVER ? SMTP_NOTIFY_NEVER : recipient->notify, out);
        if (is_sendable_parameter(recipient->orcpt, SMTP_ORCPT_MAX, t->message->smtputf8)) {
            buf_add_text(out, " ORCPT=");
            buf_add_span(out, recipient->orcpt);
        }
    }
    buf_add(out, "\r\n", 2);
}

/* ---- Replies ---- */

static int take_mail(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_reply reply;
    int error = smtp_client_read_reply(self, t->client, "MAIL", t->client->timeouts.command, &reply);
    t->mail_owed = false;
    if (reply.code >= 400) {
        t->mail_refused = true;
        settle_all(t, &reply);
    }
    return error || reply.code >= 400 || smtp_reply_is_positive(&reply) ? error
                                                                        : smtp_client_fail_reply(t->client, &reply);
}

static int take_rcpt(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_reply reply;
    struct smtp_client_recipient *recipient = &t->recipients[t->answered];
    int error = smtp_client_read_reply(self, t->client, "RCPT", t->client->timeouts.command, &reply);
    t->answered++;
    if (t->mail_refused)
        return error;
    if (reply.code >= 400 || (t->is_probe && smtp_reply_is_positive(&reply)))
        recipient->final = reply;
    else if (smtp_reply_is_positive(&reply))
        t->accepted++;
    else if (!error)
        error = smtp_client_fail_reply(t->client, &reply);
    return error;
}

static int take_reset(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_reply reply;
    int error = smtp_client_read_reply(self, t->client, "RSET", t->client->timeouts.command, &reply);
    t->reset_owed = false;
    /* Nobody refuses it but who is out of step with us. */
    return error || smtp_reply_is_positive(&reply) ? error : smtp_client_fail_reply(t->client, &reply);
}

static void pass_over_ours(const struct smtp_client_transaction *t, size_t *at)
{
    while (*at < t->count && t->recipients[*at].final.is_ours)
        ++*at;
}

static size_t owed(struct smtp_client_transaction *t)
{
    size_t count = (size_t)t->reset_owed + t->mail_owed;
    for (size_t i = t->answered; i < t->asked; i++)
        count += !t->recipients[i].final.is_ours;
    return count;
}

/* Reads until at most so many replies are to come. */
static int take_replies(struct fiber *self, struct smtp_client_transaction *t, size_t left)
{
    int error = 0;
    for (size_t count = owed(t); !error && count > left; count--) {
        pass_over_ours(t, &t->answered);
        error = t->reset_owed ? take_reset(self, t) : t->mail_owed ? take_mail(self, t) : take_rcpt(self, t);
    }
    return error;
}

int smtp_client_send_envelope(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_client *c = t->client;
    size_t window = c->extensions.pipelining ? WINDOW : 0;
    int error = 0;
    if (c->dirty) {
        buf_add_text(stream_output(c->stream), "RSET\r\n");
        t->reset_owed = true;
        error = take_replies(self, t, window);
    }
    if (error)
        return error;
    c->dirty = true; /* until the end of data is answered */
    write_mail(t);
    t->mail_owed = true;
    error = take_replies(self, t, window);
    for (pass_over_ours(t, &t->asked); !error && !t->mail_refused && t->asked < t->count;
         pass_over_ours(t, &t->asked)) {
        write_rcpt(t, &t->recipients[t->asked++]);
        error = take_replies(self, t, window);
    }
    return error;
}

int smtp_client_finish_envelope(struct fiber *self, struct smtp_client_transaction *t)
{
    return take_replies(self, t, 0);
}

/* ---- The whole ---- */

static int run_transaction(struct fiber *self, struct smtp_client_transaction *t)
{
    t->client->transactions++;
    int error = smtp_client_send_envelope(self, t);
    return error ? error : smtp_client_send_data(self, t);
}

int smtp_client_send(struct fiber *self, struct smtp_client *c, const struct smtp_client_message *message,
                     struct smtp_client_recipient *recipients, size_t count, struct smtp_client_outcome *outcome)
{
    struct smtp_client_transaction t = {
        .client = c, .message = message, .recipients = recipients, .count = count, .outcome = outcome};
    *outcome = (struct smtp_client_outcome){0};
    for (size_t i = 0; i < count; i++)
        recipients[i].final = (struct smtp_reply){0};
    if (c->over)
        return c->error;
    int error = smtp_client_check(self, &t);
    if (!error && smtp_client_is_anybody_left(&t))
        error = run_transaction(self, &t);
    /* Whom RCPT accepted the reply to the data decides on, if there is one. */
    for (size_t i = 0; i < t.answered && outcome->data.code; i++)
        if (!recipients[i].final.code)
            recipients[i].final = outcome->data;
    return error;
}

int smtp_client_probe(struct fiber *self, struct smtp_client *c, struct span reverse_path,
                      struct smtp_client_recipient *recipient)
{
    struct smtp_client_message message = {.reverse_path = reverse_path, .smtputf8 = has_8bit(recipient->address)};
    struct smtp_client_outcome outcome = {0};
    struct smtp_client_transaction t = {
        .client = c, .message = &message, .recipients = recipient, .count = 1, .outcome = &outcome, .is_probe = true};
    recipient->final = (struct smtp_reply){0};
    if (c->over)
        return c->error;
    int error = smtp_client_check(self, &t);
    if (error || !smtp_client_is_anybody_left(&t))
        return error;
    c->transactions++;
    error = smtp_client_send_envelope(self, &t);
    if (!error)
        error = smtp_client_finish_envelope(self, &t);
    /* What is said to MAIL says nothing about the recipient. */
    if (t.mail_refused)
        recipient->final = (struct smtp_reply){0};
    return error;
}
