#include "run/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <time.h>

#define YEARS_SECONDS (3652L * 86400)
#define DAY_SECONDS 86400
#define SOON_DAYS 14
#define COMMON_NAME_MAX 64 /* RFC 5280 appendix A.1: ub-common-name */

static bool add_name(GENERAL_NAMES *names, const char *before, const char *host)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    char full[300];
    int size = snprintf(full, sizeof full, "%s%s", before, host);
    bool done = name && text && size > 0 && (size_t)size < sizeof full && ASN1_STRING_set(text, full, size);
    if (done) {
        GENERAL_NAME_set0_value(name, GEN_DNS, text);
        text = NULL;
        done = sk_GENERAL_NAME_push(names, name) > 0;
        if (done)
            name = NULL;
    }
    ASN1_IA5STRING_free(text);
    GENERAL_NAME_free(name);
    return done;
}

static bool add_address(GENERAL_NAMES *names, const char *address)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OCTET_STRING *bytes = a2i_IPADDRESS(address);
    bool done = name && bytes;
    if (done) {
        GENERAL_NAME_set0_value(name, GEN_IPADD, bytes);
        bytes = NULL;
        done = sk_GENERAL_NAME_push(names, name) > 0;
        if (done)
            name = NULL;
    }
    ASN1_OCTET_STRING_free(bytes);
    GENERAL_NAME_free(name);
    return done;
}

static bool add_names(X509 *certificate, const char *host)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool done = names && add_name(names, "", host) && add_name(names, "*.", host) && add_name(names, "", "localhost") &&
                add_address(names, "127.0.0.1") && add_address(names, "::1") &&
                X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return done;
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool done = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

/* A random number of 127 bits: unique and positive (RFC 5280 section 4.1.2.2). */
static bool set_serial(X509 *certificate)
{
    unsigned char bytes[16];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
    BN_free(number);
    return done;
}

static bool fill_in(X509 *certificate, EVP_PKEY *key, const char *host)
{
    const char *common = strlen(host) <= COMMON_NAME_MAX ? host : "Ostiary";
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) && set_serial(certificate) &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -86400) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), YEARS_SECONDS) && X509_set_pubkey(certificate, key) &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1, -1, 0) &&
           X509_set_issuer_name(certificate, name) && add_names(certificate, host) &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, NID_ext_key_usage, "serverAuth") && X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool add_pem(struct buf *to, BIO *pem)
{
    char *data;
    long size = BIO_get_mem_data(pem, &data);
    if (size <= 0)
        return false;
    buf_add(to, data, (size_t)size);
    return !buf_failed(to);
}

int tls_make_self_signed(const char *host, struct buf *certificate, struct buf *key)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    BIO *certificate_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_secmem());
    bool done = pair && x509 && certificate_pem && key_pem && fill_in(x509, pair, host) &&
                PEM_write_bio_X509(certificate_pem, x509) == 1 &&
                PEM_write_bio_PrivateKey(key_pem, pair, NULL, NULL, 0, NULL, NULL) == 1 &&
                add_pem(certificate, certificate_pem) && add_pem(key, key_pem);
    BIO_free(certificate_pem);
    BIO_free(key_pem);
    X509_free(x509);
    EVP_PKEY_free(pair);
    ERR_clear_error();
    return done ? 0 : -EIO;
}

static void write_date(const ASN1_TIME *time, struct buf *out)
{
    struct tm utc;
    char text[32] = "?";
    if (ASN1_TIME_to_tm(time, &utc) == 1)
        strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc);
    buf_add_text(out, text);
}

static void warn_of_time(X509 *certificate, int64_t now, struct buf *warning)
{
    const ASN1_TIME *begin = X509_get0_notBefore(certificate), *end = X509_get0_notAfter(certificate);
    bool is_over = ASN1_TIME_cmp_time_t(end, (time_t)now) < 0;
    bool is_early = ASN1_TIME_cmp_time_t(begin, (time_t)now) > 0;
    bool is_soon = ASN1_TIME_cmp_time_t(end, (time_t)(now + SOON_DAYS * DAY_SECONDS)) < 0;
    if (!is_over && !is_early && !is_soon)
        return;
    buf_add_text(warning, is_over    ? "the certificate expired on "
                          : is_early ? "the certificate is not valid before "
                                     : "the certificate expires on ");
    write_date(is_early && !is_over ? begin : end, warning);
    if (is_over || is_early)
        buf_add_text(warning, "; clients will refuse it");
}

void tls_certificate_warn(struct span certificate, const char *host, int64_t now, struct buf *warning)
{
    BIO *pem = certificate.size <= INT_MAX ? BIO_new_mem_buf(certificate.data, (int)certificate.size) : NULL;
    X509 *x509 = pem ? PEM_read_bio_X509(pem, NULL, NULL, NULL) : NULL;
    if (x509) {
        size_t before = warning->size;
        warn_of_time(x509, now, warning);
        if (X509_check_host(x509, host, 0, 0, NULL) != 1)
            buf_printf(warning, "%sthe certificate is not made out to %s", warning->size > before ? "; " : "", host);
    }
    X509_free(x509);
    BIO_free(pem);
    ERR_clear_error();
}
