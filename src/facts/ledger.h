/* Refused attempts on their way to the store's ledger (ipc/store_write.proto, LedgerNote). Nobody waits for it.
 *
 * Rows are gathered for a moment and sent together by a fiber of their own. Under a flood they are counted instead of
 * listed: more than LEDGER_ROWS_A_MINUTE of one rule, network (/24, /64) and recipient in a minute, and whatever comes
 * when LEDGER_ROWS_A_SECOND were listed in this second, become one row that says how many there were, and their replies
 * bear that row's reference; the log gets one line for all of them, too. What can't be kept at all (the writer is away
 * for long) is counted in the log.
 */
#ifndef FACTS_LEDGER_H
#define FACTS_LEDGER_H

#include "format/ip_address.h"
#include "ipc/peers.h"
#include "run/fiber.h"
#include "store_write.pb-c.h"

#define LEDGER_ROWS_A_MINUTE 20
#define LEDGER_ROWS_A_SECOND 200
#define LEDGER_GATHER_MS 100
#define LEDGER_BATCH_MAX 200    /* rows of a call */
#define LEDGER_WAITING_MAX 2000 /* rows that wait to be sent */
#define LEDGER_COUNT_SECONDS                                                                 \
    10 /* so long attempts are added up before the store is told; their row is there at once \
        */

struct ledger;

/* Of a process; `peers` stays the caller's. NULL without memory. */
MUST_USE struct ledger *ledger_new(struct loop *loop, struct peers *peers);
/* Sends what waits, as long as there is time, and ends the fiber. To be called once, before ledger_free. Waits. */
void ledger_stop(struct fiber *self, struct ledger *ledger, uint64_t deadline);
/* NULL-safe. What was not sent is lost. */
void ledger_free(struct ledger *ledger);

/* Where an attempt will stand. To be used before the next wait. */
struct ledger_place {
    uint64_t reference; /* 40 bits, not 0: what the reply says */
    bool wants_row;     /* ledger_note is to be called; else it is counted already */
    struct ledger_counter *counter;
};
/* `rule`: the name that the row will have. `ledger` may be NULL: then there is a reference that nobody can look up. */
struct ledger_place ledger_find_place(struct ledger *ledger, struct span rule, const struct ip_address *ip,
                                      struct span recipient);
/* May another row be listed for the same attempt, beside that of its place? It counts among the rows of this second. */
bool ledger_lists_more(struct ledger *ledger);
/* Is it one of a flood, added to a row that is there? */
static inline bool ledger_is_counted(const struct ledger_place *place)
{
    return place->counter && !place->wants_row;
}
/* A random one of 40 bits, never 0. */
uint64_t ledger_new_reference(void);
/* Takes a copy of the row, whose reference, attempts and last_at are filled in here. */
void ledger_note(struct ledger *ledger, const struct ledger_place *place, StoreWrite__LedgerRow *row);

#endif
