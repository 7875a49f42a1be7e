/* The directory as the command line lists it, a page at a time. Only reads. */
#ifndef STORE_LIST_H
#define STORE_LIST_H

#include "base/arena.h"
#include "store/database.h"

#define LIST_PAGE 500

struct listed_domain {
    uint64_t id, accounts, kind; /* kind: 0 our own, 1 backup */
    struct span name, alias_of, next_hop;
};

struct listed_account {
    uint64_t id, quota, used, messages, created_at;
    struct span address, name;
    bool enabled;
};

struct listed_alias {
    struct span address;
    struct span *targets;
    size_t target_count;
};

struct listed_member {
    struct span address;
    uint64_t number, bounces;
    bool suspended;
};

struct listed_list {
    uint64_t id, posting, member_count;
    struct span address, name, owner;
    struct listed_member *members; /* where `match` named one list, as many as fit a page */
    size_t listed;
};

/* What is alphabetically behind `after`; `match` empty, an exact address, or @domain. Up to LIST_PAGE items in the
 * arena; *more when there are further ones. A negative errno, or 0. */
MUST_USE int list_domains(struct database *db, struct span after, struct span match, struct arena *arena,
                          struct listed_domain **items, size_t *count, bool *more);
MUST_USE int list_accounts(struct database *db, struct span after, struct span match, struct arena *arena,
                           struct listed_account **items, size_t *count, bool *more);
MUST_USE int list_aliases(struct database *db, struct span after, struct span match, struct arena *arena,
                          struct listed_alias **items, size_t *count, bool *more);
/* With an exact match `after` may be "address after", the list's and the last member's of the page before, with a space
 * between. */
MUST_USE int list_lists(struct database *db, struct span after, struct span match, struct arena *arena,
                        struct listed_list **items, size_t *count, bool *more);

#endif
