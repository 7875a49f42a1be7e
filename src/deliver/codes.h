/* Passcodes that our members, or the site, have for addresses elsewhere (policy/door_item.h, "code-for"): said behind
 * RCPT TO at the recipient's own server, nowhere else.
 */
#ifndef DELIVER_CODES_H
#define DELIVER_CODES_H

#include "deliver/internal.h"
#include "deliver/message.h"
#include "deliver/smtp_client.h"

/* Fills in the passcode of each recipient that has one, from `memory`. With a smart host there is none: it would be
 * told to a third party, which does not know what to do with it. Waits for a reader where the message's sender or the
 * site has any passcode. 0, or a negative errno: the message is then to be tried later, since without its passcode it
 * might be refused for good. */
MUST_USE int codes_fetch(struct fiber *self, struct site *site, const struct message *message,
                         struct smtp_client_recipient *recipients, size_t count, struct arena *memory);
/* Wipes them. */
void codes_wipe(struct smtp_client_recipient *recipients, size_t count);

#endif
