/* The reverse path of a mailing list's copy names the member that it went to (VERP), so that a bounce tells whose
 * address is dead:
 *
 *   LIST-bounces+MEMBER-HASH@DOMAIN     LIST-bounces@DOMAIN where no member is meant
 *
 * Enough bounces suspend a member, so nobody may forge one for somebody else: the hash is keyed
 * (format/address_hash.h). It has no day stamp: a member's number is never given out anew, and who had a copy can but
 * suspend themselves. Pure. */
#ifndef FORMAT_VERP_H
#define FORMAT_VERP_H

#include "base/buf.h"

/* Appends local@domain. `list` is the list's local part, unquoted; member 0: none. */
void verp_write(struct span list, struct span domain, uint64_t member, struct span key, struct buf *out);

struct verp {
    struct span list; /* in the local part */
    uint64_t member;  /* 0: none is named */
    struct span hash; /* to be checked; empty where no member is named */
};

/* The parts of a local part (unquoted). False when it is of another kind: an ordinary name. */
MUST_USE bool verp_parse(struct span local_part, struct verp *verp);
/* Was it made by whoever has the key? True where no member is named. */
MUST_USE bool verp_is_right(const struct verp *verp, struct span domain, struct span key);

#endif
