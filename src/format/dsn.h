/* Delivery status notifications: what a sender is told about a message. A multipart/report (RFC 6522) of a text that a
 * person understands, a message/delivery-status (RFC 3464), and the message or its header; with international
 * addresses the forms of RFC 6533. Pure.
 *
 * What others said and wrote is hostile: nothing of it ends a line, starts a field or a part of the report. The result
 * has CRLF line ends, and no octet above 127 but where `smtputf8` or the returned message has them.
 *
 * Nobody is ever told about a message from <>: that is the caller's to see to.
 */
#ifndef FORMAT_DSN_H
#define FORMAT_DSN_H

#include "base/buf.h"

/* A returned message is at most so large; of a larger one the header is returned, cut to the same size. */
#define DSN_RETURN_MAX (64u << 10)

enum dsn_action { DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED };

struct dsn_recipient {
    enum dsn_action action;
    struct span original;   /* local@domain as the sender named it */
    struct span final;      /* local@domain that it was sent to; may be the same */
    struct span orcpt;      /* "rfc822;xtext" as RCPT said it; empty for none */
    struct span status;     /* "5.1.1" */
    struct span remote;     /* name of the server that said it; empty: none did, we say so */
    struct span diagnostic; /* its reply, "550 5.1.1 No such user"; or our own words where remote is empty */
    const char *why;        /* sentences in plain words; "" for none */
    uint64_t last_attempt;  /* nanoseconds since 1970; 0: none */
    uint64_t retry_until;   /* the same, of a delayed one */
};

struct dsn {
    struct span host;         /* our hostname */
    struct span to;           /* the reverse path, local@domain */
    struct span reference;    /* our name of the message: the queue id */
    struct span envid;        /* xtext as MAIL said it; empty for none */
    struct span unique;       /* letters and digits that occur nowhere else: for the Message-ID and the boundary */
    uint64_t arrived_at, now; /* nanoseconds since 1970 */
    struct span message;      /* at least its header */
    bool is_whole;            /* `message` is all of it, and it is to be returned whole */
    bool is_followed;         /* the whole message, of any size, is the caller's to append, and then dsn_end_write */
    bool eight_bit;           /* what is appended may have octets above 127 */
    bool is_for_recipient; /* told to the one who sends the message on (RFC 3461 section 5.2.7.4), not to its author */
    bool smtputf8;
    const struct dsn_recipient *recipients;
    size_t count; /* at least 1; those of one action stand together in the text */
};

/* Appends the whole message, its header included, without trace fields; with is_followed up to where the message about
 * which it is has to stand. Fails (see buf_failed) when *out is full. */
void dsn_write(const struct dsn *dsn, struct buf *out);
/* What stands behind the message, with is_followed. */
void dsn_end_write(const struct dsn *dsn, struct buf *out);

/* The text part's words, without any encoding (UTF-8, CRLF): for dsn_write and for tests. */
void dsn_text_write(const struct dsn *dsn, struct buf *out);

/* `s` with controls, and unless `utf8` octets above 127, as '?': what may stand in a field. */
void dsn_printable_write(struct span s, bool utf8, struct buf *out);

#endif
