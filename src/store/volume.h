/* The volumes' files: appending with one gathered write and one sync a batch, and reading.
 *
 * A data directory has volumes/0001.vol, 0002.vol, …; only the newest is appended to. Writing waits for the disk;
 * nothing here waits for a peer.
 */
#ifndef STORE_VOLUME_H
#define STORE_VOLUME_H

#include "store/volume_record.h"

#include <sys/uio.h>

#define VOLUME_NAME_SIZE 24

/* "0001.vol" */
void volume_name(uint32_t number, char out[VOLUME_NAME_SIZE]);
/* The number that a file's name stands for, 0 when it is none. */
uint32_t volume_number(const char *name);
/* The numbers of the volumes in the directory, rising, in *numbers (freed by the caller). -errno. */
MUST_USE int volume_list(int directory, uint32_t **numbers, size_t *count);
/* O_RDONLY. A descriptor or a negative errno. */
MUST_USE int volume_open(int directory, uint32_t number);

/* ---- Reading ---- */

struct record {
    struct record_header header;
    uint64_t position;
    struct span facts; /* in the caller's buf */
};

/* Reads header and facts at `position`. 0; -ENODATA at or past `end`; -EBADMSG when no whole, undamaged record of this
 * volume stands there; -errno. `mark` 0 takes any mark. */
MUST_USE int record_read(int fd, uint32_t volume, uint64_t mark, uint64_t position, uint64_t end, struct buf *memory,
                         struct record *record);
/* The position of the next whole header of that volume and mark at or behind `position`, `end` when there is none. For
 * damaged volumes. */
MUST_USE int record_search(int fd, uint32_t volume, uint64_t mark, uint64_t position, uint64_t end, uint64_t *found);

/* Bytes [offset, offset + size) of a message's body, verified and decompressed, appended to `out`. `message_id` seeds
 * the blocks' checksums. 0; -EBADMSG when it is damaged; -ENOMEM; -errno of the disk. */
MUST_USE int body_read(int fd, const struct record *record, uint64_t message_id, uint64_t offset, uint64_t size,
                       struct buf *out);
/* The same of a record that lies whole in memory. */
MUST_USE int body_read_memory(struct span stored, const struct record_header *header, uint64_t message_id,
                              uint64_t offset, uint64_t size, struct buf *out);
/* Are all blocks whole? 0, -EBADMSG, -errno. */
MUST_USE int body_verify(int fd, const struct record *record, uint64_t message_id);

/* ---- Appending ---- */

struct volume_writer {
    int directory, fd; /* of volumes/, of the newest volume */
    uint32_t number;
    uint64_t mark;
    uint64_t position;      /* where the next record goes */
    uint64_t lsn, batch;    /* of the next record; of the running batch's first */
    unsigned compress_from; /* bytes, 0 = never */
    bool unsynced;          /* written to since the last sync */
    uint64_t syncs;
    /* What is gathered and not written yet. */
    uint64_t gather_position;
    size_t gather_bytes;
    struct iovec *pieces;
    size_t piece_count, piece_room;
    struct arena memory;
    void *compressor; /* ZSTD_CCtx */
    /* Of bodies that come from files: a block as it came, and as it is stored. NULL until the first one. */
    char *block, *block_room;
};

enum body_kind { BODY_NONE, BODY_MEMORY, BODY_FILE, BODY_RECORD };

struct body {
    enum body_kind kind;
    uint64_t message_id;
    struct span bytes; /* BODY_MEMORY: borrowed until volume_write() */
    int fd;            /* BODY_FILE, BODY_RECORD */
    uint64_t size;     /* BODY_FILE: of the file, which must have exactly so many bytes */
    const struct record
        *record; /* BODY_RECORD: a record in the volume at fd, copied as stored after verifying each block */
};

struct record_place {
    uint32_t volume;
    uint64_t position, size, lsn;
};

void volume_writer_init(struct volume_writer *v, int directory /* taken */);
void volume_writer_release(struct volume_writer *v);
/* Makes volume `number` and syncs its directory; its first record is gathered. The newest until now must be written and
 * synced. */
MUST_USE int volume_begin(struct volume_writer *v, uint32_t number);
/* Goes on at the end of an existing one. */
MUST_USE int volume_continue(struct volume_writer *v, uint32_t number, uint64_t end);

/* Gathers a record. 0; -EINVAL, -EBADMSG or -errno when the body can't be read: nothing was appended then and the batch
 * can go on; -ENOMEM, -errno of the volume. */
MUST_USE int volume_append(struct volume_writer *v, enum record_type type, struct span facts, const struct body *body,
                           struct record_place *place);
/* Writes what is gathered. 0 or -errno. */
MUST_USE int volume_write(struct volume_writer *v);
/* One fdatasync. After an error it is never called again for this volume: what the disk holds is then unknown. */
MUST_USE int volume_sync(struct volume_writer *v);
/* Forgets everything behind `end`, gathered or written, and takes its lsns back. */
MUST_USE int volume_cut(struct volume_writer *v, uint64_t end, uint64_t lsn);

#endif
