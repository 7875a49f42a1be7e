#include "format/sealed.h"

#include "format/base64.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#define VERSION 1
#define TAG_SIZE 16
#define NONCE_SIZE 12
#define HEAD_SIZE (1 + SEALED_KEY_SIZE)
#define BLOCK 64 /* secrets are filled up to a multiple of it */
#define PLAIN_MAX (2 + SEALED_SECRET_MAX + BLOCK)
#define BYTES_MAX (HEAD_SIZE + PLAIN_MAX + TAG_SIZE)

static const char info[] = "ostiary sealed secret 1";

/* ---- Keys ---- */

static int read_public(EVP_PKEY *key, unsigned char out[SEALED_KEY_SIZE])
{
    size_t size = SEALED_KEY_SIZE;
    return EVP_PKEY_get_raw_public_key(key, out, &size) == 1 && size == SEALED_KEY_SIZE ? 0 : -EIO;
}

int sealed_key_make(unsigned char private_key[SEALED_KEY_SIZE], unsigned char public_key[SEALED_KEY_SIZE])
{
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    size_t size = SEALED_KEY_SIZE;
    int error = key && EVP_PKEY_get_raw_private_key(key, private_key, &size) == 1 && size == SEALED_KEY_SIZE ? 0 : -EIO;
    if (!error)
        error = read_public(key, public_key);
    EVP_PKEY_free(key);
    return error;
}

int sealed_key_public(const unsigned char private_key[SEALED_KEY_SIZE], unsigned char public_key[SEALED_KEY_SIZE])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, SEALED_KEY_SIZE);
    int error = key ? read_public(key, public_key) : -EIO;
    EVP_PKEY_free(key);
    return error;
}

/* X25519 (RFC 7748), then HKDF. `fresh` and `receiver` are the public keys. */
static int derive(const unsigned char own_private[SEALED_KEY_SIZE], const unsigned char peer[SEALED_KEY_SIZE],
                  const unsigned char fresh[SEALED_KEY_SIZE], const unsigned char receiver[SEALED_KEY_SIZE],
                  unsigned char out[32 + NONCE_SIZE])
{
    unsigned char shared[SEALED_KEY_SIZE], salt[2 * SEALED_KEY_SIZE];
    size_t shared_size = sizeof shared, out_size = 32 + NONCE_SIZE;
    memcpy(salt, fresh, SEALED_KEY_SIZE);
    memcpy(salt + SEALED_KEY_SIZE, receiver, SEALED_KEY_SIZE);
    EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, own_private, SEALED_KEY_SIZE);
    EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, SEALED_KEY_SIZE);
    EVP_PKEY_CTX *exchange = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
    EVP_PKEY_CTX *kdf = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    /* A peer's key of small order gives zeros, which OpenSSL refuses. */
    bool good = exchange && other && kdf && EVP_PKEY_derive_init(exchange) == 1 &&
                EVP_PKEY_derive_set_peer(exchange, other) == 1 &&
                EVP_PKEY_derive(exchange, shared, &shared_size) == 1 && shared_size == sizeof shared &&
                EVP_PKEY_derive_init(kdf) == 1 && EVP_PKEY_CTX_set_hkdf_md(kdf, EVP_sha256()) == 1 &&
                EVP_PKEY_CTX_set1_hkdf_salt(kdf, salt, sizeof salt) == 1 &&
                EVP_PKEY_CTX_set1_hkdf_key(kdf, shared, sizeof shared) == 1 &&
                EVP_PKEY_CTX_add1_hkdf_info(kdf, (const unsigned char *)info, sizeof info - 1) == 1 &&
                EVP_PKEY_derive(kdf, out, &out_size) == 1;
    EVP_PKEY_CTX_free(kdf);
    EVP_PKEY_CTX_free(exchange);
    EVP_PKEY_free(other);
    EVP_PKEY_free(own);
    explicit_bzero(shared, sizeof shared);
    return good ? 0 : -EIO;
}

/* ---- AES-256-GCM ---- */

static bool encrypt(const unsigned char key[32 + NONCE_SIZE], struct span context, const unsigned char *plain,
                    size_t size, unsigned char *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;
    bool good = c && EVP_EncryptInit_ex2(c, EVP_aes_256_gcm(), key, key + 32, NULL) == 1 &&
                EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)context.data, (int)context.size) == 1 &&
                EVP_EncryptUpdate(c, out, &n, plain, (int)size) == 1 && (size_t)n == size &&
                EVP_EncryptFinal_ex(c, out + size, &n) == 1 &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, out + size) == 1;
    EVP_CIPHER_CTX_free(c);
    return good;
}

