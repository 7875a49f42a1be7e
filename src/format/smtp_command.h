/* SMTP commands: RFC 5321 section 4.1, and the parameters of SIZE (1870), 8BITMIME (6152), SMTPUTF8 (6531), DSN (3461),
 * AUTH (4954), CHUNKING (3030).
 *
 * All functions are pure. Spans of the results point into the line or into the arena. A parser returns NULL when all is
 * well, else the problem to reply: buf_printf(out, "%u %s %s\r\n", p->code, p->enhanced, p->text) It is static or lives
 * in the arena. Bytes of the peer stand in a text only where they are printable ASCII.
 */
#ifndef FORMAT_SMTP_COMMAND_H
#define FORMAT_SMTP_COMMAND_H

#include "format/address.h"

#define SMTP_ENVID_MAX 100 /* octets of xtext: RFC 3461 section 4.4 */
#define SMTP_ORCPT_MAX 500 /* section 4.2 */

enum smtp_verb {
    SMTP_HELO,
    SMTP_EHLO,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_RSET,
    SMTP_NOOP,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_QUIT,
    SMTP_STARTTLS,
    SMTP_AUTH,
    SMTP_UNKNOWN
};

struct smtp_problem {
    unsigned code;        /* 501 */
    const char *enhanced; /* "5.5.4" */
    const char *text;
};

struct smtp_command {
    enum smtp_verb verb;
    struct span word;     /* the verb as given */
    struct span argument; /* the rest, without spaces and tabs at both ends */
};

/* `line` is without its CRLF. Any case; spaces and tabs before the verb are refused, behind it any number does. A
 * control character other than a tab makes the line malformed: 500 5.5.2, the verb is then SMTP_UNKNOWN. A word that is
 * no verb is SMTP_UNKNOWN without a problem: the session answers 500 5.5.1. */
MUST_USE const struct smtp_problem *smtp_command_parse(struct span line, struct smtp_command *command);
/* "MAIL"; "UNKNOWN" for SMTP_UNKNOWN. */
const char *smtp_verb_name(enum smtp_verb verb);

/* The extensions that were offered in this session; parameters of others are refused with 555 5.5.4. */
struct smtp_abilities {
    bool size;
    uint64_t size_max; /* a declared SIZE above it is refused with 552 5.3.4; 0 = no limit */
    bool eight_bit_mime;
    bool smtputf8;
    bool dsn;
    bool auth;
    bool prdr;
};

enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };

struct smtp_mail {
    struct mail_path path;
    bool has_size;
    uint64_t size;  /* up to 20 digits; what does not fit is UINT64_MAX */
    bool eight_bit; /* BODY=8BITMIME */
    bool smtputf8;  /* the transaction is one of RFC 6531 */
    enum smtp_ret ret;
    bool has_envid;
    struct span envid; /* xtext as given, checked */
    bool has_auth;
    struct span auth; /* decoded mailbox; empty for <> and for what is no mailbox */
    bool prdr;        /* a reply for each recipient behind the final dot is wanted */
};

/* The argument of MAIL: "FROM:<...> ...". Bytes above 127 in the path without SMTPUTF8 among the parameters: 553 5.6.7.
 * A parameter given twice: 501 5.5.4. BODY=BINARYMIME is refused (555 5.5.4): POP3 could not show such a message. */
MUST_USE const struct smtp_problem *smtp_mail_parse(struct span argument, const struct smtp_abilities *abilities,
                                                    struct arena *arena, struct smtp_mail *mail);

/* Bits of NOTIFY (RFC 3461 section 4.1); 0 = not given. */
enum smtp_notify { SMTP_NOTIFY_NEVER = 1, SMTP_NOTIFY_SUCCESS = 2, SMTP_NOTIFY_FAILURE = 4, SMTP_NOTIFY_DELAY = 8 };

struct smtp_rcpt {
    struct mail_path path;
    unsigned notify;
    bool has_orcpt;
    struct span orcpt;         /* "rfc822;xtext" as given, checked */
    struct span orcpt_type;    /* "rfc822" */
    struct span orcpt_address; /* decoded; for the type utf-8 as given */
    struct span passcode; /* RCPT TO:<a@b> 1234 — 1 to 20 digits behind the path, as SimbeyMail takes them; empty when
                             not given */
};

/* The argument of RCPT: "TO:<...> ...". `utf8`: MAIL of this transaction said SMTPUTF8. */
MUST_USE const struct smtp_problem *smtp_rcpt_parse(struct span argument, const struct smtp_abilities *abilities,
                                                    bool utf8, struct arena *arena, struct smtp_rcpt *rcpt);

/* The argument of BDAT: "size" or "size LAST". */
MUST_USE const struct smtp_problem *smtp_bdat_parse(struct span argument, uint64_t *size, bool *last);

struct smtp_helo {
    struct span name;    /* the first word of the argument, as given */
    bool is_well_formed; /* a domain name in ASCII or an address literal, and nothing behind it */
    bool is_literal;
    struct ip_address literal;
};

/* The argument of HELO or EHLO. Any word of up to 255 bytes without control characters does; else 501 5.5.4. */
MUST_USE const struct smtp_problem *smtp_helo_parse(struct span argument, struct smtp_helo *helo);

/* The argument of AUTH: mechanism [initial-response]; "=" is an empty initial response (RFC 4954 section 4). Not
 * decoded. The mechanism is as given: compare without case. POP3's AUTH (RFC 5034) is the same, but for its replies. */
MUST_USE const struct smtp_problem *smtp_auth_parse(struct span argument, struct span *mechanism, bool *has_initial,
                                                    struct span *initial);

#endif
