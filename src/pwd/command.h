/* Commands of the PWD service (poppassd, which no RFC describes: Eudora's and its successors' way). Pure. */
#ifndef PWD_COMMAND_H
#define PWD_COMMAND_H

#include "base/span.h"

enum pwd_verb { PWD_USER, PWD_PASS, PWD_NEWPASS, PWD_STLS, PWD_QUIT, PWD_UNKNOWN };

struct pwd_command {
    enum pwd_verb verb;
    /* USER: the name. PASS, NEWPASS: the password, everything behind the one space: spaces inside and at its end belong
     * to it. Others: empty. Borrowed from the line. */
    struct span argument;
};

/* `line` is without its CRLF. NULL when all is well, else a static sentence for the reply, in lower case without a full
 * stop; the verb is then still right if the word is one. Words are the same in any case; one that is no verb is
 * PWD_UNKNOWN without a sentence. Control characters, NUL among them, are refused everywhere; bytes above 127 are
 * handed on. */
MUST_USE const char *pwd_command_parse(struct span line, struct pwd_command *command);

#endif
