/* People that a member has written to become known to the rule white-list, where white-list.learn is on. */
#ifndef STORE_LEARN_H
#define STORE_LEARN_H

#include "store/core.h"

#define LEARN_RECIPIENTS_MAX 50 /* a message to more is no letter */
#define LEARN_MAX 5000          /* known people of an account; the oldest go first */

/* In a batch, of a message that was stored: notes the recipients of a member's submission. Nobody is learned from posts
 * to mailing lists, automatic mail, bounces, or mail to very many. 0 or a negative errno: the batch is lost. */
MUST_USE int learn_recipients(struct store *s, const struct delivery *d);

#endif
