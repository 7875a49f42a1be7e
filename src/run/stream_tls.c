#include "run/stream_internal.h"
#include "run/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define EXPORTER_LABEL "EXPORTER-Channel-Binding"
#define EXPORTER_SIZE 32

/* ---- OpenSSL's way to the socket: ours, so that it knows when a read would be in vain and never raises SIGPIPE ----
 */

static int bio_read(BIO *bio, char *to, int size)
{
    struct stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = size > 0 ? socket_read(s, to, (size_t)size) : 0;
    if (n == -EAGAIN)
        BIO_set_retry_read(bio);
    return n < 0 ? -1 : (int)n;
}

static int bio_write(BIO *bio, const char *from, int size)
{
    struct stream *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t n = size > 0 ? socket_write(s, from, (size_t)size) : 0;
    if (n == -EAGAIN)
        BIO_set_retry_write(bio);
    return n < 0 ? -1 : (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    const struct stream *s = BIO_get_data(bio);
    if (command == BIO_CTRL_EOF)
        return s->hung_up;
    return command == BIO_CTRL_FLUSH;
}

static BIO *bio_new(struct stream *s)
{
    static BIO_METHOD *method;
    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
        if (!method)
            return NULL;
        BIO_meth_set_read(method, bio_read);
        BIO_meth_set_write(method, bio_write);
        BIO_meth_set_ctrl(method, bio_control);
    }
    BIO *bio = BIO_new(method);
    if (!bio)
        return NULL;
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    return bio;
}

/* ---- one try ---- */

/* What the failure of a call on s->ssl means. Leaves nothing in OpenSSL's error queue. */
static int explain(struct stream *s, int result)
{
    int kind = SSL_get_error(s->ssl, result);
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        s->wants_write = kind == SSL_ERROR_WANT_WRITE;
        return -EAGAIN;
    }
    if (kind == SSL_ERROR_ZERO_RETURN) {
        s->ended = true;
        return -ENODATA;
    }
    /* Before the look at the socket's error: OpenSSL answers a truncation with an alert, which fails too. */
    if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING ||
        (kind == SSL_ERROR_SYSCALL && s->hung_up && !s->socket_error))
        return stream_fail(s, -ENODATA, "the peer closed the connection without TLS close_notify");
    if (s->socket_error)
        return stream_fail(s, s->socket_error == EPIPE ? -EPIPE : -ECONNRESET, strerror(s->socket_error));
    const char *reason = ERR_reason_error_string(code);
    buf_add_text(&s->problem, "TLS: ");
    return stream_fail(s, -ECONNRESET, reason ? reason : "protocol error");
}

ssize_t stream_tls_read(struct stream *s, char *to, size_t size)
{
    size_t got = 0;
    ERR_clear_error();
    int result = SSL_read_ex(s->ssl, to, size, &got);
    return result > 0 ? (ssize_t)got : explain(s, result);
}

ssize_t stream_tls_write(struct stream *s, const char *from, size_t size)
{
    size_t put = 0;
    ERR_clear_error();
    int result = SSL_write_ex(s->ssl, from, size, &put);
    return result > 0 ? (ssize_t)put : explain(s, result);
}

void stream_tls_close(struct stream *s)
{
    ERR_clear_error();
    /* One way only: nobody waits for the peer's. When there is no room for it the peer is not reading anyway. */
    (void)SSL_shutdown(s->ssl);
    ERR_clear_error();
}

/* ---- handshake ---- */

static int begin(struct stream *s, struct tls_context *tls)
{
    ERR_clear_error();
    BIO *bio = bio_new(s);
    SSL *ssl = bio ? tls_session_new(tls) : NULL;
    ERR_clear_error();
    if (!ssl) {
        BIO_free(bio);
        return stream_fail(s, -ENOMEM, "no memory for TLS");
    }
    SSL_set_bio(ssl, bio, bio);
    s->ssl = ssl;
    s->tls = tls_context_ref(tls);
    return 0;
}

/* What came before the handshake, by whomever, is no part of what TLS protects. */
static void forget_input(struct stream *s)
{
    stream_consume(s, s->end - s->start);
    s->scanned = 0;
    s->dropping = false;
}

static int shake_hands(struct fiber *self, struct stream *s, uint64_t deadline)
{
    int error = 0;
    while (!error) {
        ERR_clear_error();
        int result = SSL_do_handshake(s->ssl);
        if (result == 1) {
            ERR_clear_error();
            return 0;
        }
        error = explain(s, result);
        if (error == -EAGAIN)
            error = stream_wait_strictly(self, s, deadline);
    }
    /* A half-made session can't be gone back from. */
    return stream_fail(s, error,
                       error == -ETIMEDOUT ? "the TLS handshake took too long" : "the TLS handshake was broken off");
}

