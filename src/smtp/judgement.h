/* Who is let in: what is known of a client and of a return-path, gathered when it is first needed and once, and what
 * follows from it for a recipient. Whoever sends for an account or from a client network is not judged.
 *
 * A client is listed when our own list names its address or its name by DNS (checked both ways), or else when a black
 * DNS list does and no white one. Our own list has the first word: its exception lets a client in whatever others say.
 * postmaster and abuse hear from everybody: whoever is listed by mistake has to reach somebody (RFC 5321 section 4.5.1,
 * RFC 2142).
 */
#ifndef SMTP_JUDGEMENT_H
#define SMTP_JUDGEMENT_H

#include "smtp/session_internal.h"

/* Judges the transaction's client and return-path for a recipient of ours. 1 fine; 0 no, which was replied; or a
 * negative errno that ends the session. Waits. */
MUST_USE int smtp_judge(struct fiber *self, struct smtp_session *s, const struct mail_path *recipient);

/* Domains to which mail can be sent, as this process learned in the last minutes: bounded, of a process. */
struct smtp_domain_cache *smtp_domain_cache_new(void);
void smtp_domain_cache_free(struct smtp_domain_cache *cache);

#endif
