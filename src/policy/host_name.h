/* What can be read out of the name that a client has or gives itself. Pure. */
#ifndef POLICY_HOST_NAME_H
#define POLICY_HOST_NAME_H

#include "format/ip_address.h"

/* An address, bare or in brackets, IPv4 or IPv6: what no server's name is. *ip is that address where it is well formed
 * ("[300.1.1.1]" is none but looks like one: zeros). */
bool host_name_is_address(struct span name, struct ip_address *ip);
/* What stands behind the last dot; all of it without one; a dot at the very end does not count. */
struct span host_name_last_label(struct span name);
/* Does the name look as if a provider gave it to its customers by the thousand: the address's own numbers are in it, or
 * a word like "dyn", "dhcp", "dsl", "pool"? */
bool host_name_looks_dynamic(struct span name, const struct ip_address *ip);
/* Do both names end in the same two labels (the same one, where one of them has no more)? */
bool host_name_fits(struct span helo, struct span name);

#endif
