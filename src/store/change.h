/* Changes of the directory: domains, accounts, aliases, credentials. Each leaves a record in the volume with the whole
 * row, so that the directory can be rebuilt. */
#ifndef STORE_CHANGE_H
#define STORE_CHANGE_H

#include "store/core.h"

enum change_kind {
    CHANGE_DOMAIN_ADD = 1,
    CHANGE_DOMAIN_REMOVE,       /* must have no accounts and aliases */
    CHANGE_ACCOUNT_ADD,         /* with its INBOX */
    CHANGE_ACCOUNT_REMOVE,      /* its mail goes too */
    CHANGE_ACCOUNT_SET,         /* what the set_ fields say */
    CHANGE_ACCOUNT_CREDENTIALS, /* replaces all of them */
    CHANGE_ALIAS_PUT,
    CHANGE_ALIAS_REMOVE,
};

#define CHANGE_CREDENTIALS_MAX 16

struct change {
    enum change_kind kind;
    uint64_t account_id; /* CHANGE_ACCOUNT_CREDENTIALS: in the subject's place where it is not 0 */
    struct span subject; /* the domain's name, or the account's or alias's address */
    struct span name;    /* the person's */
    uint64_t quota;
    bool enabled, set_name, set_enabled, set_quota;
    const struct credential_facts *credentials;
    size_t credential_count;
    const struct span *targets;
    size_t target_count;
};

/* In a batch. 0 with the id; 0 with a sentence in `problem` where a person can mend it: nothing was changed then; a
 * negative errno: the batch is lost. */
MUST_USE int store_change(struct store *s, const struct change *change, uint64_t *id, struct buf *problem);

/* Logs the row's present state once more, for compaction. 0 also when it is gone. */
MUST_USE int change_log_domain(struct store *s, uint64_t id);
MUST_USE int change_log_account(struct store *s, uint64_t id);
MUST_USE int change_log_alias(struct store *s, uint64_t id);

#endif
