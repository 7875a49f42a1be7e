/* Rows of the ledger (ipc/store_write.proto, LedgerRow) about attempts. Their texts are borrowed. */
#ifndef FACTS_LEDGER_ROW_H
#define FACTS_LEDGER_ROW_H

#include "facts/judge.h"
#include "facts/ledger.h"
#include "store_write.pb-c.h"

/* The facts that every attempt has: time, client, envelope. `recipient`: as given. `reply`: the exact reply. */
MUST_USE int ledger_row_begin(struct attempt *a, struct arena *arena, struct span recipient, struct span reply,
                              StoreWrite__LedgerRow *row);
/* The same for what a door decided: with the verdict that stands, and the facts in their compact form as long as they
 * take no more than `facts_max` bytes. `is_delivered`: it goes there all the same, into the folder for that. -ENOMEM.
 */
MUST_USE int ledger_row_judged(struct attempt *a, struct arena *arena, const struct judged *judged, bool is_delivered,
                               struct span reply, size_t facts_max, StoreWrite__LedgerRow *row);
/* A row for each rule that only watched, beside the one above where that tells something else. They have no facts: it
 * is the same attempt. Without waiting; `ledger` may be NULL. */
void ledger_note_watched(struct ledger *ledger, struct attempt *a, const struct judged *judged, struct span reply);

#endif
