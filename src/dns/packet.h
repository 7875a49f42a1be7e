/* An answer of the DNS as it comes over the wire (RFC 1035 section 4), of which only the records that were asked for
 * are taken, at the end of the CNAMEs that lead to them. Pure; linear in the message. */
#ifndef DNS_PACKET_H
#define DNS_PACKET_H

#include "base/arena.h"

#define DNS_PACKET_RECORDS_MAX 256 /* more are not taken */

struct dns_packet {
    unsigned rcode;
    struct span *records; /* RDATA with the names in it uncompressed, in memory */
    size_t count;
    uint32_t ttl;          /* the shortest of those records and CNAMEs; without records what the SOA grants, or 0 */
    struct span canonical; /* where CNAMEs led, as text; empty where there are none or it has odd characters */
};

/* `type` was asked for. False when the message can't be read, or without memory. */
MUST_USE bool dns_packet_parse(struct span message, unsigned type, struct arena *memory, struct dns_packet *packet);

#endif
