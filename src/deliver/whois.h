/* Asking WHOIS about an address (RFC 3912): whois.servers first, in turn until one answers, then whom it refers to.
 *
 * At most WHOIS_REFERRALS_MAX referrals; a server that was asked already ends the way; at most WHOIS_TEXT_MAX of each
 * answer and of all together. Addresses outside the open Internet are neither asked about nor, but for the servers of
 * the settings, connected to, unless courier.private_networks has them; nor is, elsewhere than there, another port than
 * 43 that a referral names. What was learned is remembered for the network
 * that the answers name (format/whois.h: never too wide); a question under way is asked once.
 */
#ifndef DELIVER_WHOIS_H
#define DELIVER_WHOIS_H

#include "deliver/internal.h"
#include "format/whois.h"

#define WHOIS_REFERRALS_MAX 4
#define WHOIS_TEXT_MAX 65536

/* NULL without memory. */
MUST_USE struct whois *whois_new(void);
/* Takes the call. */
void whois_start(struct courier *c, struct call *call);

/* ---- whois_walk.c: the way from server to server ---- */

struct whois_walk {
    struct courier *courier;
    const struct settings *settings;
    struct ip_address address;
    uint64_t deadline;
    struct rates *rates;

    struct whois_answer answer; /* of all servers together */
    struct buf text;            /* the same, each behind a line "[server]" */
    struct buf servers;         /* that answered, blanks between */
    unsigned answered;          /* how many did */
    bool is_broken_off;         /* the last one referred to did not */
};

/* Pure: may a server be asked there? `is_trusted`: it is one of the settings. One that was referred to lies in the open
 * Internet and listens at port 43 (RFC 3912; IANA and the registries refer to no other port but for rwhois, which is
 * another protocol): who could name any port would have us knock at any service of anybody. In networks of `own`
 * (courier.private_networks) anything goes. */
MUST_USE bool whois_may_connect(const struct network_list *own, bool is_trusted, const struct ip_address *ip,
                                uint16_t port);
/* Waits, at most until the deadline and what the DNS takes. */
void whois_walk(struct fiber *self, struct whois_walk *walk);

#endif
