/* The database's schema: IMAP's from the first day. Versions are steps that are applied in order, each in a transaction
 * of its own. No function waits. */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include "store/database.h"

#define SCHEMA_VERSION 3

/* Brings it to SCHEMA_VERSION. 0; -EPROTO with a sentence when the database is of a newer program; another negative
 * errno with a sentence. */
MUST_USE int schema_migrate(struct database *db, struct buf *problem);
/* The same up to `version` only: for the tests of each step. */
MUST_USE int schema_migrate_to(struct database *db, unsigned version, struct buf *problem);
/* The version of an opened database, 0 when it is empty; a negative errno. */
MUST_USE int schema_version(struct database *db);

#endif