static bool decrypt(const unsigned char key[32 + NONCE_SIZE], struct span context, const unsigned char *bytes,
                    size_t size, unsigned char *plain)
{
    unsigned char tag[TAG_SIZE];
    memcpy(tag, bytes + size, TAG_SIZE);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n = 0;
    bool good = c && EVP_DecryptInit_ex2(c, EVP_aes_256_gcm(), key, key + 32, NULL) == 1 &&
                EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)context.data, (int)context.size) == 1 &&
                EVP_DecryptUpdate(c, plain, &n, bytes, (int)size) == 1 && (size_t)n == size &&
                EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
                EVP_DecryptFinal_ex(c, plain + size, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    return good;
}

/* ---- The text ---- */

#define CONTEXT_MAX 4096

int sealed_write(const unsigned char public_key[SEALED_KEY_SIZE], struct span context, struct span secret,
                 struct buf *out)
{
    unsigned char own[SEALED_KEY_SIZE], key[32 + NONCE_SIZE], plain[PLAIN_MAX] = {0}, bytes[BYTES_MAX];
    if (secret.size > SEALED_SECRET_MAX || context.size > CONTEXT_MAX)
        return -EMSGSIZE;
    size_t size = (2 + secret.size + BLOCK - 1) / BLOCK * BLOCK;
    plain[0] = (unsigned char)(secret.size >> 8);
    plain[1] = (unsigned char)secret.size;
    if (secret.size)
        memcpy(plain + 2, secret.data, secret.size);
    bytes[0] = VERSION;
    int error = sealed_key_make(own, bytes + 1);
    if (!error)
        error = derive(own, public_key, bytes + 1, public_key, key);
    if (!error && !encrypt(key, context, plain, size, bytes + HEAD_SIZE))
        error = -EIO;
    if (!error) {
        base64_write(span_from(bytes, HEAD_SIZE + size + TAG_SIZE), out);
        error = buf_failed(out) ? -ENOMEM : 0;
    }
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(own, sizeof own);
    explicit_bzero(key, sizeof key);
    return error;
}

static bool take_secret(const unsigned char *plain, size_t size, struct buf *secret)
{
    size_t length = (size_t)plain[0] << 8 | plain[1];
    if (length > size - 2)
        return false;
    buf_add(secret, plain + 2, length);
    return !buf_failed(secret);
}

bool sealed_open(const unsigned char private_key[SEALED_KEY_SIZE], struct span context, struct span text,
                 struct buf *secret)
{
    unsigned char own_public[SEALED_KEY_SIZE], key[32 + NONCE_SIZE], plain[PLAIN_MAX];
    struct buf bytes;
    buf_init(&bytes, BYTES_MAX + 4);
    bool good = text.size <= SEALED_TEXT_MAX && context.size <= CONTEXT_MAX && base64_parse(text, &bytes) &&
                bytes.size > HEAD_SIZE + TAG_SIZE + 2 && bytes.size <= BYTES_MAX && bytes.data[0] == VERSION;
    size_t size = good ? bytes.size - HEAD_SIZE - TAG_SIZE : 0;
    const unsigned char *data = (const unsigned char *)bytes.data;
    good = good && size <= PLAIN_MAX && sealed_key_public(private_key, own_public) == 0 &&
           derive(private_key, data + 1, data + 1, own_public, key) == 0 &&
           decrypt(key, context, data + HEAD_SIZE, size, plain) && take_secret(plain, size, secret);
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(key, sizeof key);
    buf_release(&bytes);
    return good;
}

void sealed_key_write(const unsigned char key[SEALED_KEY_SIZE], struct buf *out)
{
    base64_write(span_from(key, SEALED_KEY_SIZE), out);
    buf_add_char(out, '\n');
}

bool sealed_key_parse(struct span text, unsigned char key[SEALED_KEY_SIZE])
{
    struct buf bytes;
    buf_init(&bytes, SEALED_KEY_SIZE + 4);
    struct span line = span_trim(span_cut(&text, '\n'));
    bool good = base64_parse(line, &bytes) && bytes.size == SEALED_KEY_SIZE;
    if (good)
        memcpy(key, bytes.data, SEALED_KEY_SIZE);
    if (bytes.data)
        explicit_bzero(bytes.data, bytes.size);
    buf_release(&bytes);
    return good;
}
