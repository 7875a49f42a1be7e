/* What a reply, or the lack of one, means for a queue entry. Pure. RFC 5321 sections 4.2, 4.3.2, 4.5.3.1.10; RFC 3463.
 */
#ifndef QUEUE_VERDICT_H
#define QUEUE_VERDICT_H

#include "base/span.h"

enum verdict_kind {
    VERDICT_DELIVERED, /* the other server has it, and it is theirs now */
    VERDICT_DEFERRED,  /* to be tried again later */
    VERDICT_FAILED,    /* never */
    VERDICT_NEXT_HOST, /* not here and now: another host of the destination may take it; deferred where there is none */
    VERDICT_AGAIN,     /* too many recipients: at once, in another transaction */
};

#define VERDICT_STATUS_MAX 12 /* "5.999.999" and its NUL */

struct verdict {
    enum verdict_kind kind;
    char status[VERDICT_STATUS_MAX]; /* RFC 3463: the server's own where it gave one that fits its code */
};

enum verdict_stage {
    VERDICT_AT_GREETING,
    VERDICT_AT_HELLO, /* EHLO, HELO, STARTTLS, AUTH */
    VERDICT_AT_MAIL,
    VERDICT_AT_RCPT,
    VERDICT_AT_DATA, /* DATA's own reply: not 354 */
    VERDICT_AT_END,  /* behind the data */
};

/* `code` 0: the connection was lost while its reply was awaited. `enhanced` ("5.1.1") may be empty or anything.
 * `others`: this transaction has recipients that were taken. A 5yz up to MAIL is meant for every recipient. */
struct verdict verdict_of_reply(enum verdict_stage stage, unsigned code, struct span enhanced, bool others);

/* What goes wrong before, or without, anybody's reply. */
enum verdict_trouble {
    TROUBLE_NO_DOMAIN,   /* the name is not in the DNS */
    TROUBLE_NO_ADDRESS,  /* it is, but no mail server and no address */
    TROUBLE_NULL_MX,     /* RFC 7505 */
    TROUBLE_BAD_ADDRESS, /* no domain that could be looked up */
    TROUBLE_DNS,         /* no answer now */
    TROUBLE_LOOP,        /* its mail server is this one, and it is not ours */
    TROUBLE_UNREACHABLE, /* no connection to any of its hosts */
    TROUBLE_TLS,         /* the encryption that the smart host's settings ask for does not come about */
    TROUBLE_LOST,        /* the connection broke */
    TROUBLE_EXPIRED,     /* tried for long enough */
    TROUBLE_GIVEN_UP,    /* an administrator's word */
    TROUBLE_LIST_GONE,   /* the mailing list was removed */
    TROUBLE_LIST_LOOP,   /* the post has been through this list already */
    TROUBLE_OURS,        /* a failure inside this server: never the message's fault */
    TROUBLE_COUNT
};
struct verdict verdict_of_trouble(enum verdict_trouble trouble);
/* A sentence in plain words for whom it may concern, without a full stop. */
const char *verdict_trouble_text(enum verdict_trouble trouble);

/* In plain words what a status means for the sender: why it failed, and what can be done. Two sentences. For statuses
 * that say nothing it is a sentence that says so. */
const char *verdict_status_text(struct span status);

#endif
