/* Backups while the server runs, and the way back.
 *
 * What is copied is one moment: a read transaction of a read-only connection gives the database (SQLite's online backup
 * writes it to a new file) and the committed end of each volume; volumes are only appended to, so the bytes up to there
 * never change. Their files are opened while the transaction is there; compaction may then remove their names. A backup
 * goes on from the one before: volumes that are there already, or their beginnings, are compared and not written again.
 * What the manifest lists is never replaced: a file that became another one gets a name of its own. The manifest is
 * replaced last; until then the backup before is the valid one, also after a failure or a kill. Waits for the disk
 * only. */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/backup_manifest.h"

struct backup_report {
    uint64_t volumes, bytes; /* in the backup */
    uint64_t copied;         /* bytes written */
};

typedef void backup_progress(void *context, uint64_t done_bytes, uint64_t all_bytes);

struct backup_job {
    const char *data_directory, *directory; /* the store's, the backup's */
    const char *config_path;                /* backup only: copied, too */
    backup_progress *progress;              /* may be NULL */
    void *context;
    struct backup_report report;
};

/* Makes the directory where it is missing. 0, or a negative errno with a sentence; the backup before is still valid. */
MUST_USE int store_backup(struct backup_job *job, struct buf *problem);
/* Into a data directory that is missing or empty, which nobody uses. Every byte is verified against the manifest on its
 * way. 0, or a negative errno with a sentence: -EEXIST: it is not empty; -EBADMSG: the backup is damaged. What was
 * restored until then has no database and is removed. */
MUST_USE int store_restore(struct backup_job *job, struct buf *problem);

#endif
