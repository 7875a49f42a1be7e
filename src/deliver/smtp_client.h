/* One SMTP conversation as a client, straight-line on a fiber: RFC 5321, with PIPELINING (2920), SIZE (1870), 8BITMIME
 * (6152), SMTPUTF8 (6531), DSN (3461), CHUNKING (3030), STARTTLS (3207), AUTH (4954), enhanced codes (2034), LIMITS
 * (9422).
 *
 * The order of calls: init with a connected stream; open; start_tls or not; authenticate or not; any number of
 * transactions with send; close; release. On a connection with TLS from the start (RFC 8314) the caller does
 * stream_start_tls() before init.
 *
 * What the peer said is in struct smtp_reply, printable ASCII only, of bounded length; what it means is the caller's
 * business.
 *
 * Results of everything that waits. 0: the conversation stands. Negative: the conversation is over (`over` is true,
 * only close and release are left, and each further call returns the same), but where it says otherwise:
 *   -EREMOTEIO   the peer ended it: `reply` says how (421 at any place; a greeting or HELO that is refused; a
 *                message that is refused on its way by a peer that does not listen to its end: its recipients are then
 *                settled)
 *   -EPROTO      the peer said what is no reply, or one that can't stand there (354 to RCPT)
 *   -ETIMEDOUT   one of `timeouts` or `deadline` passed
 *   -ECANCELED   the fiber was
 *   -ECONNRESET, -EPIPE, -ENODATA  the connection is gone
 *   -ENOMEM, and what message->read returned: on our side
 * smtp_client_problem() has a sentence for the log. All of them are temporary failures of what was under way.
 *
 * What is known when it ends early. A recipient whose `final` has a code is settled by it. All others are unknown, and
 * to be tried again. That a connection dies behind the last octet of a message and before the reply to it does not tell
 * whether the peer took it (RFC 5321 section 4.5.5; RFC 1047): the next attempt may then make a second copy, and no
 * client can prevent it; so the wait for this reply is the longest one, and `body_sent` says that it was
 * so, for the log.
 */
#ifndef DELIVER_SMTP_CLIENT_H
#define DELIVER_SMTP_CLIENT_H

#include "format/smtp_command.h"
#include "format/smtp_reply.h"
#include "run/stream.h"

#define SMTP_CLIENT_NAME_MAX 255

/* Seconds to wait for the peer (RFC 5321 section 4.5.3.2). */
struct smtp_client_timeouts {
    unsigned greeting;    /* the first 220 */
    unsigned command;     /* MAIL, RCPT, and those that are not in the RFC's list: EHLO, STARTTLS, AUTH, RSET */
    unsigned data;        /* 354 */
    unsigned block;       /* until it takes a piece of the message */
    unsigned end_of_data; /* the reply to the whole message, or to a chunk of it */
};
/* The least that the RFC has a client wait: what init sets. */
extern const struct smtp_client_timeouts smtp_client_timeouts_least;

struct smtp_client {
    /* ---- For the caller to read; `deadline` and `timeouts` to write as well ---- */
    struct stream *stream; /* owned */
    uint64_t deadline;     /* no wait goes beyond it (monotonic); CLOCK_NEVER at first. For the whole of an attempt */
    struct smtp_client_timeouts timeouts;
    struct smtp_extensions extensions;
    char peer_name[SMTP_CLIENT_NAME_MAX + 1]; /* how the peer names itself in its reply to EHLO or HELO; "" when what it
                                                 says is no word of printable ASCII. Ours: we talk to ourselves */
    bool is_extended;                         /* it knows EHLO */
    bool is_authenticated;
    bool over;
    uint64_t transactions;   /* begun on this connection */
    struct smtp_reply reply; /* the latest that was a refusal, or ended the conversation; code 0 at first */

    /* ---- Inside ---- */
    const char *our_name;
    const char *step; /* "MAIL": what is waited for */
    int error;
    bool dirty;    /* a transaction may stand half done in the peer: RSET goes first */
    unsigned owed; /* replies to come */
    char problem[200];
};

/* Takes the stream, which release frees. `our_name` (borrowed, for as long as the client) is for EHLO: a domain name or
 * a literal. */
void smtp_client_init(struct smtp_client *c, struct stream *stream, const char *our_name);
/* Closes the connection, saying nothing. After init it is always due; twice does no harm. */
void smtp_client_release(struct smtp_client *c);

/* The greeting and EHLO, or HELO when EHLO is refused with 5yz. -EREMOTEIO also when the greeting is not 220, and when
 * HELO is refused. */
MUST_USE int smtp_client_open(struct fiber *self, struct smtp_client *c);

/* STARTTLS, the handshake (see stream_start_tls for host and verify) and EHLO anew; what was offered before counts for
 * nothing any more, and what the peer sent before the handshake is thrown away.
 *   -EOPNOTSUPP    it is not offered, or refused with a reply (in `reply`; code 0 when not offered): the conversation
 *                  stands as it was, without TLS
 *   -EKEYREJECTED  the handshake failed: the connection is over; who may do without TLS connects anew and does not call
 *                  this. stream_tls_problem() tells whether it was for the certificate */
