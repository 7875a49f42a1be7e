/* Who gets a seat at my.sock. Pure. Users of the machine share them: where all are taken, one who has none, or few,
 * gets that of an idle session of whoever has most. So it takes as many users as there are seats to keep another one
 * out.
 */
#ifndef MY_SEATS_H
#define MY_SEATS_H

#include "base/span.h"

#include <sys/types.h>

#define MY_SESSIONS_MAX 64
#define MY_SESSIONS_OF_A_USER 16

struct seat {
    uid_t uid;
    bool is_idle; /* no call is in hand: it may be ended */
};

enum seat_result {
    SEAT_FREE,
    SEAT_OF_ANOTHER, /* once *spare has gone */
    SEAT_NONE,
};

/* `seats` are those that are taken, the oldest first: `count`, at most MY_SESSIONS_MAX. */
MUST_USE enum seat_result seat_choose(const struct seat *seats, size_t count, uid_t uid, size_t *spare);

#endif
