/* The service of the store's one writer: ipc/store_write.proto.
 *
 * Calls of all channels are gathered; a batch takes all that wait (up to store.batch_messages) through one sync and one
 * transaction and answers them then. While it syncs, the next batch gathers in the sockets.
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "base/buf.h"
#include "config/settings.h"
#include "ipc/grant.h"
#include "ipc/role.h"
#include "run/loop.h"

struct store_writer;

/* Locks the data directory, opens, migrates, recovers. NULL with a sentence. Takes a reference of the settings. */
MUST_USE struct store_writer *store_writer_new(struct loop *loop, struct settings *settings,
                                               const unsigned char grant_key[GRANT_KEY_SIZE], struct buf *problem);
/* After a reload: from the next batch on. 0, or -ENOMEM; then the old ones stay. */
MUST_USE int store_writer_set_settings(struct store_writer *w, struct settings *settings);
/* Serves a peer on fd (taken, also on failure). 0 or a negative errno. */
MUST_USE int store_writer_attach(struct store_writer *w, int fd, enum role peer);
/* True after a failed sync or commit: every call is answered with -EIO, and the process has to end and be started
 * again. The loop is stopped by then. */
bool store_writer_is_broken(const struct store_writer *w);
/* Finishes what is in hand, syncs, checkpoints the database. Later calls get -ESHUTDOWN. */
void store_writer_stop(struct store_writer *w);
/* After store_writer_stop(); NULL-safe. */
void store_writer_free(struct store_writer *w);

#endif