MUST_USE int smtp_client_start_tls(struct fiber *self, struct smtp_client *c, struct tls_context *tls, const char *host,
                                   bool verify);

/* AUTH, for a smart host: PLAIN (RFC 4616) or LOGIN, the first of them that is offered.
 *   -EPERM       there is no TLS: a password is never sent in the clear. The conversation stands
 *   -EOPNOTSUPP  none of these is offered. The conversation stands
 *   -EACCES      refused: see `reply`. The conversation stands */
MUST_USE int smtp_client_authenticate(struct fiber *self, struct smtp_client *c, struct span user,
                                      struct span password);

/* ---- A transaction ---- */

struct smtp_client_message {
    struct span reverse_path; /* without its brackets; empty for <> */
    uint64_t size;            /* octets, for SIZE and for where the end is */
    bool may_have_8bit;       /* false: it is known that there is no octet above 127 in it */
    bool smtputf8;            /* envelope or header need RFC 6531 */
    enum smtp_ret ret;
    struct span envid; /* xtext as it was given; empty for none */
    /* Gives octets of the message from `offset` on, at least one, as many as are at hand; they stay good until the next
     * call. 0 or a negative errno, which ends the conversation. May wait. Called with rising offsets; from 0 again for
     * another walk. */
    int (*read)(struct fiber *self, void *argument, uint64_t offset, struct span *piece);
    void *argument;
};

struct smtp_client_recipient {
    struct span address;  /* forward path without its brackets */
    unsigned notify;      /* bits of enum smtp_notify; 0 = not given */
    struct span orcpt;    /* "rfc822;xtext" as it was given; empty for none */
    struct span passcode; /* 1 to 20 digits, said behind the path: RCPT TO:<a@b> 1234; empty for none */

    struct smtp_reply final; /* out: what settles this recipient: the reply to MAIL or RCPT when that refused it, else
                                the one to the data. Code 0: unknown. Positive: the peer has taken over */
};

struct smtp_client_outcome {
    struct smtp_reply data; /* to the end of data; code 0 when it did not come to that */
    bool body_sent;         /* all of it and its end were given to the connection */
};

/* One message to `count` recipients (1 or more; at most smtp_client_recipients_max()). With PIPELINING all commands go
 * in one write; with CHUNKING as well a message of up to 32 KiB goes in the same one.
 * 0: every recipient has a final reply. The conversation stands, unless `over`.
 * Sent as it is stored, but that a CR or LF alone becomes CRLF (RFC 5321 section 2.3.8; on the way out, too, nothing of
 * the sort may look like the end of the data), and that the last line has its end.
 * Without asking the peer these are refused, with is_ours in the reply:
 *   - 554 5.6.3: there are octets above 127 in it (which is looked for where may_have_8bit) and the peer has no
 *     8BITMIME. Nothing is converted to quoted-printable: that would break every signature on the way, and such peers
 *     are hardly to be found any more
 *   - 550 5.6.7: smtputf8, and the peer has it not; or an address with octets above 127 without smtputf8
 *   - 552 5.3.4: larger than the peer's SIZE
 *   - 553 5.1.3: an address with a control character, "<" or ">" that is not quoted: no command could hold it
 * DSN's parameters are left out where the peer does not know them, or where they are none: then it is for the caller to
 * say "relayed" (RFC 3461 section 5.2.1), which `extensions.dsn` tells. */
MUST_USE int smtp_client_send(struct fiber *self, struct smtp_client *c, const struct smtp_client_message *message,
                              struct smtp_client_recipient *recipients, size_t count,
                              struct smtp_client_outcome *outcome);

/* Is this recipient taken, as far as RCPT tells? MAIL and RCPT; RSET goes before what comes next. The recipient's
 * `final` is then the reply to RCPT; its code is 0 where MAIL was refused, which says nothing about the recipient
 * (then `reply` has the refusal). */
MUST_USE int smtp_client_probe(struct fiber *self, struct smtp_client *c, struct span reverse_path,
                               struct smtp_client_recipient *recipient);

/* How many recipients one transaction may have: 100 (RFC 5321 section 4.5.3.1.8), or what the peer says (RFC 9422). */
size_t smtp_client_recipients_max(const struct smtp_client *c);
/* One more transaction on this connection is fine with the peer (RFC 9422 MAILMAX), and the conversation stands. */
bool smtp_client_has_room(const struct smtp_client *c);
/* Nobody said anything since the last reply, as it must be on an idle connection: a 421 or an end of input may stand
 * there, and then this connection is of no use. Does not wait. */
bool smtp_client_is_quiet(struct smtp_client *c);

/* QUIT and the end of the connection, politely, within ten seconds; nothing is said when the conversation is over. Then
 * release. */
void smtp_client_close(struct fiber *self, struct smtp_client *c);

/* A sentence about what ended the conversation, "" when it stands: "the wait for the reply to DATA took too long". */
const char *smtp_client_problem(const struct smtp_client *c);

#endif
