/* Who we are: SCRAM-SHA-256 (RFC 7677), APOP (RFC 1939), AUTH PLAIN (RFC 4616) and LOGIN, USER and PASS. */
#include "fetch/pop3_client.h"
#include "fetch/scram_client.h"
#include "format/base64.h"
#include "run/fiber.h"

#include <errno.h>
#include <stdio.h>

#define SECRET_LINE_MAX 2048
#define NONCE_BYTES 18

struct login {
    struct span name, password;
};

/* Refused: is it the password? A server that gives no code may mean anything, which who counts failures knows. */
static int refusal(struct pop3_client *c)
{
    bool passes = c->code == POP3_CODE_TEMPORARY || c->code == POP3_CODE_PERMANENT;
    c->over = true;
    return passes ? -EBUSY : -EACCES;
}

/* Without leaving a copy behind: its memory is taken at once. */
static void secret_init(struct buf *b)
{
    buf_init(b, SECRET_LINE_MAX);
    (void)buf_reserve(b, SECRET_LINE_MAX);
}

static void secret_release(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->room);
    buf_release(b);
}

/* Sends base64 of `bytes` behind `before` as a line, and reads the reply. */
static int say(struct fiber *self, struct pop3_client *c, const char *before, struct span bytes,
               struct pop3_reply *reply)
{
    struct buf *out = stream_output(c->stream);
    buf_add_text(out, before);
    base64_write(bytes, out);
    buf_add_text(out, "\r\n");
    int error = pop3_client_reply(self, c, "the login", reply);
    return error == -EREMOTEIO ? refusal(c) : error;
}

static int want_challenge(struct pop3_client *c, const struct pop3_reply *reply)
{
    return reply->status == POP3_CHALLENGE ? 0
                                           : pop3_client_fail(c, -EPROTO, "the login went otherwise than it has to go");
}

static int want_ok(struct pop3_client *c, const struct pop3_reply *reply)
{
    return reply->status == POP3_OK ? 0 : pop3_client_fail(c, -EPROTO, "the login has an end too many");
}

/* ---- The methods ---- */

static int by_plain(struct fiber *self, struct pop3_client *c, const struct login *login)
{
    struct pop3_reply reply;
    struct buf message;
    secret_init(&message);
    buf_add_char(&message, 0);
    buf_add_span(&message, login->name);
    buf_add_char(&message, 0);
    buf_add_span(&message, login->password);
    pop3_client_send(c, "AUTH PLAIN");
    int error = pop3_client_reply(self, c, "AUTH PLAIN", &reply);
    if (error == -EREMOTEIO)
        error = refusal(c);
    if (!error)
        error = want_challenge(c, &reply);
    if (!error)
        error = say(self, c, "", buf_span(&message), &reply);
    secret_release(&message);
    return error ? error : want_ok(c, &reply);
}

static int by_sasl_login(struct fiber *self, struct pop3_client *c, const struct login *login)
{
    struct pop3_reply reply;
    pop3_client_send(c, "AUTH LOGIN");
    int error = pop3_client_reply(self, c, "AUTH LOGIN", &reply);
    if (error == -EREMOTEIO)
        error = refusal(c);
    if (!error)
        error = want_challenge(c, &reply);
    if (!error)
        error = say(self, c, "", login->name, &reply);
    if (!error)
        error = want_challenge(c, &reply);
    if (!error)
        error = say(self, c, "", login->password, &reply);
    return error ? error : want_ok(c, &reply);
}

static int by_user(struct fiber *self, struct pop3_client *c, const struct login *login)
{
    struct pop3_reply reply;
    struct buf *out = stream_output(c->stream);
    int error = pop3_client_command(self, c, "USER", &reply, "USER %.*s", SPAN_ARG(login->name));
    if (error)
        return error == -EREMOTEIO ? refusal(c) : error;
    buf_add_text(out, "PASS ");
    buf_add_span(out, login->password);
    buf_add_text(out, "\r\n");
    error = pop3_client_reply(self, c, "PASS", &reply);
    return error == -EREMOTEIO ? refusal(c) : error ? error : want_ok(c, &reply);
}

static int by_apop(struct fiber *self, struct pop3_client *c, const struct login *login)
{
    char digest[MD5_HEX_SIZE];
    struct pop3_reply reply;
    digest_md5_hex(span_text(c->timestamp), login->password, digest);
    int error =
        pop3_client_command(self, c, "APOP", &reply, "APOP %.*s %.*s", SPAN_ARG(login->name), MD5_HEX_SIZE, digest);
    return error == -EREMOTEIO ? refusal(c) : error;
}

