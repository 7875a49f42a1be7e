/* What other rules would have made of attempts that the ledger kept. Pure. */
#ifndef CTL_REPLAY_H
#define CTL_REPLAY_H

#include "base/arena.h"
#include "base/buf.h"
#include "ctl/json.h"
#include "policy/ruleset.h"
#include "store_write.pb-c.h"

#define REPLAY_DOUBTFUL_MAX 10

enum replay_outcome {
    REPLAY_SAME,     /* nothing changes */
    REPLAY_REFUSED,  /* it would be refused, and was or would be let in */
    REPLAY_DEFERRED, /* the same, but put off */
    REPLAY_FILED,    /* it would come into a folder of its own */
    REPLAY_LET_IN,   /* it was kept out, and would not be; as far as the facts go */
    REPLAY_MISSING,  /* a rule would have needed facts that were never fetched */
    REPLAY_NO_FACTS, /* the row has none: too large, or of another version */
    REPLAY_NO_RULES, /* no rule decided it (no such address, mailbox full, …), so none could have */
    REPLAY_OUTCOME_COUNT
};

/* One that would be lost and may have been wanted. */
struct replay_doubt {
    uint64_t at;
    unsigned weight; /* 0: not used */
    StoreWrite__Fate fate;
    char sender[128], recipient[128], subject[128], sentence[VERDICT_SENTENCE_MAX];
};

struct replay {
    uint64_t rows;                           /* looked at */
    uint64_t attempts[REPLAY_OUTCOME_COUNT]; /* a row may stand for many */
    uint64_t lost[6];                        /* of those that would be refused or put off, by StoreWrite__Fate */
    uint64_t lacks[FACT_COUNT];              /* of REPLAY_MISSING: which fact */
    struct replay_doubt doubtful[REPLAY_DOUBTFUL_MAX]; /* the most doubtful first */
};

/* What both sets of rules say to the facts of one row. *verdict is that of `after` where it is REPLAY_REFUSED,
 * …_DEFERRED or …_FILED; *lacks has FACT_BIT()s where it is REPLAY_MISSING. `moot`: FACT_BIT()s of facts that nobody
 * could say, since the site has no such list or script. `arena` is for the facts. */
MUST_USE enum replay_outcome replay_row(const StoreWrite__LedgerRow *row, const struct ruleset *before,
                                        const struct ruleset *after, uint32_t moot, struct arena *arena,
                                        struct verdict *verdict, uint32_t *lacks);
/* Counts it. */
void replay_add(struct replay *replay, const StoreWrite__LedgerEntry *entry, enum replay_outcome outcome,
                const struct verdict *verdict, uint32_t lacks);

void replay_write(const struct replay *replay, struct buf *out);
void replay_write_json(const struct replay *replay, struct json *json);

#endif
