/* The data of DNS records, names in it uncompressed, as the resolver hands them on: what each type holds. All input is
 * hostile. Pure. */
#ifndef DNS_RDATA_H
#define DNS_RDATA_H

#include "base/arena.h"
#include "format/ip_address.h"

/* RFC 1035 section 3.4.1, RFC 3596: A has 4 bytes, AAAA 16. */
MUST_USE bool rdata_address(struct span rdata, struct ip_address *address);

struct rdata_mx {
    unsigned preference;
    struct span host; /* as text, in memory; empty for the root: RFC 7505's null MX */
};
/* RFC 1035 section 3.3.9. False also for a host with characters that no host name has. */
MUST_USE bool rdata_mx(struct span rdata, struct arena *memory, struct rdata_mx *mx);
/* A single name: PTR, NS, CNAME. False also for the root. */
MUST_USE bool rdata_name(struct span rdata, struct arena *memory, struct span *name);
/* RFC 1035 section 3.3.14: its strings run together, in memory. */
MUST_USE bool rdata_text(struct span rdata, struct arena *memory, struct span *text);

#endif
