/* The DNS lists (setting dns_lists, RFC 5782): what they say about a client's address.
 *
 * All lists are asked at the same time; a white list outweighs all black ones, among equals the first of the setting
 * has the word. Answers are remembered for their TTL, bounded. A list that does not answer, or answers with an error
 * code, lists nobody, and the log says so (once a minute and list). One that did not answer three times in a row is
 * left out, so that connections do not wait for it, until it answers what it did not: that is asked at once, and
 * then less and less often, down to once a minute. A list that fails its self-test is not used until it passes one; it
 * is tested at the start, after a reload, and every hour.
 */
#ifndef SMTP_DNS_LISTS_H
#define SMTP_DNS_LISTS_H

#include "base/arena.h"
#include "config/settings.h"
#include "format/ip_address.h"
#include "ipc/peers.h"
#include "run/fiber.h"

struct dns_lists;

/* Of a process. `peers` stays the caller's. NULL without memory. */
MUST_USE struct dns_lists *dns_lists_new(struct loop *loop, struct peers *peers);
/* At the start and after each reload: takes a reference to the settings, forgets what other lists said, and starts the
 * self-tests. Checks that are under way go on with the lists they began with. -ENOMEM: the old ones stay. */
MUST_USE int dns_lists_set_settings(struct dns_lists *lists, struct settings *settings);
/* Ends the self-tests; no check may be under way. NULL-safe. */
void dns_lists_free(struct dns_lists *lists);

enum dns_list_result { DNS_LISTS_NONE, DNS_LISTS_BLACK, DNS_LISTS_WHITE };

struct dns_list_verdict {
    enum dns_list_result result;
    const char *zone;   /* the list's, "" with DNS_LISTS_NONE */
    struct span reason; /* the list's TXT record, printable ASCII, at most DNS_LIST_REASON_MAX bytes; empty where it
                           gives none */
};

/* Waits for the lists, as long as a question to the DNS may take at most. What the verdict points to is in `memory`.
 * 0, -ECANCELED, or -ENOMEM; whatever goes wrong with a list or the resolver is "not listed". */
MUST_USE int dns_lists_check(struct fiber *self, struct dns_lists *lists, const struct ip_address *ip,
                             struct arena *memory, struct dns_list_verdict *verdict);

#endif
