/* Looking into the ledger: pages, newest first, and counts of refusals. Each call looks at a bounded number of rows, so
 * that mail never waits long; an answer may therefore be short, or empty, and still have `more` behind it. No function
 * here waits but for the disk.
 */
#ifndef STORE_LEDGER_LIST_H
#define STORE_LEDGER_LIST_H

#include "base/arena.h"
#include "store/ledger.h"

#define LEDGER_PAGE 1000
#define LEDGER_LOOKED_AT 20000         /* rows, in one call */
#define LEDGER_PAGE_BYTES (512u << 10) /* of texts and facts */

struct ledger_choice {
    uint64_t before_id;    /* 0: from the newest */
    uint64_t account_id;   /* 0: all */
    struct span recipient; /* "a@b.example" or "@b.example", lower case: as given, or of the accounts of that domain */
    struct span domain;    /* of the second kind, without its '@' */
    struct span rule, sender, peer; /* empty: any; sender is an address or "@domain", lower case */
    uint64_t reference;             /* 0: any */
    uint64_t since, until;          /* nanoseconds; 0: open */
    uint64_t verdicts;              /* mask of 1 << verdict; 0: all */
    size_t limit;                   /* at most LEDGER_PAGE */
    bool facts, fate;               /* wanted */
};

/* What became of mail that was accepted. */
enum ledger_fate {
    LEDGER_FATE_UNKNOWN,
    LEDGER_FATE_UNREAD,
    LEDGER_FATE_READ,
    LEDGER_FATE_ANSWERED,
    LEDGER_FATE_FILED,
    LEDGER_FATE_DELETED
};

struct ledger_entry {
    uint64_t id;
    struct ledger_row row;
    struct span account; /* its main address, empty where there is none (any more) */
    enum ledger_fate fate;
    struct span folder; /* the mailbox it lies in; empty where it lies in none, or that was not looked for */
};

struct ledger_page {
    struct ledger_entry *entries;
    size_t count;
    bool more;
    uint64_t last_id; /* where the next page begins: its before_id */
};

/* The choice's account by what a person typed: an address of an account narrows it to that account, any other address
 * and "@domain" to what was given as recipient. The arena keeps the lower-case form. 0 or a negative errno. */
MUST_USE int ledger_choose(struct database *db, struct span typed, struct arena *arena, struct ledger_choice *choice);
/* Spans are in the arena. 0 or a negative errno. */
MUST_USE int ledger_list(struct store *s, const struct ledger_choice *choice, struct arena *arena,
                         struct ledger_page *page);

struct reject_count {
    uint64_t period; /* its number, from `since` */
    struct span rule;
    bool fetched;
    uint64_t attempts;
};
struct reject_counts {
    struct reject_count *counts;
    size_t count;
    bool more;
    uint64_t last_id;
};
#define REJECT_COUNTS_MAX 10000

/* Refusals a period of `period` nanoseconds from choice->since on; of the choice only account, recipient, since, until
 * and before_id count. -EINVAL: no period, or none since when. */
MUST_USE int ledger_count_rejects(struct store *s, const struct ledger_choice *choice, uint64_t period, bool by_rule,
                                  struct arena *arena, struct reject_counts *counts);

#endif
