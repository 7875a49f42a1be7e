/* The manifest of a backup: what is in it, how large, with which checksum. Text, a line a file, written last: a backup
 * without a whole manifest is none. Pure.
 *
 *   ostiary-backup 1
 *   mark 5271983340120198
 *   time 1790000000
 *   file 1048576 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 volumes/0001.vol
 *   end 1
 */
#ifndef STORE_BACKUP_MANIFEST_H
#define STORE_BACKUP_MANIFEST_H

#include "base/arena.h"
#include "base/buf.h"

#define BACKUP_CHECKSUM_SIZE 32 /* SHA-256 */
#define BACKUP_FILES_MAX 1000100u
#define BACKUP_NAME_MAX 64

struct backup_file {
    char name[BACKUP_NAME_MAX]; /* "store.db.1", "volumes/0001.vol", "ostiary.conf", "blacklist.txt.2" */
    uint64_t size;              /* so many bytes of the file count: a volume in it may have grown since */
    unsigned char checksum[BACKUP_CHECKSUM_SIZE];
};

struct backup_manifest {
    uint64_t mark; /* of the store */
    uint64_t time; /* seconds since 1970: when the moment was that it holds */
    struct backup_file *files;
    size_t count;
};

/* What it is called in the store: a name in the backup may have ".<number>" behind it, so that a new version stands
 * beside the one that the manifest still lists. */
struct span backup_name_base(struct span name);
/* The names that a manifest may have, and no others: no path leads out of the backup. */
bool backup_name_is_good(struct span name);
/* Is it a database's, "store.db.<number>"? */
bool backup_name_is_database(struct span name);

void backup_manifest_write(const struct backup_manifest *m, struct buf *out);
/* Everything in its place, no name twice, one database. False with a sentence; the files are the arena's. */
MUST_USE bool backup_manifest_parse(struct span text, struct arena *arena, struct backup_manifest *m,
                                    struct buf *problem);

#endif