int stream_accept_tls(struct fiber *self, struct stream *s, struct tls_context *tls, uint64_t deadline)
{
    if (s->ssl)
        return -EINVAL;
    int error = stream_flush(self, s, deadline);
    if (error)
        return error;
    forget_input(s);
    stream_undelay(s); /* tickets and the first reply are two writes in a row */
    error = begin(s, tls);
    if (error)
        return error;
    SSL_set_accept_state(s->ssl);
    return shake_hands(self, s, deadline);
}

/* Whose certificate it has to be. An address is not sent along: RFC 6066 section 3 wants a name. */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int stream_start_tls(struct fiber *self, struct stream *s, struct tls_context *tls, const char *host, bool verify,
                     uint64_t deadline)
{
    if (s->ssl)
        return -EINVAL;
    int error = stream_flush(self, s, deadline);
    if (error)
        return error;
    forget_input(s);
    stream_undelay(s); /* the end of the handshake and the first command are two writes in a row */
    error = begin(s, tls);
    if (error)
        return error;
    SSL_set_connect_state(s->ssl);
    /* Without `verify` the certificate is looked at all the same, and its problem noted. The records of DANE would be
     * added here, with SSL_dane_enable() and SSL_dane_tlsa_add(). */
    SSL_set_verify(s->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    bool expected = expect_host(s->ssl, host);
    ERR_clear_error();
    if (!expected)
        return stream_fail(s, -EINVAL, "the host's name can't be one of TLS");
    return shake_hands(self, s, deadline);
}

/* ---- facts ---- */

const char *stream_tls_problem(const struct stream *s)
{
    if (!s->ssl || SSL_is_server(s->ssl))
        return "";
    long result = SSL_get_verify_result(s->ssl);
    if (result != X509_V_OK)
        return X509_verify_cert_error_string(result);
    return SSL_get0_peer_certificate(s->ssl) ? "" : "there is no certificate";
}

bool stream_is_tls(const struct stream *s)
{
    return s->ssl != NULL;
}

const char *stream_tls_version(const struct stream *s)
{
    return s->ssl ? SSL_get_version(s->ssl) : "";
}

const char *stream_tls_cipher(const struct stream *s)
{
    const char *name = s->ssl ? SSL_get_cipher_name(s->ssl) : "";
    return name ? name : "";
}

const char *stream_tls_server_name(const struct stream *s)
{
    const char *name = s->ssl ? SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    return name ? name : "";
}

/* RFC 5929 section 4.1: the hash of the certificate's signature, SHA-256 for MD5 and SHA-1; undefined for signatures
 * that name no hash. */
static size_t bind_end_point(const struct stream *s, unsigned char out[64])
{
    X509 *certificate = SSL_is_server(s->ssl) ? SSL_get_certificate(s->ssl) : SSL_get0_peer_certificate(s->ssl);
    int hash;
    if (!certificate || !X509_get_signature_info(certificate, &hash, NULL, NULL, NULL) || hash == NID_undef)
        return 0;
    const EVP_MD *digest = hash == NID_md5 || hash == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(hash);
    unsigned size = 0;
    if (!digest || EVP_MD_get_size(digest) > 64 || !X509_digest(certificate, digest, out, &size))
        return 0;
    return size;
}

/* RFC 9266 section 4.2: under TLS 1.2 only with the extended master secret, or else two connections can be made to
 * share one. */
static size_t bind_exporter(const struct stream *s, unsigned char out[64])
{
    if (SSL_version(s->ssl) < TLS1_3_VERSION && SSL_get_extms_support(s->ssl) != 1)
        return 0;
    int done =
        SSL_export_keying_material(s->ssl, out, EXPORTER_SIZE, EXPORTER_LABEL, sizeof EXPORTER_LABEL - 1, NULL, 0, 0);
    return done == 1 ? EXPORTER_SIZE : 0;
}

size_t stream_tls_binding(const struct stream *s, enum tls_binding type, unsigned char out[64])
{
    if (!s->ssl || s->error || !SSL_is_init_finished(s->ssl))
        return 0;
    size_t size = type == TLS_EXPORTER ? bind_exporter(s, out) : bind_end_point(s, out);
    ERR_clear_error();
    return size;
}
