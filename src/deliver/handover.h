/* Handing a message of our own making to the store, in one transaction with what became of the entries that caused it:
 * a report, a mailing list's copies. */
#ifndef DELIVER_HANDOVER_H
#define DELIVER_HANDOVER_H

#include "deliver/internal.h"
#include "intake/deliver.h"

struct handover {
    struct list_node *entries; /* whose outcomes are told; may be empty */
    size_t count;
    const struct envelope *envelope; /* without targets: outcomes only, no message */
    struct intake_body *body;        /* begins with its trace fields */
    bool eight_bit;
    struct arena *memory;
};

/* 0 and *outcome (verdict INTAKE_STORED also where there was no message); or a negative errno: then it is not known
 * whether it was done. Waits. */
MUST_USE int handover_send(struct fiber *self, struct courier *c, const struct handover *h,
                           struct intake_outcome *outcome);
/* The same for one entry that stands in its job's list; sets h->count; h->entries is for the call only. */
MUST_USE int handover_send_for(struct fiber *self, struct courier *c, struct entry *e, struct handover *h,
                               struct intake_outcome *outcome);

#endif
