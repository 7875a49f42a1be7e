/* Handing a message of our own making to the store, in one transaction with what became of the entries that caused it:
 * a report, a mailing list's copies. */
#ifndef DELIVER_HANDOVER_H
#define DELIVER_HANDOVER_H

#include "deliver/internal.h"
#include "intake/deliver.h"

struct handover {
    struct list_node *entries; /* whose outcomes are told; may be empty; or NULL: */
    const struct entry *entry; /* the one whose outcome is told */
    size_t count;              /* of them */
    struct envelope *envelope; /* without targets: outcomes only, no message; folders may be set in it */
    struct intake_body *body;  /* begins with its trace fields */
    bool eight_bit;
    uint64_t account_id; /* whose recipients at other sites are counted now, and wait for a day with room where today's
                            limit is used up; 0: nobody's */
    struct arena *memory;
};

/* 0 and *outcome (verdict INTAKE_STORED also where there was no message; with INTAKE_OVER_SENDING_QUOTA the outcomes
 * of the entries were not taken either); or a negative errno: then it is not known whether it was done. Waits: the
 * entries stay where they are, and nobody but the caller may take them out of their list meanwhile. */
MUST_USE int handover_send(struct fiber *self, struct courier *c, const struct handover *h,
                           struct intake_outcome *outcome);

#endif
