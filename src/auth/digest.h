/* The digests that auth needs, of OpenSSL. They can't fail but by a broken library: then the process aborts, since
 * every fallback would let somebody in. No function waits. */
#ifndef AUTH_DIGEST_H
#define AUTH_DIGEST_H

#include "base/span.h"

#define SHA256_SIZE 32
#define MD5_HEX_SIZE 32

void digest_sha256(struct span data, unsigned char out[SHA256_SIZE]);
void digest_hmac_sha256(struct span key, struct span data, unsigned char out[SHA256_SIZE]);
/* Hi() of RFC 5802 section 2.2. */
void digest_pbkdf2_sha256(struct span password, struct span salt, unsigned iterations, unsigned char out[SHA256_SIZE]);

/* The same in slices, where the iterations are somebody else's word and others wait meanwhile. */
struct digest_hi {
    struct evp_md_ctx_st *inner, *outer, *work; /* HMAC's two halves behind their keys, and the one at work */
    unsigned char last[SHA256_SIZE], sum[SHA256_SIZE];
    unsigned left; /* iterations */
};
void digest_hi_begin(struct digest_hi *hi, struct span password, struct span salt, unsigned iterations);
/* At most so many iterations. True: done, and `sum` is it. */
bool digest_hi_work(struct digest_hi *hi, unsigned iterations);
/* Wipes it. One that was never begun has to be zeros. */
void digest_hi_release(struct digest_hi *hi);

/* MD5 of a followed by b, as 32 lower-case hex digits: for APOP only (RFC 1939 section 7). */
void digest_md5_hex(struct span a, struct span b, char out[MD5_HEX_SIZE]);
/* Random bytes from the system. */
void digest_random(void *out, size_t size);

#endif
