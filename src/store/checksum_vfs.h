/* A checksum in each page of the database: SQLite by itself keeps none, and a bit that flips in a column is then served
 * as if somebody had written it.
 *
 * A layer between SQLite and its files. The last 8 bytes of a page are reserved (SQLite leaves them alone); when a page
 * is written into the database file they get a CRC-32C of its number and content, which is verified when it is read: a
 * page that is not as it was written is SQLITE_IOERR_DATA, and named in the log. The write-ahead log has checksums of
 * its own. A database that was made without those bytes is read and written as ever, until SQLite rewrites it (VACUUM).
 */
#ifndef STORE_CHECKSUM_VFS_H
#define STORE_CHECKSUM_VFS_H

#include "base/span.h"

#include <sqlite3.h>

#define CHECKSUM_VFS "ostiary"
#define CHECKSUM_SIZE 8

/* Registers it under that name, once. An SQLite result. */
MUST_USE int checksum_vfs_register(void);
/* For a connection through it, before anything is done with it: its pages get the reserved bytes when they are made,
 * and a file that is empty yet gets checksums. An SQLite result. */
MUST_USE int checksum_vfs_want(sqlite3 *db);
/* Does its file have checksums? */
bool checksum_vfs_is_on(sqlite3 *db);

/* Is this page, the number-th of its database (from 1), as it was written? `count`: of how many its beginning says that
 * it is. One of zeros behind them was never written yet. Pure. */
MUST_USE bool checksum_page_is_whole(struct span page, uint32_t number, uint32_t count);
/* Writes the checksum into a page of at least 512 bytes. Pure. */
void checksum_page_put(char *page, size_t size, uint32_t number);
/* The size of the pages of a database that begins with these bytes (100 or more); 0 where they are no such beginning.
 * Pure. */
size_t checksum_page_size(struct span beginning);
/* Of how many pages it says that it is; 0 where they are no such beginning. Pure. */
uint32_t checksum_page_count(struct span beginning);
/* Does a database that begins so have checksums? What is not the whole first page answers by what stands in its header,
 * where a bit may have flipped. Pure. */
bool checksum_is_expected(struct span beginning);

#endif
