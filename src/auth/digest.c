#include "auth/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/random.h>

static const unsigned char *bytes_of(struct span s)
{
    return (const unsigned char *)(s.size ? s.data : "");
}

void digest_sha256(struct span data, unsigned char out[SHA256_SIZE])
{
    if (EVP_Digest(bytes_of(data), data.size, out, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

void digest_hmac_sha256(struct span key, struct span data, unsigned char out[SHA256_SIZE])
{
    if (!HMAC(EVP_sha256(), bytes_of(key), (int)key.size, bytes_of(data), data.size, out, NULL))
        abort();
}

void digest_pbkdf2_sha256(struct span password, struct span salt, unsigned iterations, unsigned char out[SHA256_SIZE])
{
    if (PKCS5_PBKDF2_HMAC((const char *)bytes_of(password), (int)password.size, bytes_of(salt), (int)salt.size,
                          (int)iterations, EVP_sha256(), SHA256_SIZE, out) != 1)
        abort();
}

void digest_md5_hex(struct span a, struct span b, char out[MD5_HEX_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char raw[MD5_HEX_SIZE / 2];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || EVP_DigestInit_ex(context, EVP_md5(), NULL) != 1 ||
        EVP_DigestUpdate(context, bytes_of(a), a.size) != 1 || EVP_DigestUpdate(context, bytes_of(b), b.size) != 1 ||
        EVP_DigestFinal_ex(context, raw, NULL) != 1)
        abort();
    EVP_MD_CTX_free(context);
    for (size_t i = 0; i < sizeof raw; i++) {
        out[2 * i] = hex[raw[i] >> 4];
        out[2 * i + 1] = hex[raw[i] & 15];
    }
    explicit_bzero(raw, sizeof raw);
}

void digest_random(void *out, size_t size)
{
    unsigned char *at = out;
    while (size) {
        ssize_t n = getrandom(at, size, 0);
        if (n <= 0)
            abort();
        at += n;
        size -= (size_t)n;
    }
}
