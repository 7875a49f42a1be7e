/* Door items (policy/door_item.h) in the database: what the site, a domain, an account or an address with a detail has
 * set about its door. Each row is a record of the volumes as well, so that it survives the database's loss. No function
 * waits but for the disk. */
#ifndef STORE_DOOR_H
#define STORE_DOOR_H

#include "policy/door_item.h"
#include "store/core.h"
#include "store/directory.h"

#define DOOR_PATTERNS_MAX 1000  /* host names with a "*": each is compared with every name that is asked for */
#define DOOR_PASSCODES_MAX 1000 /* of one owner: each is compared with every code that is tried */

/* Whose items. */
struct door_owner {
    enum rule_level level;
    uint64_t id;        /* 0 the site; a domain's; an account's */
    struct span detail; /* LEVEL_ADDRESS: lower case, never empty; else empty */
};

/* The owner that `text` names: "" the site; "example.org" or "@example.org"; an account's address; that with a detail.
 * `level` LEVEL_DEFAULT: whatever it is; else it has to be of that level. 1; 0 with a sentence in `problem` (may be
 * NULL); a negative errno. The detail is in the arena. */
MUST_USE int door_owner_find(const struct directory *d, enum rule_level level, struct span text, struct arena *arena,
                             struct door_owner *owner, struct buf *problem);
/* The other way: *text is in the arena, "" of the site and of what is gone. 0 or a negative errno. `separators` as
 * smtp.detail_separator. */
MUST_USE int door_owner_text(const struct directory *d, const struct door_owner *owner, struct arena *arena,
                             struct span *text);
/* The domain of an account. 1, 0 or a negative errno. */
MUST_USE int door_domain_of(struct database *db, uint64_t account_id, uint64_t *domain_id);

#define DOOR_COLUMNS "id, kind, level, owner_id, detail, name, value, expires_at, locked, set_at, set_by"
/* `st` stands on a row of DOOR_COLUMNS. Spans are in the arena; false when it is full. */
MUST_USE bool door_read(struct statement *st, struct arena *arena, struct door_item *item);
/* 1, 0 where there is none, or a negative errno. */
MUST_USE int door_get(struct database *db, const struct door_owner *owner, enum door_kind kind, struct span name,
                      struct arena *arena, struct door_item *item);
/* Has the owner any item of that kind? 1, 0 or a negative errno. */
MUST_USE int door_has(struct database *db, const struct door_owner *owner, enum door_kind kind);

/* In a batch: the row, replacing that of its owner, kind and name, and its record. `id` is 0 for a new one, and is set
 * then. 0 or a negative errno: the batch is lost. */
MUST_USE int door_put(struct store *s, struct door_item *item);
MUST_USE int door_remove(struct store *s, uint64_t id);
/* Readers forget what they keep of site and domains. */
MUST_USE int door_touch(struct store *s);
/* Takes away all rows of an account or a domain that goes: the record of its removal says the rest. */
MUST_USE int door_forget_account(struct database *db, uint64_t account_id);
MUST_USE int door_forget_domain(struct database *db, uint64_t domain_id);

/* Logs the row's present state once more, for compaction. 0 also when it is gone. */
MUST_USE int change_log_door_item(struct store *s, uint64_t id);

/* The value in force of a rule's setting ("white-list.learn") for an account: the narrowest of account, domain and
 * site, or the site's where it locked the rule. 1 with *value in the arena, 0 where nobody set it, or a negative errno.
 */
MUST_USE int door_setting(struct database *db, uint64_t account_id, const char *name, struct arena *arena,
                          struct span *value);

#endif
