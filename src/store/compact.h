/* Compaction: what lives in a mostly dead volume is appended to the newest one, then the file goes. It runs in slices,
 * each a batch of its own, so that deliveries go on between them.
 *
 * What is carried over: each living message with its present entries; each expunge whose message still has a record
 * somewhere; the present row of each mailbox and directory item that the volume mentions; removals, unless no older
 * volume is left that could hold what was removed. So the volumes alone always give the whole state, without snapshots.
 */
#ifndef STORE_COMPACT_H
#define STORE_COMPACT_H

#include "store/core.h"

/* Begins the compaction of the volume that pays most: at least `dead_percent` of it dead. 1: begun, or one is running;
 * 0: none pays; a negative errno. Seals the newest when that one pays. Outside of a batch. */
MUST_USE int compaction_start(struct store *s, unsigned dead_percent);
/* One slice. 1: there is more to do; 0: done (or none was running); -EBADMSG: the volume is damaged and stays as it is
 * (logged); another negative errno: the disk's or the database's. */
MUST_USE int compaction_step(struct store *s);
bool compaction_is_running(const struct store *s);
void compaction_free(struct store *s);

#endif
