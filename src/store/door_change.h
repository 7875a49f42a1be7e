/* Changes of doors: all of them or none, with a history that can be taken back. No function waits but for the disk. */
#ifndef STORE_DOOR_CHANGE_H
#define STORE_DOOR_CHANGE_H

#include "store/door.h"

#define DOOR_CHANGE_ITEMS_MAX 10000
#define DOOR_CHANGE_BYTES_MAX (8u << 20)   /* of what was before and what is wanted, together */
#define DOOR_HISTORY_MAX 1000              /* changes of one owner that are kept; the oldest go first */
#define DOOR_HISTORY_BYTES (64u << 20)     /* of them, together */
#define DOOR_HISTORY_PAGE_BYTES (1u << 20) /* of them, read at once; the last one may go beyond */
/* What a person may change within a day, by number and by bytes of history: each change grows the volumes. */
#define DOOR_PERSON_CHANGES 1000
#define DOOR_PERSON_BYTES (16u << 20)

/* One item that is wanted. */
struct door_wish {
    uint32_t kind, level; /* unchecked */
    struct span owner;    /* door_owner_find() */
    struct span name, value;
    uint64_t expires_at; /* seconds since 1970; 0: never */
    bool locked, remove;
    uint64_t id; /* of the row that an undo brings back; 0: a new one where there is none */
};

struct door_change {
    uint64_t account_id; /* who asks: 0 the administrator, who may do all; else that person, for their own door only */
    struct span by;      /* the administrator's word for the history: "admin" */
    struct span words;   /* for the history: "allow 7F3K-2QXD" */
    const struct door_wish *wishes;
    size_t count;
    bool undo;         /* takes back a change of the history, and wishes for nothing */
    uint64_t number;   /* of it; 0: the last one of `owner` that is neither undone nor an undo itself */
    struct span owner; /* with undo and number 0, of the administrator */
};

/* An item before and after. The spans are in the store's arena until the next operation. */
struct door_step {
    struct door_owner owner;
    struct span owner_text;
    struct door_item before, after; /* the key stands in both */
    bool was, is;                   /* it was there; it is now */
};

struct door_outcome {
    uint64_t number; /* in the history; 0 where nothing had to be changed */
    struct door_step *steps;
    size_t count; /* those that made a difference */
};

/* In a batch. 0 with the outcome; 0 with a sentence in `problem` where a person can mend it: nothing was changed then;
 * a negative errno: the batch is lost. */
MUST_USE int store_door_change(struct store *s, const struct door_change *change, struct door_outcome *outcome,
                               struct buf *problem);

/* ---- The history ---- */

struct door_past {
    uint64_t number, at; /* nanoseconds since 1970 */
    struct span by, words;
    struct door_owner owner;
    bool undone;
    uint64_t undoes; /* the number of the change that it took back, or 0 */
    struct door_step *steps;
    size_t count;
};

/* Changes of an owner (of everybody: `owner` NULL), newest first, those with smaller numbers than `before` (0: all).
 * *count is the room and then what there is; *more: there are older ones, since a page is bounded in bytes, too. A
 * person sees those of their addresses beside those of their account. 0 or a negative errno. */
MUST_USE int door_history_list(struct database *db, const struct door_owner *owner, uint64_t before,
                               struct arena *arena, struct door_past *past, size_t *count, bool *more);
/* 1, 0 where there is no such number, or a negative errno. */
MUST_USE int door_history_get(struct database *db, uint64_t number, struct arena *arena, struct door_past *past);

#endif
