/* Which Received: line of a fetched message tells where the message came from. Pure, linear in the header; nothing is
 * believed but what the provider's own servers wrote. */
#ifndef FORMAT_ORIGIN_H
#define FORMAT_ORIGIN_H

#include "format/received.h"

/* Where a fetched message came from. */
struct origin {
    bool is_known; /* a line of the provider's own servers tells of a client that is none of them */
    struct received line;
    struct ip_address hops[64]; /* clients of the provider's inner lines that are no private addresses, newest first */
    size_t hop_count;
    unsigned lines; /* Received: lines of the provider's, the origin's included */
};

/* The topmost line was written by the provider: it handed the message out. From there down, as long as lines were
 * written by the provider's servers and tell of a client that is one of these, too (a private address, an address of
 * the provider's own networks, or a name by DNS below one of `domains`), the next one is looked at. The first other
 * client is the origin. What stands below was brought by that client and is worth nothing.
 *
 * `domains`: those that the provider's servers are in; what is known of great providers (origin.c has the table) is
 * added to them, and so is the domain of the first server that tells a name of its own. A name that means something
 * only inside ("store7", "mx.internal", a private address) is the provider's, too, behind a client of its own. */
void origin_find(struct span header, const struct span *domains, size_t domain_count, struct arena *arena,
                 struct origin *origin);

/* The part of a host name under which its owner's other hosts are looked for: without its first label where what is
 * left is somebody's own ("pop.mail.example.net": "mail.example.net"; "pop.example.net": "example.net"; "example.net"
 * and "example.co.uk": themselves). */
struct span origin_domain(struct span host);

#endif
