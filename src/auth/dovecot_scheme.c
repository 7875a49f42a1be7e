#include "auth/dovecot_scheme.h"

#include "auth/scram.h"
#include "format/base64.h"

#include <argon2.h>
#include <crypt.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#define PBKDF2_SIZE 20 /* of SHA-1 */
#define DES_SIZE 13
#define BSDI_SIZE 20

enum family {
    FAMILY_PLAIN,
    FAMILY_CRYPT,
    FAMILY_SCRAM,
    FAMILY_DIGEST,
    FAMILY_SALTED,
    FAMILY_PBKDF2,
    FAMILY_ARGON2,
    FAMILY_HOPELESS, /* made for a protocol of its own: a password can't be compared with it, or not by us */
};

struct scheme {
    const char *name;
    enum family family;
    const EVP_MD *(*digest)(void);
    unsigned size; /* of the digest */
};

static const struct scheme schemes[] = {
    {"PLAIN", FAMILY_PLAIN, NULL, 0},           {"CLEAR", FAMILY_PLAIN, NULL, 0},
    {"CLEARTEXT", FAMILY_PLAIN, NULL, 0},       {"CRYPT", FAMILY_CRYPT, NULL, 0},
    {"DES-CRYPT", FAMILY_CRYPT, NULL, 0},       {"MD5", FAMILY_CRYPT, NULL, 0},
    {"MD5-CRYPT", FAMILY_CRYPT, NULL, 0},       {"SHA256-CRYPT", FAMILY_CRYPT, NULL, 0},
    {"SHA512-CRYPT", FAMILY_CRYPT, NULL, 0},    {"BLF-CRYPT", FAMILY_CRYPT, NULL, 0},
    {"SCRAM-SHA-256", FAMILY_SCRAM, NULL, 0},   {"SHA", FAMILY_DIGEST, EVP_sha1, 20},
    {"SHA1", FAMILY_DIGEST, EVP_sha1, 20},      {"SHA256", FAMILY_DIGEST, EVP_sha256, 32},
    {"SHA512", FAMILY_DIGEST, EVP_sha512, 64},  {"PLAIN-MD5", FAMILY_DIGEST, EVP_md5, 16},
    {"LDAP-MD5", FAMILY_DIGEST, EVP_md5, 16},   {"SSHA", FAMILY_SALTED, EVP_sha1, 20},
    {"SSHA256", FAMILY_SALTED, EVP_sha256, 32}, {"SSHA512", FAMILY_SALTED, EVP_sha512, 64},
    {"SMD5", FAMILY_SALTED, EVP_md5, 16},       {"PBKDF2", FAMILY_PBKDF2, NULL, 0},
    {"ARGON2I", FAMILY_ARGON2, NULL, 0},        {"ARGON2ID", FAMILY_ARGON2, NULL, 0},
    {"CRAM-MD5", FAMILY_HOPELESS, NULL, 0},     {"HMAC-MD5", FAMILY_HOPELESS, NULL, 0},
    {"DIGEST-MD5", FAMILY_HOPELESS, NULL, 0},   {"SCRAM-SHA-1", FAMILY_HOPELESS, NULL, 0},
    {"NTLM", FAMILY_HOPELESS, NULL, 0},         {"LANMAN", FAMILY_HOPELESS, NULL, 0},
    {"OTP", FAMILY_HOPELESS, NULL, 0},          {"SKEY", FAMILY_HOPELESS, NULL, 0},
    {"RPA", FAMILY_HOPELESS, NULL, 0},
};

enum encoding { ENCODING_UNSAID, ENCODING_BASE64, ENCODING_HEX };

static const struct scheme *find_scheme(struct span name)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (span_is_nocase(name, schemes[i].name))
            return &schemes[i];
    return NULL;
}

/* Cuts "{SCHEME.ENCODING}" off *rest. */
static const char *take_scheme(struct span *rest, const struct scheme **scheme, enum encoding *encoding)
{
    *encoding = ENCODING_UNSAID;
    *scheme = find_scheme((struct span)SPAN("CRYPT"));
    if (rest->size == 0 || rest->data[0] != '{')
        return NULL;
    size_t close = span_find(*rest, '}');
    if (close == rest->size)
        return "a password scheme without its '}'";
    struct span suffix = span_from(rest->data + 1, close - 1), name = span_cut(&suffix, '.');
    *rest = span_skip(*rest, close + 1);
    if (span_is_nocase(suffix, "B64") || span_is_nocase(suffix, "BASE64"))
        *encoding = ENCODING_BASE64;
    else if (span_is_nocase(suffix, "HEX"))
        *encoding = ENCODING_HEX;
    else if (suffix.size)
        return "a password encoding that is none of HEX, B64 and BASE64";
    *scheme = find_scheme(name);
    return *scheme ? NULL : "a password scheme that this server does not know";
}

