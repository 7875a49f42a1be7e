/* What a POP3 server says: RFC 1939, 2449 (capabilities, response codes), 3206 (AUTH, SYS), 5034 (AUTH). Pure: lines
 * without their CRLF in, spans of them out. Whatever a server says that is none of this is refused. */
#ifndef FORMAT_POP3_REPLY_H
#define FORMAT_POP3_REPLY_H

#include "base/buf.h"

enum pop3_status {
    POP3_BAD,       /* no reply at all */
    POP3_OK,        /* +OK */
    POP3_ERROR,     /* -ERR */
    POP3_CHALLENGE, /* "+ base64": AUTH goes on */
};

/* The response codes that matter. */
enum pop3_code {
    POP3_CODE_NONE,
    POP3_CODE_AUTH,      /* the credentials are wrong: nothing else is said by it */
    POP3_CODE_TEMPORARY, /* SYS/TEMP, IN-USE, LOGIN-DELAY: later */
    POP3_CODE_PERMANENT, /* SYS/PERM: an administrator's business */
    POP3_CODE_OTHER,
};

struct pop3_reply {
    enum pop3_status status;
    enum pop3_code code; /* with ERROR */
    struct span text;    /* behind the status and the code; of a challenge its base64 */
};

void pop3_reply_parse(struct span line, struct pop3_reply *reply);

#define POP3_UIDL_MAX 70

/* "3 1200" of STAT and LIST; what stands behind it is not looked at. A number is at most 2^31-1. */
MUST_USE bool pop3_listing_parse(struct span line, uint32_t *number, uint64_t *size);
/* "3 whqtswO00WBw418f9t5JxYwZ": *uidl is empty where it is not 1 to 70 of the characters that RFC 1939 allows. */
MUST_USE bool pop3_uidl_parse(struct span line, uint32_t *number, struct span *uidl);

struct pop3_capabilities {
    bool stls, uidl, user, utf8, pipelining;
    bool plain, login, scram; /* SASL: PLAIN, LOGIN, SCRAM-SHA-256 */
};
/* One line of the answer to CAPA: adds what it says. */
void pop3_capability_parse(struct span line, struct pop3_capabilities *capabilities);

/* The timestamp of a greeting, "<...@...>" with its brackets: APOP is offered. Empty: it is not. Only what has an '@'
 * and no blanks counts, so that a server can't choose the bytes freely. */
struct span pop3_timestamp(struct span greeting);

#endif
