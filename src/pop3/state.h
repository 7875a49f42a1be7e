/* The state of one POP3 session, shared by the files of this folder and by nobody else. */
#ifndef POP3_STATE_H
#define POP3_STATE_H

#include "format/pop3_command.h"
#include "ipc/grant.h"
#include "pop3/fetch.h"
#include "pop3/maildrop.h"
#include "pop3/session.h"

/* Bits, so that a row of the command table can name several. RFC 1939's UPDATE state is the time that QUIT takes. */
enum pop3_state {
    POP3_AUTHORIZATION = 1,
    POP3_TRANSACTION = 2,
    POP3_CLOSING = 4, /* the last reply is gathered */
};

#define POP3_LINE_MAX 512                  /* RFC 2449 section 4 allows 255 */
#define POP3_AUTH_LINE_MAX 12288           /* RFC 4954 section 4.5.3, which RFC 5034 follows: 12288 octets of base64 */
#define POP3_CALL_SECONDS 30               /* what an answer of the store may take */
#define POP3_AUTH_SECONDS 60               /* hashes wait for one another under load */
#define POP3_OUTPUT_MAX ((size_t)64 << 10) /* gathered before it is sent */

struct pop3_session {
    struct stream *stream;
    struct pop3_context *context;
    struct settings *settings; /* a reference */
    const struct pop3_peer *peer;

    enum pop3_state state;
    uint64_t login_deadline;
    bool utf8;              /* UTF8 was given */
    bool plain_was_refused; /* logged already */
    unsigned errors, failures;
    const char *end; /* why it ended, for the log */

    struct buf user;      /* USER's argument until PASS */
    struct buf timestamp; /* APOP's, in the greeting; empty when it is off */
    struct buf account;   /* address, after login */
    uint64_t account_id;
    unsigned char grant[GRANT_SIZE];

    struct pop3_maildrop maildrop;
    struct pop3_fetch fetch;
    uint64_t retrieved, octets;
    uint32_t expunged;
};

/* ---- What handlers share (reply.c) ---- */

void pop3_ok(struct pop3_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A refusal that is no mistake of the client's program: `-ERR text`, the text with its response code. */
void pop3_error(struct pop3_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One that is: counted, and after settings->pop3.errors of them the session ends. */
void pop3_wrong(struct pop3_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A call to another process failed: says what the client is to do. Returns 0, or `error` when the session itself was
 * cancelled. */
MUST_USE int pop3_trouble(struct pop3_session *s, int error, const char *what);
/* Ends the session behind the reply that is gathered. `why` is static. */
void pop3_close(struct pop3_session *s, const char *why);
/* What began must be finished, also when the server stops; or is. */
void pop3_set_in_hand(struct pop3_session *s, bool in_hand);
/* Sends what is gathered when it is much. */
MUST_USE int pop3_flush_some(struct fiber *self, struct pop3_session *s);
uint64_t pop3_line_deadline(const struct pop3_session *s);

/* May passwords be taken on this connection? */
bool pop3_is_secure(const struct pop3_session *s);
/* May a login be tied to this connection? */
bool pop3_has_binding(const struct pop3_session *s);

/* ---- Calls to the store (open.c) ---- */

/* Calls some instance of the role; once more, on another instance, when the first died. Errors as channel_call's. */
MUST_USE int pop3_call(struct fiber *self, struct pop3_session *s, enum role role, size_t method,
                       const ProtobufCMessage *request, struct answer *answer);
/* Fills the maildrop with the grant's INBOX. 0 or a negative errno; the maildrop is then empty. */
MUST_USE int pop3_open_maildrop(struct fiber *self, struct pop3_session *s);

/* ---- Handlers: 0, or the error of the connection, which ends the session at once ---- */

typedef int pop3_handler(struct fiber *self, struct pop3_session *s, const struct pop3_command *command);

pop3_handler pop3_do_user, pop3_do_pass, pop3_do_apop, pop3_do_auth; /* login.c */
pop3_handler pop3_do_capa, pop3_do_stls, pop3_do_utf8, pop3_do_lang; /* capability.c */
pop3_handler pop3_do_stat, pop3_do_list, pop3_do_uidl;               /* listing.c */
pop3_handler pop3_do_dele, pop3_do_rset, pop3_do_noop;               /* listing.c */
pop3_handler pop3_do_retr, pop3_do_top;                              /* retrieve.c */
pop3_handler pop3_do_quit;                                           /* update.c */
pop3_handler pop3_do_xtnd;                                           /* xtnd.c */

#endif
