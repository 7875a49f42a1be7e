/* One POP3 conversation as a client, straight-line on a fiber. The server is hostile: lines, listings and messages have
 * caps, every wait a deadline.
 *
 * Results of everything that waits: 0, or a negative errno; pop3_client_problem() then has a sentence.
 *   -EACCES       the server refuses name or password (`code` AUTH, or no code at all)
 *   -EBUSY        it refuses for now: another session, a delay, trouble of its own
 *   -EREMOTEIO    it refuses for another reason
 *   -EPERM        what it offers would show the password, and the person did not allow that
 *   -EOPNOTSUPP   it does not offer what is wanted
 *   -EKEYREJECTED TLS failed: the certificate, or the handshake
 *   -EPROTO       it says what can't stand there; -EMSGSIZE: more than we take
 *   -ETIMEDOUT, -ECANCELED, -ECONNRESET, -EPIPE, -ENODATA, -ENOMEM
 * But for -EREMOTEIO the conversation is then over.
 */
#ifndef FETCH_POP3_CLIENT_H
#define FETCH_POP3_CLIENT_H

#include "format/pop3_reply.h"
#include "policy/remote_account.h"
#include "run/stream.h"

#define POP3_CLIENT_LINE_MAX 4096
#define POP3_CLIENT_PROBLEM_MAX 400
#define POP3_CLIENT_LISTING_PART 10 /* times the timeout: how long a whole listing may take */

struct pop3_client {
    struct stream *stream;
    unsigned timeout; /* seconds for an answer, and for each line of a listing */
    uint64_t until;   /* monotonic: a listing has to end by then */
    struct pop3_capabilities capabilities;
    bool has_capabilities;
    char timestamp[256]; /* of the greeting, for APOP; "" for none */
    enum pop3_code code; /* of the latest refusal */
    bool over;
    char problem[POP3_CLIENT_PROBLEM_MAX];
};

/* Takes the stream, which release frees. */
void pop3_client_init(struct pop3_client *c, struct stream *stream, unsigned timeout);
void pop3_client_release(struct pop3_client *c);
const char *pop3_client_problem(const struct pop3_client *c);

/* Reads the greeting. */
MUST_USE int pop3_client_greet(struct fiber *self, struct pop3_client *c);
/* CAPA; a server that does not know it has none. */
MUST_USE int pop3_client_ask_capabilities(struct fiber *self, struct pop3_client *c);
/* STLS (RFC 2595 section 4) and the handshake. Whatever is said instead of +OK ends it: there is no way on without TLS.
 * Capabilities are forgotten. */
MUST_USE int pop3_client_start_tls(struct fiber *self, struct pop3_client *c, struct tls_context *tls, const char *host,
                                   bool verify);
/* Logs in by the account's method. */
MUST_USE int pop3_client_login(struct fiber *self, struct pop3_client *c, const struct remote_account *account,
                               struct span password);
/* Sends a line and reads the reply. `reply` is good until the next read. -EREMOTEIO for -ERR. `name` stands in
 * problems: "RETR". */
MUST_USE int pop3_client_command(struct fiber *self, struct pop3_client *c, const char *name, struct pop3_reply *reply,
                                 const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Only sends, or only reads. */
void pop3_client_send(struct pop3_client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
MUST_USE int pop3_client_reply(struct fiber *self, struct pop3_client *c, const char *name, struct pop3_reply *reply);
/* The next line of a multi-line answer, dots undone; *end at its end. */
MUST_USE int pop3_client_line(struct fiber *self, struct pop3_client *c, const char *name, struct span *line,
                              bool *end);
/* Notes the end of the conversation, with a sentence (none of whose words is c->problem). Returns `error`. */
int pop3_client_fail(struct pop3_client *c, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
