/* SRS: the Sender Rewriting Scheme. A message that is sent on by an alias of ours leaves with a reverse path of ours,
 * so that the next server's SPF check holds, and a bounce finds its way back through us.
 *
 *   SRS0=HASH=DAY=DOMAIN=LOCAL@forwarder             of LOCAL@DOMAIN
 *   SRS1=HASH=FIRST=REST@forwarder                   of SRS0REST@FIRST, an SRS0 address of somebody else
 *
 * The hash (HMAC-SHA256, cut to 30 bits, base32, any case) keeps strangers from making us their bouncer; the day stamp
 * lets it end. Pure: the key and the time come in. All functions are linear in the address.
 */
#ifndef FORMAT_SRS_H
#define FORMAT_SRS_H

#include "base/buf.h"

/* A bounce comes within this time or not at all: more than the five days of RFC 5321 section 4.5.4.1 on each of two
 * servers. */
#define SRS_DAYS 21

/* Appends the rewritten address to *out: local@domain, the local part quoted where it has to be. `local_part` is
 * unquoted, `forwarder` our domain. An address that has no domain, or would grow longer than a path may be (256 octets
 * with its brackets), can't be rewritten: nothing is appended. */
void srs_forward_write(struct span local_part, struct span domain, struct span forwarder, struct span key,
                       uint64_t wall_seconds, struct buf *out);

enum srs_result {
    SRS_NONE,  /* the local part is of another kind: an ordinary name */
    SRS_RIGHT, /* the address was appended */
    SRS_WRONG, /* a hash that is not ours, or a form that nobody writes: no such user */
    SRS_OLD,   /* was right, more than SRS_DAYS ago (or in days to come) */
};

/* Where a bounce to this local part (unquoted, of a domain of ours) goes: appends local@domain to *out. The domain is
 * in lower case and well formed (format/address.h). */
MUST_USE enum srs_result srs_reverse(struct span local_part, struct span key, uint64_t wall_seconds, struct buf *out);

#endif
