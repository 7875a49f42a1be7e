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

/* ---- Hi() in slices ---- */

#define HMAC_BLOCK 64

static void update(EVP_MD_CTX *context, const void *data, size_t size)
{
    if (EVP_DigestUpdate(context, data, size) != 1)
        abort();
}

static EVP_MD_CTX *begin_half(const unsigned char *key, size_t size, unsigned char pad)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char block[HMAC_BLOCK];
    if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        abort();
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (i < size ? key[i] : 0) ^ pad;
    update(context, block, sizeof block);
    explicit_bzero(block, sizeof block);
    return context;
}

static void end_half(struct digest_hi *hi, const EVP_MD_CTX *half, struct span a, struct span b)
{
    if (EVP_MD_CTX_copy_ex(hi->work, half) != 1)
        abort();
    update(hi->work, bytes_of(a), a.size);
    update(hi->work, bytes_of(b), b.size);
    if (EVP_DigestFinal_ex(hi->work, hi->last, NULL) != 1)
        abort();
}

/* U(i) out of U(i-1), or of salt and number: RFC 2104 around RFC 8018 section 5.2. */
static void step(struct digest_hi *hi, struct span a, struct span b)
{
    end_half(hi, hi->inner, a, b);
    end_half(hi, hi->outer, span_from(hi->last, SHA256_SIZE), (struct span){0});
    for (size_t i = 0; i < SHA256_SIZE; i++)
        hi->sum[i] ^= hi->last[i];
    hi->left--;
}

void digest_hi_begin(struct digest_hi *hi, struct span password, struct span salt, unsigned iterations)
{
    unsigned char shortened[SHA256_SIZE];
    struct span key = password;
    if (key.size > HMAC_BLOCK) {
        digest_sha256(key, shortened);
        key = span_from(shortened, sizeof shortened);
    }
    *hi = (struct digest_hi){.inner = begin_half(bytes_of(key), key.size, 0x36),
                             .outer = begin_half(bytes_of(key), key.size, 0x5c),
                             .work = EVP_MD_CTX_new(),
                             .left = iterations};
    explicit_bzero(shortened, sizeof shortened);
    if (!hi->work)
        abort();
    step(hi, salt, span_from("\0\0\0\1", 4));
}

bool digest_hi_work(struct digest_hi *hi, unsigned iterations)
{
    for (; hi->left && iterations; iterations--)
        step(hi, span_from(hi->last, SHA256_SIZE), (struct span){0});
    return hi->left == 0;
}

void digest_hi_release(struct digest_hi *hi)
{
    EVP_MD_CTX_free(hi->inner);
    EVP_MD_CTX_free(hi->outer);
    EVP_MD_CTX_free(hi->work);
    explicit_bzero(hi, sizeof *hi);
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
