/* The database made anew from the volumes: every message, flag, uid, uidvalidity, account, alias and credential. Also
 * the way back after a lost or restored database.
 *
 * Records are read twice, in the order of their lsn: first the directory and the mailboxes (the later record of a thing
 * wins, and a name that two claim is the later's), then messages, flags and expunges. Damaged stretches are skipped and
 * counted. Waits for the disk only. */
#ifndef STORE_REBUILD_H
#define STORE_REBUILD_H

#include "base/buf.h"

struct store_rebuild_report {
    uint64_t volumes, records, messages, accounts;
    uint64_t damaged_bytes; /* skipped, a torn end included */
    uint64_t unplaced;      /* entries whose mailbox is unknown and could not be made again */
    char kept_as[64];       /* the old database's new name, "" when there was none */
};

typedef void store_progress(void *context, uint64_t done_bytes, uint64_t all_bytes);

/* No server may run on it (the lock is taken). Writes a new file and swaps it in at the end; the old one stays as
 * store.db.broken-<n>. 0, or a negative errno with a sentence: the old database is untouched then. `progress` may be
 * NULL. */
MUST_USE int store_rebuild(const char *data_directory, struct store_rebuild_report *report, store_progress *progress,
                           void *context, struct buf *problem);

#endif
