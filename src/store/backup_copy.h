/* Copying files into and out of a backup, with checksums. Inner to store/backup.c and store/restore.c. */
#ifndef STORE_BACKUP_COPY_H
#define STORE_BACKUP_COPY_H

#include "store/backup.h"

#define MANIFEST_NAME "manifest"
#define MANIFEST_MAX (128u << 20)

struct copier {
    struct backup_job *job;
    uint64_t done, all; /* bytes, for the progress */
    char *buffers[2];   /* of COPY_PIECE bytes each */
};
#define COPY_PIECE (1u << 20)

MUST_USE int copier_init(struct copier *c, struct backup_job *job);
void copier_release(struct copier *c);

/* Makes file->name below directory `to` be the first `size` bytes of fd `from`, with file->size and file->checksum of
 * them, synced. What stands there already is compared, and only what is missing behind it is written. 0; -ESTALE:
 * something else stands there; -EBADMSG: `from` is shorter; -errno. */
MUST_USE int copier_extend(struct copier *c, int from, uint64_t size, int to, struct backup_file *file);
/* The same, whatever stands there: it is replaced. */
MUST_USE int copier_write(struct copier *c, int from, uint64_t size, int to, struct backup_file *file);
/* The checksum of the file's first `size` bytes, with fd `to` (-1: nowhere) getting them. */
MUST_USE int copier_read(struct copier *c, int from, uint64_t size, int to,
                         unsigned char checksum[BACKUP_CHECKSUM_SIZE]);

#endif
