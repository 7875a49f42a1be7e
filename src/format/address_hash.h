/* The keyed hash in addresses that we make and want back (format/srs.h, format/verp.h): whoever has not the key can't
 * make one. HMAC-SHA256, cut to 30 bits, in base32. Pure. */
#ifndef FORMAT_ADDRESS_HASH_H
#define FORMAT_ADDRESS_HASH_H

#include "base/span.h"

#define ADDRESS_HASH_SIZE 6

/* Over the lower case of the parts: servers on the way fold what they should not. All parts together have at most
 * 2000 octets. Aborts where the library fails: there is no right hash then. */
void address_hash(struct span key, const struct span *parts, size_t count, char out[ADDRESS_HASH_SIZE]);
/* In any case. */
MUST_USE bool address_hash_is_right(struct span key, const struct span *parts, size_t count, struct span hash);

#endif
