/* Call-backs: does the sender's own server take mail for the sender?
 *
 * MAIL FROM:<postmaster@us>, RCPT TO:<sender>, and the connection ends; no message is sent. At the hosts of the
 * sender's domain (RFC 5321 section 5.1), or, of a reverse call-back, at exactly the address of the client.
 *
 *   takes     RCPT is answered 2yz
 *   refuses   RCPT is refused for good; or the DNS says that no server takes mail for that domain
 *   unknown   anything else: 4yz, a refusal that is not about this recipient, no connection, no answer of the DNS
 *   unset     not asked: <>, postmaster, a domain of ours, an address outside the open Internet
 *
 * Nobody asks back for postmaster, so two servers that do this never ask each other in circles. `us` is the default
 * domain, for which mail is certainly taken (RFC 5321 section 4.5.1); the host name is one for which it mostly is not,
 * and stands there only where no default domain is set.
 *
 * Strangers cause these connections. So answers are remembered, a question under way is asked once, no host is asked
 * more than call_back.per_host new questions a minute, and nobody outside the open Internet is connected to but in
 * courier.private_networks.
 */
#ifndef DELIVER_CALL_BACK_H
#define DELIVER_CALL_BACK_H

#include "courier.pb-c.h"
#include "deliver/internal.h"
#include "format/smtp_reply.h"

struct call_backs;

/* NULL without memory. */
MUST_USE struct call_backs *call_backs_new(void);
/* Takes the call. */
void call_back_start(struct courier *c, struct call *call);

/* Pure: what the reply to RCPT says about the recipient: takes, refuses or unknown. */
Courier__Verdict call_back_verdict(const struct smtp_reply *reply);

#endif
