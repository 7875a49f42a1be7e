/* A grant: auth's word that a desk session acts for an account. The store believes nothing else: a desk that was taken
 * over can't read the mail of people who did not log in through it. Sealed with HMAC-SHA-256 under a key that only auth
 * and store processes hold (made anew at each start of the supervisor). It ends by the monotonic clock: whoever sets
 * the others ends nobody's session. No function waits. */
#ifndef IPC_GRANT_H
#define IPC_GRANT_H

#include "base/span.h"

#define GRANT_KEY_SIZE 32
#define GRANT_SIZE 48 /* account id (8), expiry in seconds of the monotonic clock (8), seal (32) */

void grant_make(const unsigned char key[GRANT_KEY_SIZE], uint64_t account_id, uint64_t expiry,
                unsigned char out[GRANT_SIZE]);
/* The account id, or 0 when it is forged, expired (now in seconds of that clock) or of another size. */
uint64_t grant_check(const unsigned char key[GRANT_KEY_SIZE], struct span grant, uint64_t now);

#endif
