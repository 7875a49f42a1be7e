/* Who failed, and for how long the answer is held back: counted by address, by network (/24, /64) and by account, and
 * the longest of the three delays counts. One struct for each kind of failure (logins; asking for users that are not
 * there), so that one is not punished for the other.
 *
 * Only failures are delayed: whoever knows the password never waits, whatever others try on the account or from the
 * same network. A network is shared by many and slows down later than an address. Times are monotonic nanoseconds. No
 * function waits.
 */
#ifndef AUTH_FAILURES_H
#define AUTH_FAILURES_H

#include "auth/penalties.h"
#include "format/ip_address.h"

struct failures {
    struct penalties addresses, networks, accounts; /* each with a memory of its own: none can flush another's */
};

void failures_init(struct failures *f);
void failures_release(struct failures *f);
/* Counts one. `account` is any key that stands for it, empty where there is none. The delay. */
uint64_t failures_add(struct failures *f, const struct ip_address *address, struct span account, uint64_t now);
/* Is so much wrong with the address or its network that others come first? A person mistypes twice. */
bool failures_is_suspect(const struct failures *f, const struct ip_address *address, uint64_t now);

#endif
