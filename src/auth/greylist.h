/* Greylisting (RFC 6647): what a network (/24, /64) sends from one sender to one recipient for the first time has to
 * come again after a short wait. Networks that did are known together with the sender's domain from then on, as long
 * as they come at least every KNOWN_SECONDS.
 *
 * Kept in memory only: after a restart of auth each waits once more. What does not fit passes: a flood may switch
 * greylisting off for a while, but never hold up mail. Keys are hashes under a secret of this process. Times are
 * monotonic nanoseconds. No function waits.
 */
#ifndef AUTH_GREYLIST_H
#define AUTH_GREYLIST_H

#include "base/list.h"
#include "base/map.h"
#include "format/ip_address.h"

#define GREYLIST_WAIT_MAX 300              /* seconds; no recipient can ask for more */
#define GREYLIST_RETRY_SECONDS (2 * 86400) /* who comes back later than that begins anew */
#define GREYLIST_KNOWN_SECONDS (36 * 86400)
#define GREYLIST_WAITING_MAX 100000
#define GREYLIST_KNOWN_MAX 100000

struct greylist_table {
    struct map entries;
    struct list_node by_age;
};

struct greylist {
    struct greylist_table waiting; /* (network, sender, recipient), by the time of the first attempt */
    struct greylist_table known;   /* (network, domain of the sender), by the time of the last one */
};

struct greylist_attempt {
    struct ip_address from;
    struct span reverse_path; /* local@domain; empty for <> */
    struct span recipient;
    unsigned wait_seconds; /* what the recipient asks for */
};

void greylist_init(struct greylist *g);
void greylist_release(struct greylist *g);
/* Seconds that are still to be waited; 0: it may pass. */
unsigned greylist_check(struct greylist *g, const struct greylist_attempt *attempt, uint64_t now);

#endif
