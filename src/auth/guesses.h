/* Wrong passcodes of the last hour, by network (/24, /64) and by recipient: past so many of either no further one is
 * looked at. A passcode of four digits would else be found in an afternoon.
 *
 * The hour is exact: the times of as many wrong ones as are let through are kept for each key. Who floods one
 * recipient from many networks keeps its correspondents waiting, too; so what is over the limit is to be deferred, not
 * refused for good. Times are monotonic nanoseconds. No function waits.
 */
#ifndef AUTH_GUESSES_H
#define AUTH_GUESSES_H

#include "base/list.h"
#include "base/map.h"
#include "format/ip_address.h"

#define GUESSES_OF_NETWORK 10   /* in an hour */
#define GUESSES_OF_RECIPIENT 30 /* the same, from everywhere */
#define GUESS_SECONDS 3600
/* Past that many networks or recipients the one whose last wrong passcode is oldest is forgotten. */
#define GUESS_KEYS_MAX 20000

struct guess_table {
    struct map entries;
    struct list_node by_age; /* the last to guess at the end */
    unsigned most;           /* at most GUESSES_OF_RECIPIENT */
};

/* Apart, so that neither can flush the other. */
struct guesses {
    struct guess_table networks, recipients;
};

void guesses_init(struct guesses *g);
void guesses_release(struct guesses *g);
/* Counts a wrong one. `recipient`: any key that stands for it. */
void guesses_add(struct guesses *g, const struct ip_address *from, struct span recipient, uint64_t now);
/* May another one be tried? */
bool guesses_is_allowed(const struct guesses *g, const struct ip_address *from, struct span recipient, uint64_t now);

#endif
