/* What each record does to the database that is being rebuilt. */
#ifndef STORE_REPLAY_H
#define STORE_REPLAY_H

#include "base/arena.h"
#include "base/map.h"
#include "store/database.h"
#include "store/volume.h"

struct replay {
    struct database *db;
    struct map removed; /* 8-byte ids of accounts and mailboxes that were removed */
    struct arena arena;
    uint64_t mark, next_lsn, unplaced;
    bool has_orphans; /* the record of a domain or an account is lost, and not those of what it had */
};

/* Pass 1: domains, accounts, aliases, mailboxes. Pass 2: what is in them. 0; -EBADMSG: the facts don't parse; a
 * negative errno of the database. */
MUST_USE int replay_directory(struct replay *r, const struct record *record);
/* Between them. */
MUST_USE int replay_look_for_orphans(struct replay *r);
MUST_USE int replay_mail(struct replay *r, const struct record *record);
/* After the last record: drops what has no message or mailbox, counts what the counters count. */
MUST_USE int replay_finish(struct replay *r);

#endif
