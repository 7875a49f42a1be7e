/* A change of somebody's door, gathered item by item and sent at once: all of it or nothing. */
#ifndef CTL_DOOR_EDIT_H
#define CTL_DOOR_EDIT_H

#include "ctl/door_client.h"
#include "policy/door_item.h"

#define DOOR_EDIT_MAX 10000 /* items of one change */

struct door_edit {
    struct door_work *work;
    struct door_owner owner;
    StoreWrite__DoorItem *items, **list;
    size_t count, room;
    struct buf words; /* for the history: what the person did, without secrets */
};

/* `room` items at most; memory is work->arena's but for `words`. EX_OSERR with the sentence, or 0. */
MUST_USE int door_edit_init(struct door_edit *e, struct door_work *work, const struct door_owner *owner, size_t room);
void door_edit_release(struct door_edit *e);

/* One item of e->owner, whose name and value are checked and brought into the form in which they are kept (the spans
 * are then the arena's). EX_DATAERR with the sentence, or 0. *item (may be NULL) stays the edit's. */
MUST_USE int door_edit_put(struct door_edit *e, enum door_kind kind, struct span name, struct span value,
                           StoreWrite__DoorItem **item);
/* One that goes. The name is checked as above where that is possible; else it goes as it is. */
MUST_USE int door_edit_remove(struct door_edit *e, enum door_kind kind, struct span name);

/* Sends it and says what came of it, in words or as JSON: {"changed": 1, "number": 17}. `what` is "setting", "entry".
 */
MUST_USE int door_edit_send(struct fiber *self, struct door_client *client, struct door_edit *e, const char *what);

/* A moment in seconds since 1970 out of "2027-01-31", "90d", "12h": the end of that day (UTC), or so long from `now`.
 * False where it is none, or not later than now. Pure. */
MUST_USE bool door_expiry_parse(struct span text, uint64_t now, uint64_t *at);
/* The option --until; 0 without. EX_USAGE with the sentence, or 0. */
MUST_USE int door_expiry_take(struct ctl *ctl, uint64_t *at);
/* "2027-01-31 23:59 UTC" */
void door_time_write(uint64_t seconds, struct buf *out);
/* "2027-01-31" */
void door_day_write(uint64_t seconds, struct buf *out);

#endif
