#include "ipc/grant.h"

#include <endian.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#define FACTS_SIZE 16
#define SEAL_SIZE 32
/* The key also seals nothing else as long as nothing else is sealed under this label. */
#define LABEL "ostiary grant"

static void seal(const unsigned char key[GRANT_KEY_SIZE], const unsigned char *facts, unsigned char out[SEAL_SIZE])
{
    unsigned char text[sizeof LABEL + FACTS_SIZE];
    memcpy(text, LABEL, sizeof LABEL);
    memcpy(text + sizeof LABEL, facts, FACTS_SIZE);
    unsigned size = 0;
    if (!HMAC(EVP_sha256(), key, GRANT_KEY_SIZE, text, sizeof text, out, &size) || size != SEAL_SIZE)
        abort(); /* a grant without its seal would open every maildrop */
}

void grant_make(const unsigned char key[GRANT_KEY_SIZE], uint64_t account_id, uint64_t expiry,
                unsigned char out[GRANT_SIZE])
{
    uint64_t facts[2] = {htobe64(account_id), htobe64(expiry)};
    memcpy(out, facts, FACTS_SIZE);
    seal(key, out, out + FACTS_SIZE);
}

uint64_t grant_check(const unsigned char key[GRANT_KEY_SIZE], struct span grant, uint64_t now)
{
    if (grant.size != GRANT_SIZE)
        return 0;
    unsigned char copy[GRANT_SIZE], expected[SEAL_SIZE];
    memcpy(copy, grant.data, GRANT_SIZE);
    seal(key, copy, expected);
    bool genuine = span_equal_secret(span_from(copy + FACTS_SIZE, SEAL_SIZE), span_from(expected, SEAL_SIZE));
    explicit_bzero(expected, sizeof expected); /* the right seal of a forged grant */
    uint64_t facts[2];
    memcpy(facts, copy, FACTS_SIZE);
    return genuine && be64toh(facts[1]) > now ? be64toh(facts[0]) : 0;
}
