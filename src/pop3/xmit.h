/* XTND XMIT: sending mail over a POP3 connection, as Eudora does. */
#ifndef POP3_XMIT_H
#define POP3_XMIT_H

#include "pop3/state.h"

/* Says +OK, takes the message up to the line with one dot, and answers: +OK when it is durable; -ERR where it never can
 * be sent. In all other cases an error, with nothing said: the session ends and the client keeps its message. */
MUST_USE int pop3_xmit(struct fiber *self, struct pop3_session *s);

#endif
