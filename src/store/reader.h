/* The service of a store reader: ipc/store_read.proto. The process needs to read the data directory and, for the
 * database's index of its log, to write store.db-shm; it holds both open from store_reader_new() on, and opens volumes
 * read-only later. */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "base/buf.h"
#include "config/settings.h"
#include "ipc/grant.h"
#include "ipc/role.h"
#include "run/loop.h"

struct store_reader;

/* NULL with a sentence. The writer must have made the database before. Takes a reference of the settings. */
MUST_USE struct store_reader *store_reader_new(struct loop *loop, struct settings *settings,
                                               const unsigned char grant_key[GRANT_KEY_SIZE], struct buf *problem);
/* After a reload: from the next call on. */
void store_reader_set_settings(struct store_reader *r, struct settings *settings);
/* Serves a peer on fd (taken, also on failure). 0 or a negative errno. */
MUST_USE int store_reader_attach(struct store_reader *r, int fd, enum role peer);
/* Later calls get -ESHUTDOWN. */
void store_reader_stop(struct store_reader *r);
void store_reader_free(struct store_reader *r);

#endif