bool dovecot_scheme_is_named(struct span text)
{
    size_t i = 1;
    if (text.size == 0 || text.data[0] != '{')
        return false;
    while (i < text.size &&
           (text.data[i] == '-' || text.data[i] == '.' || (text.data[i] >= '0' && text.data[i] <= '9') ||
            (text.data[i] >= 'A' && text.data[i] <= 'Z')))
        i++;
    return i > 1 && i < text.size && text.data[i] == '}';
}

static int hex_value(char c)
{
    char lower = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool parse_hex(struct span text, struct buf *out)
{
    for (size_t i = 0; i + 1 < text.size; i += 2) {
        int high = hex_value(text.data[i]), low = hex_value(text.data[i + 1]);
        if (high < 0 || low < 0)
            return false;
        buf_add_char(out, (char)(high << 4 | low));
    }
    return text.size % 2 == 0 && !buf_failed(out);
}

/* Digests are written in either way; the length tells which, as Dovecot guesses it. */
static bool decode_digest(const struct scheme *scheme, enum encoding encoding, struct span text, struct buf *bytes)
{
    bool hex = encoding == ENCODING_HEX;
    if (encoding == ENCODING_UNSAID && scheme->family == FAMILY_DIGEST)
        hex = text.size == 2 * (size_t)scheme->size;
    if (!(hex ? parse_hex(text, bytes) : base64_parse(text, bytes)))
        return false;
    return scheme->family == FAMILY_DIGEST ? bytes->size == scheme->size : bytes->size > scheme->size;
}

static const char *write_digest(const struct scheme *scheme, enum encoding encoding, struct span text,
                                struct buf *value)
{
    struct buf bytes;
    buf_init(&bytes, DOVECOT_VALUE_MAX);
    bool good = decode_digest(scheme, encoding, text, &bytes);
    if (good) {
        buf_printf(value, "{%s}", scheme->name);
        base64_write(buf_span(&bytes), value);
    }
    buf_release(&bytes);
    return good ? NULL : "a password hash that is cut off or not what its scheme says";
}

static const char *check_crypt(struct span hash)
{
    char text[CRYPT_OUTPUT_SIZE];
    if (hash.size == 0)
        return "no password";
    if (hash.size >= sizeof text || memchr(hash.data, 0, hash.size))
        return "a password hash that crypt(5) does not know";
    memcpy(text, hash.data, hash.size);
    text[hash.size] = 0;
    if (text[0] == '!' || text[0] == '*')
        return "a locked password: give the account a new one";
    int known = crypt_checksalt(text);
    bool cut = text[0] == '_' ? hash.size != BSDI_SIZE : text[0] != '$' && hash.size != DES_SIZE;
    if (known == CRYPT_SALT_INVALID || known == CRYPT_SALT_METHOD_DISABLED || cut)
        return "a password hash that crypt(5) does not know";
    return NULL;
}

/* "4096,salt,StoredKey,ServerKey" becomes our "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey". */
static const char *write_scram(struct span text, struct buf *value)
{
    static const char *const before[] = {"SCRAM-SHA-256$", ":", "$", ":"};
    struct scram_verifier verifier;
    for (size_t i = 0; i < 4; i++) {
        buf_add_text(value, before[i]);
        buf_add_span(value, i < 3 ? span_cut(&text, ',') : text);
    }
    bool good = scram_verifier_parse(buf_span(value), &verifier);
    explicit_bzero(&verifier, sizeof verifier);
    return good ? NULL : "a SCRAM-SHA-256 verifier that is not iterations,salt,stored key,server key";
}

/* ---- PBKDF2: "$1$salt$rounds$hash", the hash in hex ---- */

struct pbkdf2 {
    struct span salt;
    uint64_t rounds;
    char hash[PBKDF2_SIZE];
};

static const char *parse_pbkdf2(struct span text, struct pbkdf2 *out)
{
    struct buf hash;
    buf_init(&hash, PBKDF2_SIZE);
    bool good = span_cut(&text, '$').size == 0 && span_is(span_cut(&text, '$'), "1");
    out->salt = span_cut(&text, '$');
    good = good && out->salt.size && span_parse_u64(span_cut(&text, '$'), DOVECOT_PBKDF2_ROUNDS_MAX, &out->rounds) &&
           out->rounds > 0 && parse_hex(text, &hash) && hash.size == PBKDF2_SIZE;
    if (good)
        memcpy(out->hash, hash.data, PBKDF2_SIZE);
    buf_release(&hash);
    return good ? NULL : "a PBKDF2 hash that is not $1$salt$rounds$hash, or has too many rounds";
}

static int verify_pbkdf2(const struct password *password, struct span text)
{
    struct pbkdf2 p;
    unsigned char made[PBKDF2_SIZE];
    if (parse_pbkdf2(text, &p))
        return -EINVAL;
    if (PKCS5_PBKDF2_HMAC(password->text, (int)password->size, (const unsigned char *)p.salt.data, (int)p.salt.size,
                          (int)p.rounds, EVP_sha1(), PBKDF2_SIZE, made) != 1)
        return -ENOMEM;
    bool equal = span_equal_secret(span_from(made, sizeof made), span_from(p.hash, sizeof p.hash));
    explicit_bzero(made, sizeof made);
    return equal ? 0 : -EACCES;
}

/* ---- Argon2: "$argon2id$v=19$m=65536,t=3,p=1$salt$hash", base64 without its padding ---- */

enum { ARGON2_BYTES_MAX = 64 };

struct argon2 {
    argon2_type type;
    uint32_t version, memory, passes, lanes;
    unsigned char salt[ARGON2_BYTES_MAX], hash[ARGON2_BYTES_MAX];
    uint32_t salt_size, hash_size;
};

static bool take_number(struct span *rest, char separator, const char *name, uint64_t max, uint32_t *value)
{
    uint64_t number;
    struct span part = span_cut(rest, separator), digits = span_skip(part, strlen(name));
    if (!span_equal(span_head(part, strlen(name)), span_text(name)) || !span_parse_u64(digits, max, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

static bool parse_unpadded(struct span text, unsigned char out[ARGON2_BYTES_MAX], uint32_t *size)
{
    struct buf padded, bytes;
    buf_init(&padded, DOVECOT_VALUE_MAX);
    buf_init(&bytes, ARGON2_BYTES_MAX);
    buf_add_span(&padded, text);
    while (!buf_failed(&padded) && padded.size % 4)
        buf_add_char(&padded, '=');
    bool good = !buf_failed(&padded) && base64_parse(buf_span(&padded), &bytes) && bytes.size;
    if (good) {
        memcpy(out, bytes.data, bytes.size);
        *size = (uint32_t)bytes.size;
    }
    buf_release(&padded);
    buf_release(&bytes);
    return good;
}

static const char *parse_argon2(struct span text, struct argon2 *a)
{
    bool good = span_cut(&text, '$').size == 0;
    struct span type = span_cut(&text, '$');
    a->type = span_is(type, "argon2id") ? Argon2_id : Argon2_i;
    good = good && (a->type == Argon2_id || span_is(type, "argon2i")) &&
           take_number(&text, '$', "v=", ARGON2_VERSION_NUMBER, &a->version) &&
           take_number(&text, ',', "m=", UINT32_MAX, &a->memory) &&
           take_number(&text, ',', "t=", UINT32_MAX, &a->passes) && take_number(&text, '$', "p=", 255, &a->lanes) &&
           parse_unpadded(span_cut(&text, '$'), a->salt, &a->salt_size) && parse_unpadded(text, a->hash, &a->hash_size);
    if (!good || a->lanes == 0 || a->passes == 0 || a->memory < 8 * a->lanes || a->salt_size < ARGON2_MIN_SALT_LENGTH ||
        a->hash_size < ARGON2_MIN_OUTLEN || (a->version != ARGON2_VERSION_10 && a->version != ARGON2_VERSION_13))
        return "an Argon2 hash that is not $argon2id$v=19$m=65536,t=3,p=1$salt$hash";
    if (a->memory > DOVECOT_ARGON2_MEMORY_MAX || a->passes > DOVECOT_ARGON2_PASSES_MAX ||
        (uint64_t)a->memory * a->passes > DOVECOT_ARGON2_WORK_MAX)
        return "an Argon2 hash that takes more memory or passes than this server spends on a login";
    return NULL;
}

static int verify_argon2(const struct password *password, struct span text)
{
    struct argon2 a;
    unsigned char made[ARGON2_BYTES_MAX], copy[PASSWORD_MAX + 1];
    if (parse_argon2(text, &a))
        return -EINVAL;
    memcpy(copy, password->text, password->size);
    argon2_context context = {.out = made,
                              .outlen = a.hash_size,
                              .pwd = copy,
                              .pwdlen = (uint32_t)password->size,
                              .salt = a.salt,
                              .saltlen = a.salt_size,
                              .t_cost = a.passes,
                              .m_cost = a.memory,
                              .lanes = a.lanes,
                              .threads = 1, /* the sandbox lets nobody make others; the result is the same */
                              .version = a.version,
                              .flags = ARGON2_DEFAULT_FLAGS};
    int error = argon2_ctx(&context, a.type);
    explicit_bzero(copy, sizeof copy);
    if (error)
        return error == ARGON2_MEMORY_ALLOCATION_ERROR ? -ENOMEM : -EINVAL;
    bool equal = span_equal_secret(span_from(made, a.hash_size), span_from(a.hash, a.hash_size));
    explicit_bzero(made, sizeof made);
    return equal ? 0 : -EACCES;
}

/* ---- All ---- */

static int verify_digest(const struct scheme *scheme, const struct password *password, struct span text)
{
    unsigned char made[EVP_MAX_MD_SIZE];
    struct buf bytes;
    buf_init(&bytes, DOVECOT_VALUE_MAX);
    int rc = decode_digest(scheme, ENCODING_BASE64, text, &bytes) ? 0 : -EINVAL;
    EVP_MD_CTX *context = rc == 0 ? EVP_MD_CTX_new() : NULL;
    if (rc == 0) {
        struct span stored = buf_span(&bytes), salt = span_skip(stored, scheme->size);
        bool done = context && EVP_DigestInit_ex(context, scheme->digest(), NULL) == 1 &&
                    EVP_DigestUpdate(context, password->text, password->size) == 1 &&
                    EVP_DigestUpdate(context, salt.size ? salt.data : "", salt.size) == 1 &&
                    EVP_DigestFinal_ex(context, made, NULL) == 1;
        bool equal = done && span_equal_secret(span_from(made, scheme->size), span_head(stored, scheme->size));
        rc = !done ? -ENOMEM : equal ? 0 : -EACCES;
    }
    EVP_MD_CTX_free(context);
    buf_release(&bytes);
    explicit_bzero(made, sizeof made);
    return rc;
}

int dovecot_scheme_verify(const struct password *password, struct span value)
{
    const struct scheme *scheme;
    enum encoding encoding;
    if (value.size > DOVECOT_VALUE_MAX || take_scheme(&value, &scheme, &encoding))
        return -EINVAL;
    if (password->size == 0)
        return -EACCES;
    switch (scheme->family) {
    case FAMILY_DIGEST:
    case FAMILY_SALTED:
        return verify_digest(scheme, password, value);
    case FAMILY_PBKDF2:
        return verify_pbkdf2(password, value);
    case FAMILY_ARGON2:
        return verify_argon2(password, value);
    default:
        return -EINVAL;
    }
}

/* What has an encoding and is a text in itself is decoded into that text first. */
static const char *decode_text(enum encoding encoding, struct span *text, struct buf *decoded)
{
    if (encoding == ENCODING_UNSAID)
        return NULL;
    if (!(encoding == ENCODING_HEX ? parse_hex(*text, decoded) : base64_parse(*text, decoded)))
        return "a password that is not encoded as its scheme says";
    *text = buf_span(decoded);
    return NULL;
}

static const char *write_value(const struct scheme *scheme, struct span text, enum dovecot_kind *kind,
                               struct buf *value)
{
    const char *problem = NULL;
    struct pbkdf2 pbkdf2;
    struct argon2 argon2;
    *kind = scheme->family == FAMILY_PLAIN   ? DOVECOT_PLAIN
            : scheme->family == FAMILY_CRYPT ? DOVECOT_CRYPT
            : scheme->family == FAMILY_SCRAM ? DOVECOT_SCRAM_SHA_256
                                             : DOVECOT_OWN;
    if (scheme->family == FAMILY_SCRAM)
        return write_scram(text, value);
    if (scheme->family == FAMILY_CRYPT)
        problem = check_crypt(text);
    else if (scheme->family == FAMILY_PBKDF2)
        problem = parse_pbkdf2(text, &pbkdf2);
    else if (scheme->family == FAMILY_ARGON2)
        problem = parse_argon2(text, &argon2);
    else if (text.size == 0)
        problem = "no password";
    if (problem)
        return problem;
    if (*kind == DOVECOT_OWN)
        buf_printf(value, "{%s}", scheme->name);
    buf_add_span(value, text);
    return NULL;
}

const char *dovecot_scheme_parse(struct span text, enum dovecot_kind *kind, struct buf *value)
{
    const struct scheme *scheme;
    enum encoding encoding;
    *kind = DOVECOT_OWN;
    if (text.size > DOVECOT_VALUE_MAX)
        return "a password or hash that is too long";
    const char *problem = take_scheme(&text, &scheme, &encoding);
    if (problem)
        return problem;
    if (scheme->family == FAMILY_HOPELESS)
        return "a password scheme with which no password can be compared here: give the account a new password";
    if (scheme->family == FAMILY_DIGEST || scheme->family == FAMILY_SALTED) {
        problem = write_digest(scheme, encoding, text, value);
    } else {
        struct buf decoded;
        buf_init(&decoded, DOVECOT_VALUE_MAX);
        problem = decode_text(encoding, &text, &decoded);
        problem = problem ? problem : write_value(scheme, text, kind, value);
        if (decoded.data)
            explicit_bzero(decoded.data, decoded.room);
        buf_release(&decoded);
    }
    return problem                                                ? problem
           : buf_failed(value) || value->size > DOVECOT_VALUE_MAX ? "a password or hash that is too long"
                                                                  : NULL;
}
