#include "my/seats.h"

static size_t count_of(const struct seat *seats, size_t count, uid_t uid)
{
    size_t of_user = 0;
    for (size_t i = 0; i < count; i++)
        of_user += seats[i].uid == uid;
    return of_user;
}

enum seat_result seat_choose(const struct seat *seats, size_t count, uid_t uid, size_t *spare)
{
    size_t own = count_of(seats, count, uid);
    if (own >= MY_SESSIONS_OF_A_USER)
        return SEAT_NONE;
    if (count < MY_SESSIONS_MAX)
        return SEAT_FREE;
    /* Nobody ends up with fewer than the one who comes has then: or two could take the same seat from each other. */
    size_t most = own + 1;
    enum seat_result result = SEAT_NONE;
    for (size_t i = 0; i < count; i++) {
        size_t of_user = seats[i].is_idle ? count_of(seats, count, seats[i].uid) : 0;
        if (of_user <= most)
            continue;
        most = of_user;
        *spare = i;
        result = SEAT_OF_ANOTHER;
    }
    return result;
}
