/* POP3 commands: RFC 1939, 2449 (CAPA), 2595 (STLS), 5034 (AUTH), 6856 (UTF8, LANG). Pure. */
#ifndef FORMAT_POP3_COMMAND_H
#define FORMAT_POP3_COMMAND_H

#include "base/span.h"

enum pop3_verb {
    POP3_USER,
    POP3_PASS,
    POP3_APOP,
    POP3_AUTH,
    POP3_STLS,
    POP3_CAPA,
    POP3_TOP,
    POP3_UIDL,
    POP3_LIST,
    POP3_RETR,
    POP3_DELE,
    POP3_NOOP,
    POP3_RSET,
    POP3_STAT,
    POP3_QUIT,
    POP3_UTF8,
    POP3_LANG,
    POP3_XTND,
    POP3_UNKNOWN
};

struct pop3_command {
    enum pop3_verb verb;
    struct span word; /* the verb as given */
    /* USER: the name. PASS: the password, spaces and all: everything behind the one space. APOP: name and digest. AUTH:
     * mechanism and initial response. LANG: the tag. XTND: the rest of the line. Others: none. */
    struct span argument[2];
    unsigned arguments; /* how many were given */
    /* TOP: message and lines. UIDL, LIST: message or none. RETR, DELE: message. A message number is never 0. */
    uint32_t number[2];
    unsigned numbers;
};

/* `line` is without its CRLF. NULL when all is well, else a static sentence for "-ERR ", in lower case without a full
 * stop ("RETR needs a message number"); the verb is then still right if the word is one. A word that is no verb is
 * POP3_UNKNOWN without a sentence. NUL, CR and other control characters are refused, with but a tab let through in a
 * password. Bytes above 127 are handed on. AUTH's initial response "=" is handed on as it is (RFC 5034 section 4:
 * empty). */
MUST_USE const char *pop3_command_parse(struct span line, struct pop3_command *command);
/* "USER"; "UNKNOWN" for POP3_UNKNOWN. */
const char *pop3_verb_name(enum pop3_verb verb);

#endif
