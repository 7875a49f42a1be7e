/* What Received: lines say (RFC 5321 section 4.4, and what servers really write), and which of a fetched message's is
 * the one that tells where the message came from. Pure, linear in the input; nothing is believed but what the caller
 * says who wrote it. */
#ifndef FORMAT_RECEIVED_H
#define FORMAT_RECEIVED_H

#include "base/arena.h"
#include "format/ip_address.h"

struct received {
    struct span from; /* the word behind "from" */
    struct span helo; /* what the client called itself; empty: not told */
    struct span ptr;  /* its name by DNS as the server looked it up; empty: unknown, or "may be forged" */
    bool has_ip;
    struct ip_address ip;                /* of the client */
    struct span by, with, id, recipient; /* recipient: behind "for", without brackets */
};

/* `value`: of one field, folds allowed. Spans are in the arena or the input. False where it says neither who it is from
 * nor who wrote it, or the arena is full. */
MUST_USE bool received_parse(struct span value, struct arena *arena, struct received *received);

/* Is `name` the domain or below it? Case does not matter. */
bool received_is_below(struct span name, struct span domain);

/* Where a fetched message came from. */
struct origin {
    bool is_known; /* a line of the provider's own servers tells of a client that is none of them */
    struct received line;
    struct ip_address hops[64]; /* clients of the provider's inner lines that are no private addresses, newest first */
    size_t hop_count;
    unsigned lines; /* Received: lines of the provider's, the origin's included */
};

/* The topmost line was written by the provider: it handed the message out. From there down, as long as lines were
 * written by the provider's servers and tell of a client that is one of these, too (a private address, or a name by DNS
 * below one of `domains`), the next one is looked at. The first other client is the origin. What stands below was
 * brought by that client and is worth nothing. `domains`: those that the provider's servers are in; the `by` of the
 * topmost line is one of them without being named. */
void origin_find(struct span header, const struct span *domains, size_t domain_count, struct arena *arena,
                 struct origin *origin);

/* The part of a host name under which its owner's other hosts are looked for: without its first label where three are
 * left with it ("pop.mail.example.net": "mail.example.net"; "pop.example.net": "example.net"; "example.net": itself).
 */
struct span origin_domain(struct span host);

#endif
