/* Who is let in: the session's side of facts/judge.h.
 *
 * What is known of the client and of the sender is held until RCPT, so that each person's rules can speak, postmaster
 * stays reachable, and the ledger has a name for the attempt. postmaster and abuse hear from everybody but those whom
 * the site itself shuts out (RFC 5321 section 4.5.1, RFC 2142).
 */
#ifndef SMTP_JUDGEMENT_H
#define SMTP_JUDGEMENT_H

#include "facts/ledger.h"
#include "smtp/refusal.h"

/* At the start of a session. */
void smtp_judge_begin(struct smtp_session *s);
/* At MAIL, when the transaction has its sender. 0 or -ENOMEM. */
MUST_USE int smtp_judge_sender(struct smtp_session *s);
/* Judges a recipient where it is ours. 1: taken, with *judged; 0: no, which was replied; or a
 * negative errno that ends the session. Waits. */
MUST_USE int smtp_judge(struct fiber *self, struct smtp_session *s, const struct smtp_rcpt *rcpt,
                        const struct intake_route *route, struct judged_address **judged);

/* The reply to an address that was refused or put off (address->answer says by whom), noted in the ledger. */
struct smtp_judged_reply {
    struct ledger_place place;
    struct smtp_refusal refusal;       /* points into the rest */
    char reason[80];                   /* for the log: "rule dnsbl (account)" */
    char text[DECISION_REPLY_MAX + 1]; /* behind the codes */
};
void smtp_judged_reply_make(struct smtp_session *s, const struct judged_address *address,
                            struct smtp_judged_reply *reply);
/* Notes another address that is refused by the same reply. */
void smtp_judged_note(struct smtp_session *s, const struct judged_address *address,
                      const struct smtp_judged_reply *reply);
/* Notes what only watched at its doors: once an address, when the last word on it is said. */
void smtp_note_watched(struct smtp_session *s, const struct judged_address *address);

#endif
