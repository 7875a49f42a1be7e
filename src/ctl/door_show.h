/* One kind of door items of an owner, listed: passcodes, codes for others, limited addresses. */
#ifndef CTL_DOOR_SHOW_H
#define CTL_DOOR_SHOW_H

#include "ctl/door_client.h"
#include "ctl/json.h"
#include "policy/door_item.h"

struct door_show {
    struct door_work work;
    enum door_kind kind;
    bool secrets;        /* codes are wanted, too */
    const char *nothing; /* the line where there is none: "there are no passcodes" */
    /* With --json an object's members, else a line. */
    void (*write)(struct door_show *show, struct json *json, const struct door_owner *owner,
                  const StoreWrite__DoorItem *item);
};

/* The whole command: takes the owner from the arguments and lists. The exit status. */
int door_show_run(struct door_show *show);
/* As a part of another command's work. 0 or an exit status with the sentence. */
MUST_USE int door_show_items(struct fiber *self, struct door_client *client, struct door_show *show,
                             const struct door_owner *owner);
/* "  until 2027-01-31 23:59 UTC" or "  expired …"; nothing where it has no end. */
void door_show_expiry(const StoreWrite__DoorItem *item, struct buf *out);

#endif
