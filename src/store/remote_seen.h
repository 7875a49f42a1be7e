/* Which messages of remote accounts were dealt with: those that were stored (noted in the transaction that stores
 * them) and those that were refused there and then. No function waits but for the disk. */
#ifndef STORE_REMOTE_SEEN_H
#define STORE_REMOTE_SEEN_H

#include "store/core.h"

#define REMOTE_SEEN_BATCH 1000  /* unique ids of one call */
#define REMOTE_SEEN_MAX 2000000 /* of one remote account */
#define REMOTE_SEEN_UNDO_DAYS 30

/* In a batch: notes them as dealt with, or as gone from the provider. Those that are noted (or unknown) already are
 * passed over. 0; -EINVAL: too many, or one that is no unique id; -EDQUOT: there are too many of this account; another
 * negative errno: the batch is lost. An account that is gone has nothing to note: 0. */
MUST_USE int store_remote_seen(struct store *s, uint64_t remote_id, const struct span *uidls, size_t count,
                               bool forget);
/* UIDL_MAX bytes at the most, without a NUL. */
bool remote_seen_is_uidl(struct span uidl);
/* 1: it is noted, 0, or a negative errno. */
MUST_USE int remote_seen_find(struct database *db, uint64_t remote_id, struct span uidl, uint64_t *seen_at);
/* The row only: its message's record says the rest. 0 or a negative errno. */
MUST_USE int remote_seen_insert(struct database *db, uint64_t remote_id, struct span uidl, uint64_t seen_at);
MUST_USE int remote_seen_replay(struct database *db, const struct remote_seen_facts *f);
/* A remote account goes: what is noted of it is kept for REMOTE_SEEN_UNDO_DAYS, so that whoever takes the removal back
 * does not get everything again. Of what is no remote account nothing is noted. 0 or a negative errno. */
MUST_USE int remote_seen_part(struct database *db, uint64_t item_id, uint64_t now);
/* What was kept for so long goes, but not by a clock in doubt. 0 or a negative errno. */
MUST_USE int remote_seen_drop_parted(struct database *db, uint64_t now);
/* It is there (again). */
MUST_USE int remote_seen_rejoin(struct database *db, uint64_t remote_id);
/* For compaction: the items of the record that still hold. 0 or a negative errno. */
MUST_USE int remote_seen_keep(struct database *db, struct remote_seen_facts *f, bool is_lowest);

#endif
