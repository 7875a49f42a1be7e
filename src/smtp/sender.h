/* For whom a transaction sends: decided at MAIL, and latched until it ends. */
#ifndef SMTP_SENDER_H
#define SMTP_SENDER_H

#include "smtp/session_internal.h"

/* May this client use this return-path, and for which account? Members: only with an address of theirs. Strangers at an
 * address from which somebody logged in to POP3 a moment ago (POP-before-SMTP): with an address of that account they
 * send as that account; with any other they are strangers still. Fills *sender. 1 yes; 0 no, which was replied; or a
 * negative errno that ends the session. Waits. */
MUST_USE int smtp_sender_check(struct fiber *self, struct smtp_session *s, const struct smtp_mail *mail,
                               struct smtp_sender *sender);

/* May this transaction's client send to other sites? */
enum smtp_relaying {
    SMTP_RELAYING_NO,
    SMTP_RELAYING_YES,
    SMTP_RELAYING_UNKNOWN, /* it may have a window, but auth could not say */
};
enum smtp_relaying smtp_sender_relaying(const struct smtp_session *s);

#endif
