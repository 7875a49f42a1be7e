/* What the files of one change of doors (door_change.c, door_forward.c, door_history.c, door_undo.c) share. */
#ifndef STORE_DOOR_CHANGE_INTERNAL_H
#define STORE_DOOR_CHANGE_INTERNAL_H

#include "store/change_internal.h"
#include "store/door_change.h"

/* One change as it goes along. Steps return 0, SAID or a negative errno. */
struct door_edit {
    struct store *s;
    const struct door_change *change;
    struct buf *problem;
    struct directory directory;
    struct span by;      /* who it is, for the rows */
    struct span own;     /* the address of the person who asks; empty for the administrator */
    uint64_t now, bytes; /* nanoseconds; of the steps' texts so far */
    uint64_t undoes;     /* number of the change that is taken back, or 0 */
    struct door_step *steps;
    size_t count;
    struct map keys; /* of the steps: nothing may be wished for twice */
    struct door_owner last_owner;
    struct span last_text; /* the owner that was looked up last */
    uint32_t last_level;
};

/* Room for the steps of so many wishes. */
MUST_USE int door_steps_reserve(struct door_edit *e, size_t count);
/* Adds the step of one wish, after looking at it. */
MUST_USE int door_wish_take(struct door_edit *e, const struct door_wish *wish);
/* Turns the change of the history into wishes, and takes them. */
MUST_USE int door_undo_take(struct door_edit *e);

/* Is it one of the settings that the alias table keeps: "forward", "forward.to", "forward.keep"? */
bool door_forward_is(struct span name);
/* The forwarding of an account as up to three items without an id. *count 0: there is none. Also 0 where an alias of
 * that address leads to several: that is no person's forwarding. 0 or a negative errno. */
MUST_USE int door_forward_items(const struct directory *d, const struct door_owner *owner, struct arena *arena,
                                struct door_item items[3], size_t *count);
/* Writes what the steps about a forwarding want into the alias table. */
MUST_USE int door_forward_apply(struct door_edit *e);

/* Who gave an item of the account that is no row its value, and when, as far as the newest changes tell: set_by,
 * set_at. 0 or a negative errno. */
MUST_USE int door_history_tell(struct database *db, const struct door_owner *owner, struct arena *arena,
                               struct door_item *items, size_t count);

/* Notes the steps: *number. */
MUST_USE int door_history_add(struct door_edit *e, uint64_t *number);

#endif