static int answer_scram(struct fiber *self, struct pop3_client *c, struct scram_client *scram, struct span nonce,
                        struct span password, struct pop3_reply *reply)
{
    struct buf message, text;
    buf_init(&message, SECRET_LINE_MAX);
    buf_init(&text, SECRET_LINE_MAX);
    int error = want_challenge(c, reply);
    if (!error && (!base64_parse(reply->text, &text) || !scram_client_take(scram, nonce, password, buf_span(&text))))
        error = pop3_client_fail(c, -EPROTO, "the server's SCRAM message makes no sense");
    /* How many iterations is the server's word: all other mail goes on meanwhile. */
    while (!error && !scram_client_work(scram))
        error = fiber_yield(self);
    if (!error)
        scram_client_prove(scram, &message);
    if (!error)
        error = say(self, c, "", buf_span(&message), reply);
    buf_reset(&text);
    if (!error)
        error = want_challenge(c, reply);
    /* A server that does not know the password can't be the right one. */
    if (!error && (!base64_parse(reply->text, &text) || !scram_client_verify(scram, buf_span(&text))))
        error = pop3_client_fail(c, -EPROTO, "the server does not prove that it knows the password");
    if (!error)
        error = say(self, c, "", (struct span){0}, reply);
    buf_release(&message);
    buf_release(&text);
    return error ? error : want_ok(c, reply);
}

static int by_scram(struct fiber *self, struct pop3_client *c, const struct login *login)
{
    unsigned char random[NONCE_BYTES];
    struct pop3_reply reply;
    struct scram_client scram;
    struct buf nonce, first;
    buf_init(&nonce, 64);
    buf_init(&first, SECRET_LINE_MAX);
    scram_client_init(&scram);
    digest_random(random, sizeof random);
    base64_write(span_from(random, sizeof random), &nonce);
    scram_client_open(&scram, login->name, buf_span(&nonce), &first);
    pop3_client_send(c, "AUTH SCRAM-SHA-256");
    int error = pop3_client_reply(self, c, "AUTH SCRAM-SHA-256", &reply);
    if (error == -EREMOTEIO)
        error = refusal(c);
    if (!error)
        error = want_challenge(c, &reply);
    if (!error)
        error = say(self, c, "", buf_span(&first), &reply);
    if (!error)
        error = answer_scram(self, c, &scram, buf_span(&nonce), login->password, &reply);
    scram_client_release(&scram);
    buf_release(&nonce);
    buf_release(&first);
    return error;
}

/* ---- The choice ---- */

typedef int login_method(struct fiber *self, struct pop3_client *c, const struct login *login);

static login_method *choose(const struct pop3_client *c, const struct remote_account *account, bool hidden)
{
    const struct pop3_capabilities *can = &c->capabilities;
    /* USER and PASS are everybody's; one that has CAPA and does not list USER means it (RFC 2449 section 6.3). */
    login_method *user = can->user || !c->has_capabilities ? by_user : NULL;
    login_method *shows = can->plain ? by_plain : user ? user : can->login ? by_sasl_login : NULL;
    switch (account->method) {
    case REMOTE_METHOD_SCRAM:
        return can->scram ? by_scram : NULL;
    case REMOTE_METHOD_APOP:
        return c->timestamp[0] ? by_apop : NULL;
    case REMOTE_METHOD_PLAIN:
        return can->plain ? by_plain : NULL;
    case REMOTE_METHOD_LOGIN:
        return can->login ? by_sasl_login : user;
    case REMOTE_METHOD_AUTO:
        break;
    }
    if (can->scram)
        return by_scram;
    if (hidden && shows)
        return shows;
    return c->timestamp[0] ? by_apop : shows;
}

static bool has(struct span text, struct span words)
{
    for (size_t i = 0; words.size && i + words.size <= text.size; i++)
        if (span_equal(span_head(span_skip(text, i), words.size), words))
            return true;
    return false;
}

static bool shows_password(login_method *method)
{
    return method == by_plain || method == by_user || method == by_sasl_login;
}

static bool is_line(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\r' || text.data[i] == '\n' || text.data[i] == 0)
            return false;
    return true;
}

/* A server may say the password back in its refusal, and what it said is shown and logged. */
static void hide(struct pop3_client *c, struct span password)
{
    struct span said = span_text(c->problem);
    struct buf code;
    secret_init(&code);
    base64_write(password, &code);
    bool is_shown = has(said, password) || has(said, buf_span(&code));
    secret_release(&code);
    if (is_shown)
        snprintf(c->problem, sizeof c->problem, "the server refuses the login, and says the password back");
}

int pop3_client_login(struct fiber *self, struct pop3_client *c, const struct remote_account *account,
                      struct span password)
{
    const struct login login = {account->login, password};
    bool hidden = stream_is_tls(c->stream);
    login_method *method = choose(c, account, hidden);
    if (!is_line(login.name) || !is_line(password))
        return pop3_client_fail(c, -EACCES, "the login or the password has a character that no line can hold");
    if (!method)
        return pop3_client_fail(c, -EOPNOTSUPP, "the server does not offer the method that the account wants");
    if (shows_password(method) && !hidden && !account->clear_password)
        return pop3_client_fail(c, -EPERM,
                                "without TLS the server offers only methods that show the password; set tls=pop3s or "
                                "tls=stls, or clear-password=yes");
    int error = method(self, c, &login);
    if (error)
        hide(c, password);
    return error;
}
