/* The board of sessions: who is connected now, for whoever looks (`ostiary watch`). Shared memory, one column for each
 * process of a role, one slot for each of its connections: gates and desks note what happens with plain stores, no lock
 * and no call; the looker maps it read-only.
 *
 * Each slot has a sequence number that is odd while it is being written: a reader that meets one tries again, and a few
 * times only, since the writer may have died there. A process that was taken over can write nonsense into the board,
 * its own column or another's: it then spoils what is shown. A reader takes no offset, size or text from it unchecked.
 * No function waits.
 */
#ifndef POLICY_SESSION_BOARD_H
#define POLICY_SESSION_BOARD_H

#include "base/span.h"

#define SESSION_BOARD_COLUMNS 64
#define SESSION_BOARD_SLOTS 65536u /* of a column */
#define SESSION_ID_MAX 31
#define SESSION_ACCOUNT_MAX 95 /* longer addresses are shown cut */

struct session_board;
/* The place of one connection. NULL is allowed wherever one is taken: then nothing is noted. */
struct session_slot;

/* What a reader sees of a connection: its own copy. */
struct session_view {
    unsigned service; /* the writer's number for it: check it */
    unsigned char address[16];
    uint64_t since; /* wall clock */
    uint64_t account_id;
    uint32_t accepted, refused;
    char session[SESSION_ID_MAX + 1], account[SESSION_ACCOUNT_MAX + 1]; /* printable ASCII and UTF-8, NUL-terminated */
};

/* A fresh board in anonymous shared memory that takes no room until it is used: its descriptor (close-on-exec), or a
 * negative errno. `columns` from 1 to SESSION_BOARD_COLUMNS; `slots` of each, cut to SESSION_BOARD_SLOTS: more
 * connections than that are not shown. */
MUST_USE int session_board_create(unsigned columns, unsigned slots);
/* Maps it: to write into the column `own`, or to read only, with own = SESSION_BOARD_READ. `columns` is the number it
 * was made with. The descriptor stays the caller's and is not needed any more. NULL when it is too small or there is no
 * memory. */
MUST_USE struct session_board *session_board_map(int fd, unsigned columns, unsigned own);
#define SESSION_BOARD_READ UINT32_MAX
/* NULL-safe. */
void session_board_unmap(struct session_board *b);

/* ---- The writer ---- */

/* A connection begins; NULL when all slots are taken. `now` on the wall clock. */
struct session_slot *session_board_begin(struct session_board *b, unsigned service, const unsigned char address[16],
                                         struct span session, uint64_t now);
void session_board_end(struct session_board *b, struct session_slot *slot);
/* Who it is that logged in; 0 and an empty span: nobody any more. */
void session_note_account(struct session_slot *slot, uint64_t account_id, struct span address);
/* Is somebody logged in, as far as was noted? */
bool session_has_account(const struct session_slot *slot);
/* A message was taken in, or handed out to its owner. */
void session_note_accepted(struct session_slot *slot);
/* A command was refused. */
void session_note_refused(struct session_slot *slot);

/* ---- The reader ---- */

unsigned session_board_columns(const struct session_board *b);
/* How many slots of the column are worth looking at, never more than there are. */
unsigned session_board_used(const struct session_board *b, unsigned column);
/* False when nobody is there, or when it does not hold still. */
MUST_USE bool session_board_read(const struct session_board *b, unsigned column, unsigned place,
                                 struct session_view *view);

/* ---- The supervisor ---- */

/* Forgets all that a dead process had noted, on a board mapped to write (into whichever column). Only while nobody uses
 * that column. */
void session_board_clear_column(struct session_board *b, unsigned column);

#endif
