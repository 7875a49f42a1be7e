/* What `rules test` knows of an attempt that nobody made: facts from options, and what a door's items make of them.
 * Pure. */
#ifndef CTL_TRIAL_FACTS_H
#define CTL_TRIAL_FACTS_H

#include "ctl/door_client.h"
#include "policy/facts.h"

struct trial {
    struct facts facts;
    struct recipient_facts r;
    struct span detail;   /* of the recipient: "shop-x7"; empty: none */
    struct span passcode; /* as given; empty: none */
    uint64_t now;         /* seconds since 1970 */
    struct list_hit ptr_hits[4];
    uint32_t assumed; /* FACT_BIT()s of those that nobody gave and that were taken as harmless */
};

/* Fills in the hits of lists, the passcode and the limited address from the items of the recipient's door and of all
 * levels above it. The items outlive the trial. Keys are made in `arena`. False without memory. */
MUST_USE bool trial_take_items(struct trial *t, const struct door_items *items, struct arena *arena);
/* Facts that a decision wants and nobody gave: taken as what keeps nobody out, and noted. */
void trial_assume(struct trial *t, uint32_t needs);
/* "listed by no DNS list" … what is assumed where this fact is. */
const char *trial_assumption(enum fact fact);

#endif
