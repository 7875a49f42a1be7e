/* What `ostiary allow` would do about an attempt: the narrowest change that would have let it in. Pure. */
#ifndef CTL_ALLOW_PLAN_H
#define CTL_ALLOW_PLAN_H

#include "policy/decide.h"

enum allow_outcome {
    ALLOW_SENDER,   /* the sender goes on the white list of the owner */
    ALLOW_BOUNCES,  /* RULE.bounces=on for the owner: the sender is <> */
    ALLOW_NOTHING,  /* it was not kept out */
    ALLOW_NOT_HERE, /* no change of this door would have let it in: `problem` says why, and who can */
};

struct allow_attempt {
    struct span reverse_path, rule; /* as the ledger has them */
    const struct ip_address *ip;    /* whom it came from; NULL: not known */
    unsigned verdict;               /* enum verdict_kind */
    struct span owner;              /* the address of whose door it is, for sentences */
    bool is_my;                     /* that person asks: their commands are "ostiary my ..." */
    enum rule_level owner_level;    /* whose white list it would be: LEVEL_ACCOUNT or LEVEL_ADDRESS */
    const struct ruleset *set;      /* what is in force for the owner now */
    const struct facts *facts;      /* of the attempt; NULL: none are kept */
    const struct recipient_facts *r;
};

struct allow_plan {
    enum allow_outcome outcome;
    struct span sender; /* ALLOW_SENDER: the entry, in the form of lists: with the network where that is known */
    char setting[80];   /* ALLOW_BOUNCES: "white-list.bounces" */
    bool is_tried;      /* the rules were asked again with the change, and let it in */
};

/* The plan; `arena` holds the entry. A sentence in `problem` where there is no way. */
void allow_plan_make(const struct allow_attempt *attempt, struct arena *arena, struct allow_plan *plan,
                     struct buf *problem);

#endif
