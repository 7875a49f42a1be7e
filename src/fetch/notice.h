/* What somebody is told whose fetched mail is not taken (fetched-white-list.notice), and the copy of such mail
 * (fetched-white-list.carbon-copy). */
#ifndef FETCH_NOTICE_H
#define FETCH_NOTICE_H

#include "facts/gather.h"
#include "fetch/visit.h"
#include "intake/envelope.h"

/* Could the sender's mail have come from where this came from? The name by DNS of the origin is below the sender's
 * domain, or its address is one of that domain's mail hosts or of the domain itself. Anything else may be forged, and
 * then somebody else would get the notice. Pure but for the questions to the DNS. Waits. */
bool notice_sender_fits(struct fiber *self, struct attempt *a, const struct mail_path *sender);

/* Tells the sender that `recipient` did not take it: once in a day, from <>, and never about what no person wrote: mail
 * from <> or a mailer, of lists, or that says of itself that it is automatic. 0 also where nothing is sent; a negative
 * errno of ours: then it is not known whether it was sent, which a second try finds out. Waits. */
MUST_USE int notice_send(struct fiber *self, struct arrival *a, struct attempt *attempt, struct span recipient);

/* Adds `address` to whom the message goes, as mail that `forwarder`, a domain of ours, sends on. 0 or a negative errno;
 * where the address leads nowhere the log says so. Waits. */
MUST_USE int notice_add_copy(struct fiber *self, struct arrival *a, struct span address, struct span forwarder,
                             struct envelope *envelope);

#endif
