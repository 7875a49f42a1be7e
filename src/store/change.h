/* Changes of the directory: domains, accounts, aliases, mailing lists, credentials. Each leaves a record in the volume
 * with the whole row, so that the directory can be rebuilt. */
#ifndef STORE_CHANGE_H
#define STORE_CHANGE_H

#include "store/core.h"

enum change_kind {
    CHANGE_DOMAIN_ADD = 1,
    CHANGE_DOMAIN_REMOVE,       /* must have no accounts, aliases, lists and other names */
    CHANGE_ACCOUNT_ADD,         /* with its INBOX */
    CHANGE_ACCOUNT_REMOVE,      /* its mail and the alias of its address go too */
    CHANGE_ACCOUNT_SET,         /* what the set_ fields say */
    CHANGE_ACCOUNT_CREDENTIALS, /* replaces all of them */
    CHANGE_ALIAS_PUT,
    CHANGE_ALIAS_REMOVE,
    CHANGE_DOMAIN_SET, /* next_hop */
    CHANGE_LIST_PUT,   /* made where no set_ field is true, else changed by those */
    CHANGE_LIST_REMOVE,
    CHANGE_LIST_JOIN, /* `targets` become members; a suspended one begins anew */
    CHANGE_LIST_LEAVE,
};

#define CHANGE_CREDENTIALS_MAX 16
#define CHANGE_LIST_MEMBERS_MAX 50000

struct change {
    enum change_kind kind;
    uint64_t account_id; /* CHANGE_ACCOUNT_CREDENTIALS: in the subject's place where it is not 0 */
    struct span subject; /* the domain's name, or the account's, alias's ("@example.org": all names that nobody has) or
                            list's address */
    struct span name;    /* the person's or the list's */
    uint64_t quota;
    bool enabled, set_name, set_enabled, set_quota;
    const struct credential_facts *credentials;
    size_t credential_count;
    const struct span *targets; /* of an alias: addresses here or elsewhere; of a list: members */
    size_t target_count;
    bool is_backup;       /* of a domain */
    struct span alias_of; /* of a domain: the one that it is another name of; empty: of none */
    struct span next_hop; /* of a domain: "host:port", or empty */
    struct span owner;    /* of a list: an address, or empty */
    unsigned posting;     /* of a list: 0 everybody, 1 members, 2 the owner */
    bool set_owner, set_posting;
};

/* In a batch. 0 with the id; 0 with a sentence in `problem` where a person can mend it: nothing was changed then; a
 * negative errno: the batch is lost. */
MUST_USE int store_change(struct store *s, const struct change *change, uint64_t *id, struct buf *problem);

/* Logs the row's present state once more, for compaction. 0 also when it is gone. */
MUST_USE int change_log_domain(struct store *s, uint64_t id);
MUST_USE int change_log_account(struct store *s, uint64_t id);
MUST_USE int change_log_alias(struct store *s, uint64_t id);
MUST_USE int change_log_list(struct store *s, uint64_t id); /* with its members */

#endif
