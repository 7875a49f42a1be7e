/* The DNS lists (setting dns_lists, RFC 5782): what each of them says about a client's address.
 *
 * All lists are asked at the same time. Answers are remembered for their TTL, bounded. A list that does not answer, or
 * answers with an error
 * code, lists nobody, and the log says so (once a minute and list). One that did not answer three times in a row is
 * left out, so that connections do not wait for it, until it answers what it did not: that is asked at once, and
 * then less and less often, down to once a minute. A list that fails its self-test is not used until it passes one; it
 * is tested at the start, after a reload, and every hour.
 */
#ifndef FACTS_DNS_LISTS_H
#define FACTS_DNS_LISTS_H

#include "base/arena.h"
#include "config/settings.h"
#include "format/ip_address.h"
#include "ipc/peers.h"
#include "policy/facts.h"
#include "run/fiber.h"

struct dns_lists;

/* Of a process. `peers` stays the caller's. NULL without memory. */
MUST_USE struct dns_lists *dns_lists_new(struct loop *loop, struct peers *peers);
/* At the start and after each reload: takes a reference to the settings, forgets what other lists said, and starts the
 * self-tests. Checks that are under way go on with the lists they began with. -ENOMEM: the old ones stay. */
MUST_USE int dns_lists_set_settings(struct dns_lists *lists, struct settings *settings);
/* Ends the self-tests; no check may be under way. NULL-safe. */
void dns_lists_free(struct dns_lists *lists);

/* What was asked a moment ago: false where the lists have to be asked (dns_lists_check). Without lists there is nothing
 * to ask. What *found points to is in `memory`, in the order of the setting, at most DNS_LIST_FACTS_MAX. */
MUST_USE bool dns_lists_recall(struct dns_lists *lists, const struct ip_address *ip, struct arena *memory,
                               struct dns_list_fact **found, size_t *count);
/* Waits for the lists, as long as a question to the DNS may take at most. 0, -ECANCELED, or -ENOMEM; whatever goes
 * wrong with a list or the resolver is that list's DNS_LIST_FACT_UNKNOWN. */
MUST_USE int dns_lists_check(struct fiber *self, struct dns_lists *lists, const struct ip_address *ip,
                             struct arena *memory, struct dns_list_fact **found, size_t *count);

#endif
