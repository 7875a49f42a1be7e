#include "format/address_hash.h"

#include "base/buf.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#define TEXT_MAX 2048

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567"; /* base32 */

void address_hash(struct span key, const struct span *parts, size_t count, char out[ADDRESS_HASH_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct buf text;
    buf_init(&text, TEXT_MAX);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < parts[i].size; j++)
            buf_add_char(&text, ascii_lower(parts[i].data[j]));
        buf_add_char(&text, '=');
    }
    if (buf_failed(&text) ||
        !HMAC(EVP_sha256(), key.data, (int)key.size, (const unsigned char *)text.data, text.size, digest, NULL))
        abort();
    uint64_t bits = 0;
    for (size_t i = 0; i < sizeof bits; i++)
        bits = bits << 8 | digest[i];
    for (size_t i = 0; i < ADDRESS_HASH_SIZE; i++)
        out[i] = digits[bits >> (59 - 5 * i) & 31];
    buf_release(&text);
}

bool address_hash_is_right(struct span key, const struct span *parts, size_t count, struct span hash)
{
    char right[ADDRESS_HASH_SIZE], given[ADDRESS_HASH_SIZE];
    address_hash(key, parts, count, right);
    if (hash.size != ADDRESS_HASH_SIZE)
        return false;
    for (size_t i = 0; i < ADDRESS_HASH_SIZE; i++)
        given[i] = ascii_lower(hash.data[i]);
    return span_equal_secret(span_from(right, ADDRESS_HASH_SIZE), span_from(given, ADDRESS_HASH_SIZE));
}
