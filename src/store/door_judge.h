/* What is in force at the doors that an address leads to, for one attempt: rules merged, lists, passcode and limited
 * address looked up. No function waits but for the disk. */
#ifndef STORE_DOOR_JUDGE_H
#define STORE_DOOR_JUDGE_H

#include "policy/facts.h"
#include "store/directory.h"
#include "store/door_cache.h"

/* Texts of all doors of one answer. Rules that many doors have from their domain count once. */
#define DOORS_BYTES_MAX (600u << 10)

struct door_question {
    struct span reverse_path; /* local@domain, or empty */
    struct span passcode, helo;
    bool has_ip;
    struct ip_address ip;
    uint64_t now; /* seconds since 1970 */
};

struct judged_door {
    uint64_t account_id, mailbox_id; /* 0: no account's, the domain's rules; the second: its INBOX */
    struct span address;             /* the account's main one */
    struct span rules;
    unsigned same_rules; /* the place of a door before it that has them, too, from 1; 0: none */
    const struct list_hit *hits;
    size_t hit_count;
    enum passcode_fact passcode;
    struct span passcode_name;
    bool limited, limited_expired, limited_sender_fits;
    bool only_by_sender; /* nothing here hangs on sender, client or passcode */
};

struct judged_doors {
    struct judged_door *doors; /* in the arena */
    size_t count;
    unsigned *target_doors; /* of each target of the routing: its door's place, from 1 */
    struct door_guards {    /* of each target: those who forward it there, the first one first */
        unsigned *doors;
        size_t count;
    } * target_guards;
    bool sender_protected;
    enum rule_level sender_protected_level;
    struct span sender_account; /* its main address, or empty */
};

/* `routing` is what directory_resolve() said of the address, ROUTED_LOCAL. 0 or a negative errno:
 * -E2BIG where the answer would take more than DOORS_BYTES_MAX, or more than DIRECTORY_TARGETS_MAX doors. Nobody's
 * rules are left out for that: the sender is to come again, and the log says which alias is to be divided. */
MUST_USE int doors_judge(struct door_cache *c, const struct directory *d, const struct door_question *question,
                         const struct routing *routing, struct arena *arena, struct judged_doors *out);

/* Which of the site's lists have this host name: the approved ones (only where it is `proven`) and the denied. At most
 * `room` hits. 0 or a negative errno. */
MUST_USE int door_name_hits(struct door_cache *c, struct span name, bool proven, uint64_t now, struct arena *arena,
                            struct list_hit *hits, size_t room, size_t *count);

#endif
