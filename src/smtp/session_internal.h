/* The session as its command files see it. */
#ifndef SMTP_SESSION_INTERNAL_H
#define SMTP_SESSION_INTERNAL_H

#include "base/arena.h"
#include "facts/judge.h"
#include "format/smtp_command.h"
#include "intake/reception.h"
#include "smtp/session.h"

/* For whom a transaction sends (sender.h). */
struct smtp_sender {
    uint64_t account_id;      /* a member's, or a POP-before-SMTP window's; 0: a stranger */
    struct span address;      /* the account's main one; in the connection's or the transaction's arena */
    uint32_t recipients_left; /* at other sites, today; UINT32_MAX without a limit */
    bool window_unknown;      /* nobody could say whether a window covers it */
};

struct smtp_transaction {
    struct arena arena;
    bool open; /* MAIL was accepted */
    struct smtp_mail mail;
    struct smtp_sender sender;
    struct envelope envelope;
    struct reception reception;
    struct judged_address *judged, **last_judged; /* the addresses that were taken, in their order */
    bool too_many_logged;
    bool in_chunks;    /* BDAT has begun */
    bool chunk_failed; /* a chunk was refused: the others are, too, until RSET or a new MAIL */
};

struct smtp_session {
    const struct smtp_context *context;
    const struct smtp_peer *peer;
    struct settings *settings;
    struct tls_context *tls;
    struct intake intake;
    struct stream *stream;
    struct arena arena; /* of the connection */
    uint64_t ends_at;   /* deadline of the whole session */
    char ip[IP_ADDRESS_TEXT_MAX];
    bool trusted;           /* passwords without TLS are let through */
    bool is_client_network; /* may send to other sites without logging in; no list applies to it */
    bool closing;           /* the reply to be sent is the last */
    bool said_quit;         /* nothing more comes from the client */

    struct attempt attempt; /* what is known of the client and of the transaction */
    struct span helo;       /* empty: none yet */
    bool is_esmtp;
    unsigned errors, login_failures, transactions;

    uint64_t account_id; /* a member's, 0 until AUTH */
    struct span account_address;
    unsigned char grant[64];
    size_t grant_size;

    struct smtp_transaction transaction;
};

/* A command's handler replies, and returns 0, or a negative errno when the connection is to end without more words. */
typedef int smtp_handler(struct fiber *self, struct smtp_session *s, const struct smtp_command *command);

smtp_handler smtp_handle_helo, smtp_handle_ehlo;                                     /* command_hello.c */
smtp_handler smtp_handle_mail;                                                       /* command_mail.c */
smtp_handler smtp_handle_rcpt;                                                       /* command_rcpt.c */
smtp_handler smtp_handle_data, smtp_handle_bdat;                                     /* command_data.c */
smtp_handler smtp_handle_auth;                                                       /* command_auth.c */
smtp_handler smtp_handle_starttls, smtp_handle_vrfy, smtp_handle_expn;               /* command_other.c */
smtp_handler smtp_handle_rset, smtp_handle_noop, smtp_handle_help, smtp_handle_quit; /* command_other.c */

/* ---- Replies (reply.c). They are gathered and leave when the session waits for input. ---- */

/* "250 2.1.0 text". Always returns 0, so that a handler can end with it. */
int smtp_reply(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A refusal: the same, and counts it as an error; past the limit the session ends with 421. */
int smtp_refuse(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int smtp_refuse_va(struct smtp_session *s, unsigned code, const char *enhanced, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
int smtp_refuse_problem(struct smtp_session *s, const struct smtp_problem *problem);
/* 451 4.3.0: something of ours is out of order; logged with the reason. Not counted against the client. */
int smtp_refuse_internal(struct smtp_session *s, const char *what, int error);

/* What somebody else said, for a reply: printable ASCII, which all replies are (RFC 6531 section 3.7.4.3 allows more
 * only to those who asked for it), cut to room - 1 bytes and ended with a NUL. */
void smtp_printable(struct span text, char *out, size_t room);

/* ---- Bringing the message in (deliver.c) ---- */

/* Who brings the message of this transaction. Borrows from the session. */
struct intake_source smtp_source(const struct smtp_session *s);
/* Of the transaction's first recipient, whose ledger has what is refused altogether; 0: nobody of ours. */
uint64_t smtp_first_account(const struct smtp_session *s);
/* Hands the message to the store, waits until it is durable, replies and ends the transaction. 0 or a negative errno
 * that ends the session. */
MUST_USE int smtp_deliver(struct fiber *self, struct smtp_session *s);

/* ---- State (session.c) ---- */

static inline bool smtp_is_member_service(const struct smtp_session *s)
{
    return s->peer->service != SERVICE_SMTP;
}
/* The account that the transaction counts as: a member's or a window's. 0: a stranger's. */
static inline uint64_t smtp_account_id(const struct smtp_session *s)
{
    return s->account_id ? s->account_id : s->transaction.sender.account_id;
}
static inline struct span smtp_account_address(const struct smtp_session *s)
{
    return s->account_id ? s->account_address : s->transaction.sender.address;
}
/* What EHLO offers now and the parsers let through. */
struct smtp_abilities smtp_abilities(const struct smtp_session *s);
/* Throws the transaction away: RSET, HELO, the end of a message. */
void smtp_transaction_reset(struct smtp_session *s);
/* The earlier of now + seconds and the end of the session. */
uint64_t smtp_deadline(const struct smtp_session *s, uint64_t seconds);
/* After STARTTLS: nothing the client said before counts (RFC 3207 section 4.2). */
void smtp_forget_client(struct smtp_session *s);

#endif
