/* SMTP replies as a client reads them: RFC 5321 section 4.2, with enhanced status codes (RFC 2034, 3463); and what a
 * server offers in its reply to EHLO. Pure; nothing is allocated.
 */
#ifndef FORMAT_SMTP_REPLY_H
#define FORMAT_SMTP_REPLY_H

#include "base/buf.h"

/* A line without its line end. RFC 5321 section 4.5.3.1.5 has 512 with it; real servers say more. */
#define SMTP_REPLY_LINE_MAX 2000
/* More lines, or more octets in all, are no reply: RFC 5321 names no limit, so a peer could go on for ever. */
#define SMTP_REPLY_LINES_MAX 200
#define SMTP_REPLY_TOTAL_MAX 32768
/* Of the text that is kept. */
#define SMTP_REPLY_TEXT_MAX 500

/* RFC 3463: class.subject.detail; class 0 = none was given. */
struct smtp_enhanced {
    unsigned char klass;
    unsigned short subject, detail;
};

struct smtp_reply {
    unsigned code; /* 200 to 599; 0 = there is none */
    struct smtp_enhanced enhanced;
    bool is_ours; /* we said it ourselves: the peer was not asked */
    unsigned short size;
    char text[SMTP_REPLY_TEXT_MAX]; /* printable ASCII: the lines with a space between them, without codes; other octets
                                       as "?"; cut where it is too long. Not NUL-terminated */
};

static inline bool smtp_reply_is_positive(const struct smtp_reply *reply)
{
    return reply->code / 100 == 2;
}

static inline struct span smtp_reply_text(const struct smtp_reply *reply)
{
    return (struct span){reply->text, reply->size};
}

/* One of our own. `enhanced` like "5.6.3". */
void smtp_reply_set(struct smtp_reply *reply, unsigned code, const char *enhanced, const char *text);
/* "550 5.1.1 No such user"; the enhanced code only when there is one. Nothing for code 0. */
void smtp_reply_write(const struct smtp_reply *reply, struct buf *out);
/* "5.1.1". False when the span is anything else. RFC 3463 section 2: class 2, 4 or 5, numbers up to 999. */
MUST_USE bool smtp_enhanced_parse(struct span text, struct smtp_enhanced *enhanced);

/* ---- Reading: line by line ---- */

struct smtp_reply_reader {
    struct smtp_reply *reply;
    unsigned lines;
    size_t total;
};

enum smtp_reply_status {
    SMTP_REPLY_MORE, /* "250-": a line follows */
    SMTP_REPLY_END,  /* the reply is whole */
    SMTP_REPLY_BAD,  /* it is none: who speaks so can't be understood any more */
};

/* Empties the reply, which is the caller's. */
void smtp_reply_start(struct smtp_reply_reader *reader, struct smtp_reply *reply);
/* The next line, without its line end. *text (a part of the line): what stands behind the code and its separator, for
 * the lines of EHLO. BAD: no three digits from 200 to 599 (354 is within), behind them neither space, hyphen nor the
 * end; another code than the line before; a limit above. A code alone is a reply. Enhanced codes are taken from the
 * first line, when its class fits the code (RFC 2034 section 4), and left out of the text of all lines. */
MUST_USE enum smtp_reply_status smtp_reply_add_line(struct smtp_reply_reader *reader, struct span line,
                                                    struct span *text);

/* ---- What EHLO offers ---- */

enum smtp_mechanism { SMTP_AUTH_PLAIN = 1, SMTP_AUTH_LOGIN = 2, SMTP_AUTH_SCRAM_SHA_256 = 4 };

struct smtp_extensions {
    bool pipelining, size, eight_bit_mime, smtputf8, dsn, chunking, starttls, enhanced_status_codes;
    uint64_t size_max;   /* 0 = none said */
    unsigned mechanisms; /* bits of enum smtp_mechanism */
    /* RFC 9422; 0 = none said. */
    uint64_t mail_max, rcpt_max;
};

/* The text of one line behind the first: a keyword and its parameters. What is unknown or malformed is passed over:
 * it is as if it had not been offered. */
void smtp_extensions_add_line(struct smtp_extensions *extensions, struct span text);

#endif
