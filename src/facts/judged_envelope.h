/* From judged addresses to what the store is told: who gets the message into which folder, and what the ledger says. */
#ifndef FACTS_JUDGED_ENVELOPE_H
#define FACTS_JUDGED_ENVELOPE_H

#include "facts/judge.h"
#include "intake/deliver.h"
#include "intake/envelope.h"
#include "intake/reception.h"

/* Fills in a->facts.content from the message that was taken in; `summary`: what was parsed out of it. 0 or a negative
 * errno: a temporary failure. */
MUST_USE int facts_learn_content(struct attempt *a, struct reception *reception, const struct intake_summary *summary,
                                 bool with_header);
/* The door by which a target gets it: under several addresses, one that is open. NULL: nobody was asked. */
struct judged *judged_door_of(const struct intake_recipient *r);
/* Fills in folder and ledger of each recipient, when all are judged. Rows and folders are left out where the one call
 * has no room for them. 0 or -ENOMEM. */
MUST_USE int judged_envelope_complete(struct attempt *a, struct envelope *envelope);
/* The same for a message that is held aside (policy/poison.h): nobody's rules are asked about it. */
MUST_USE int judged_envelope_hold(struct attempt *a, struct envelope *envelope);

#endif
