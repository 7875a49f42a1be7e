#include "store/srs_key.h"

#include "store/wire.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

void store_srs_key(uint64_t mark, unsigned char key[SRS_KEY_SIZE])
{
    static const unsigned char label[] = "srs addresses";
    char bytes[8];
    unsigned size = 0;
    wire_put_number(bytes, mark, 8);
    /* It can't fail but by a broken library, and a key that is known to all would let everybody bounce through us. */
    if (!HMAC(EVP_sha256(), bytes, sizeof(bytes), label, sizeof(label) - 1, key, &size) || size != SRS_KEY_SIZE)
        abort();
    explicit_bzero(bytes, sizeof(bytes));
}
