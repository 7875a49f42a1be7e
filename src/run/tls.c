#include "run/tls.h"

#include "run/stream_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define CHAIN_MAX 16
#define PEM_MAX (1u << 20)

struct tls_context {
    SSL_CTX *context;
    unsigned references;
};

/* Never ask on the terminal: a key with a passphrase is refused. */
static int no_passphrase(char *to, int size, int writing, void *unused)
{
    return 0;
}

/* False, with the sentence, so that callers can return it. Leaves nothing in OpenSSL's error queue. */
static bool refuse(struct buf *problem, const char *sentence)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    buf_add_text(problem, sentence);
    if (reason)
        buf_printf(problem, " (%s)", reason);
    return false;
}

static bool use_chain(SSL_CTX *context, BIO *pem, struct buf *problem)
{
    for (int i = 0; i < CHAIN_MAX; i++) {
        X509 *certificate = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
        if (!certificate) {
            bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            if (!at_end || i == 0)
                return refuse(problem, i == 0 ? "the certificate file holds no readable PEM certificate"
                                              : "a certificate of the chain can't be read");
            ERR_clear_error();
            return true;
        }
        int used =
            i == 0 ? SSL_CTX_use_certificate(context, certificate) : SSL_CTX_add1_chain_cert(context, certificate);
        X509_free(certificate);
        if (used != 1)
            return refuse(problem, "a certificate of the file is refused");
    }
    return refuse(problem, "the certificate file holds more than 16 certificates");
}

static bool use_key(SSL_CTX *context, BIO *pem, struct buf *problem)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL);
    if (!key)
        return refuse(problem, "the key file holds no readable PEM private key; a key with a passphrase can't be used");
    int used = SSL_CTX_use_PrivateKey(context, key);
    EVP_PKEY_free(key);
    if (used != 1 || SSL_CTX_check_private_key(context) != 1)
        return refuse(problem, "the private key does not belong to the certificate");
    return true;
}

/* What servers and clients have in common. */
static bool configure_both(SSL_CTX *context, int oldest)
{
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* A record's header and body in one read. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(context, oldest >= 13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1;
}

static bool configure(SSL_CTX *context, int oldest)
{
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* Resumption by tickets only: no state to keep, and one ticket is enough for clients that come one at a time. */
    return configure_both(context, oldest) && SSL_CTX_set_num_tickets(context, 1) == 1 &&
           SSL_CTX_set_session_id_context(context, (const unsigned char *)"ostiary", 7) == 1 &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384") == 1;
}

struct tls_context *tls_context_new(struct span certificate, struct span key, int oldest, struct buf *problem)
{
    ERR_clear_error();
    if (certificate.size > PEM_MAX || key.size > PEM_MAX) {
        (void)refuse(problem, "the certificate or key file is larger than 1 MiB");
        return NULL;
    }
    BIO *certificate_pem = BIO_new_mem_buf(certificate.size ? certificate.data : "", (int)(certificate.size));
    BIO *key_pem = BIO_new_mem_buf(key.size ? key.data : "", (int)(key.size));
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    struct tls_context *tls = calloc(1, sizeof *tls);
    bool good = certificate_pem && key_pem && context && tls && configure(context, oldest);
    if (!good)
        (void)refuse(problem, "TLS can't be set up");
    good = good && use_chain(context, certificate_pem, problem) && use_key(context, key_pem, problem);
    BIO_free(certificate_pem);
    BIO_free(key_pem);
    if (!good) {
        SSL_CTX_free(context);
        free(tls);
        return NULL;
    }
    *tls = (struct tls_context){.context = context, .references = 1};
    return tls;
}

/* The trusted authorities of a PEM file, of which systems have some 150. */
static bool trust(SSL_CTX *context, BIO *pem, struct buf *problem)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    for (;;) {
        X509 *certificate = PEM_read_bio_X509(pem, NULL, no_passphrase, NULL);
        if (!certificate) {
            bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            if (!at_end)
                return refuse(problem, "a certificate of the trusted authorities can't be read");
            ERR_clear_error();
            return true;
        }
        int added = X509_STORE_add_cert(store, certificate);
        X509_free(certificate);
        if (added != 1)
            return refuse(problem, "a certificate of the trusted authorities is refused");
    }
}

struct tls_context *tls_client_context_new(struct span authorities, int oldest, struct buf *problem)
{
    ERR_clear_error();
    if (authorities.size > PEM_MAX) {
        (void)refuse(problem, "the file of trusted authorities is larger than 1 MiB");
        return NULL;
    }
    BIO *pem = BIO_new_mem_buf(authorities.size ? authorities.data : "", (int)authorities.size);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct tls_context *tls = calloc(1, sizeof *tls);
    /* The library's own choice of ciphers: where encryption is not demanded, the alternative to a weak one is none.
     * DANE (RFC 7672) would be switched on here, with SSL_CTX_dane_enable(). */
    bool good = pem && context && tls && configure_both(context, oldest);
    if (!good)
        (void)refuse(problem, "TLS can't be set up");
    good = good && trust(context, pem, problem);
    BIO_free(pem);
    if (!good) {
        SSL_CTX_free(context);
        free(tls);
        return NULL;
    }
    *tls = (struct tls_context){.context = context, .references = 1};
    return tls;
}

struct tls_context *tls_context_ref(struct tls_context *tls)
{
    tls->references++;
    return tls;
}

void tls_context_unref(struct tls_context *tls)
{
    if (!tls || --tls->references > 0)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

SSL *tls_session_new(struct tls_context *tls)
{
    return SSL_new(tls->context);
}
