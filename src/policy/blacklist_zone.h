/* Writes the own black list as a zone file (RFC 1035 section 5) of a DNS list (RFC 5782), for a name server to offer to
 * others. Pure. */
#ifndef POLICY_BLACKLIST_ZONE_H
#define POLICY_BLACKLIST_ZONE_H

#include "base/buf.h"
#include "policy/blacklist.h"

struct blacklist_zone {
    struct span zone;        /* "bl.example.org", without its last dot */
    struct span name_server; /* its host name, without the last dot; also the zone's contact is postmaster there */
    uint32_t serial;
};

/* Appends the zone: SOA, NS, the test entries of RFC 5782 section 5, and for each listed address A 127.0.0.2 and a TXT
 * with the reason. Networks of whole octets (nibbles in IPv6) are wildcards, so large ranges stay small. Exceptions and
 * 127.0.0.0/8 are left out. Names are in no such zone: it is asked about addresses. */
void blacklist_zone_write(const struct blacklist *list, const struct blacklist_zone *zone, struct buf *out);

#endif
