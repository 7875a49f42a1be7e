/* A reader's view of the store: the database opened read-only, and the volumes. It never writes and never checkpoints
 * (see sqlite.c). Functions wait for the disk only. */
#ifndef STORE_VIEW_H
#define STORE_VIEW_H

#include "store/database.h"
#include "store/volume.h"

#define VIEW_FILES_MAX 64
#define FETCH_MAX (4u << 20) /* bytes of one fetch */

struct view_file {
    uint32_t number; /* 0: free */
    int fd;
    uint64_t used; /* when, by the view's turns */
};

struct view {
    struct database *db;
    int directory; /* of volumes/ */
    uint64_t mark, turn;
    struct view_file files[VIEW_FILES_MAX];
    struct buf window; /* what was read of a volume, within one fetch */
};

/* 0, or a negative errno with a sentence. A failed view needs no release. */
MUST_USE int view_open(struct view *v, const char *data_directory, struct buf *problem);
void view_release(struct view *v);

/* 1 and the account that the mailbox is of; 0 when there is none; -errno. */
MUST_USE int view_mailbox_owner(struct view *v, uint64_t mailbox_id, uint64_t *account_id, uint32_t *uidvalidity);

/* One entry of a maildrop as it travels: ipc/store_read.proto, MaildropEntry. */
#define MAILDROP_ENTRY_SIZE 16
/* Appends the mailbox's entries with uid >= from_uid while they fit `out`'s limit. *next_uid is 0 when that was all. 0
 * or -errno. */
MUST_USE int view_maildrop(struct view *v, uint64_t mailbox_id, uint32_t from_uid, struct buf *out, uint32_t *count,
                           uint32_t *next_uid);

struct piece {
    uint32_t uid, size;
    uint64_t offset, total;
    bool gone;
};

/* As many of the messages, in order, as fit max_bytes, at least one piece; the first from `offset` on. Every byte has
 * been verified. *piece_count is the room of `pieces` and becomes how many there are. 0; -EIO: a record is damaged
 * (logged); -EINVAL: the offset is behind the message's end; -errno. */
MUST_USE int view_fetch(struct view *v, uint64_t mailbox_id, const uint32_t *uids, size_t uid_count, uint64_t offset,
                        uint32_t max_bytes, struct piece *pieces, size_t *piece_count, struct buf *out);

/* ---- One message, by its id ---- */

struct view_message {
    uint32_t volume;
    uint64_t message_id, position, stored, size;
};

/* 1 and where it lies; 0 when nobody has it any more; -errno. */
MUST_USE int view_message_find(struct view *v, uint64_t message_id, struct view_message *m);
/* Its facts' bytes, in the view until its next use, and its body from `offset` on, at most max_bytes, appended to
 * `out`. 0; -EAGAIN: its volume is gone, look it up again; -EIO: damaged (logged); -errno. */
MUST_USE int view_message_read(struct view *v, const struct view_message *m, uint64_t offset, uint32_t max_bytes,
                               struct span *facts, struct buf *out);
/* Logs that it cannot be read; returns -EIO. */
int view_message_damaged(const struct view_message *m, int error);

#endif
