/* The end of a message: each recipient's rules about its content, and what the one reply, or each, has to say. */
#ifndef SMTP_CONTENT_H
#define SMTP_CONTENT_H

#include "intake/deliver.h"
#include "smtp/session_internal.h"

/* Judges the message, whose summary (format/summary.h) this is, and gets the envelope ready for the store: who gets it
 * into which folder, what the ledger says. 1: it is to be stored; 0: nobody takes it, which was replied; or a negative
 * errno: a temporary failure, nothing was replied. Waits. */
MUST_USE int smtp_judge_content(struct fiber *self, struct smtp_session *s, const struct intake_summary *summary);
/* The reply when it is stored: with PRDR asked for and several recipients, one for each before it. */
void smtp_reply_stored(struct smtp_session *s, uint64_t message_id);

#endif
