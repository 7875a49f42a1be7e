#include "stream_pair.h"

#include "run/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <time.h>

/* The client is a plain OpenSSL one on a thread of its own, with blocking sockets. */

struct client {
    int fd;
    int version; /* TLS1_2_VERSION or TLS1_3_VERSION */
    void (*talk)(struct client *client, SSL *ssl);
    const char *server_name;
    bool bytewise;   /* hand its bytes over one at a time */
    bool before_tls; /* speaks STARTTLS first */
    unsigned char exporter[32], end_point[32];
    int outcome;
};

struct server {
    struct loop *loop;
    struct stream *stream;
    struct tls_context *tls;
    unsigned char exporter[64], end_point[64];
    size_t exporter_size, end_point_size;
    bool quiet; /* the client says nothing after the handshake */
    int end;    /* what the last read gave */
};

static struct buf certificate, key;

static void make_certificate(void)
{
    buf_init(&certificate, 65536);
    buf_init(&key, 65536);
    assert_int_equal(tls_make_self_signed("mail.example", &certificate, &key), 0);
}

static struct tls_context *make_context(int oldest)
{
    struct buf problem;
    buf_init(&problem, 1000);
    struct tls_context *tls = tls_context_new(buf_span(&certificate), buf_span(&key), oldest, &problem);
    if (!tls)
        fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    return tls;
}

/* ---- the client's thread: it must not use cmocka, so it hands back an outcome ---- */

static int pump(int from, int to)
{
    char bytes[4096];
    ssize_t n = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    for (ssize_t i = 0; i < n; i++) {
        if (send(to, bytes + i, 1, MSG_NOSIGNAL) != 1)
            return -1;
        usleep(20); /* not for timing: it only makes single-byte reads likely */
    }
    return n == 0 ? -1 : 0;
}

struct pump {
    int inner, outer;
};

static void *pump_main(void *argument)
{
    struct pump *pump_of = argument;
    while (pump(pump_of->inner, pump_of->outer) == 0 && pump(pump_of->outer, pump_of->inner) == 0)
        usleep(100);
    shutdown(pump_of->inner, SHUT_RDWR);
    shutdown(pump_of->outer, SHUT_RDWR);
    close(pump_of->inner);
    close(pump_of->outer);
    return NULL;
}

static void bind_client(struct client *client, SSL *ssl)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    if (SSL_export_keying_material(ssl, client->exporter, 32, label, sizeof label - 1, NULL, 0, 0) != 1)
        client->outcome = 10;
    X509 *peer = SSL_get1_peer_certificate(ssl);
    unsigned size = 0;
    if (!peer || X509_digest(peer, EVP_sha256(), client->end_point, &size) != 1 || size != 32)
        client->outcome = 11;
    X509_free(peer);
}

static int start_tls(int fd)
{
    char reply[100];
    /* The injected command travels with STARTTLS, before the handshake. */
    static const char text[] = "STARTTLS\r\nRCPT TO:<injected@example.org>\r\nhalf a li";
    if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL) != sizeof text - 1)
        return 20;
    size_t size = 0;
    while (size < 5) {
        ssize_t n = recv(fd, reply + size, sizeof reply - size, 0);
        if (n <= 0)
            return 21;
        size += (size_t)n;
    }
    return size == 5 && memcmp(reply, "220\r\n", 5) == 0 ? 0 : 22;
}

static void connect_client(struct client *client, SSL_CTX *context, int fd)
{
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (client->server_name)
        SSL_set_tlsext_host_name(ssl, client->server_name);
    if (client->before_tls)
        client->outcome = start_tls(fd);
    if (client->outcome == 0 && SSL_connect(ssl) != 1)
        client->outcome = 2;
    if (client->outcome == 0) {
        bind_client(client, ssl);
        client->talk(client, ssl);
    }
    SSL_free(ssl);
}

static void *client_main(void *argument)
{
    struct client *client = argument;
    pthread_t pump_thread;
    struct pump pump_of;
    int fd = client->fd, fds[2];
    if (client->bytewise) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
            abort();
        pump_of = (struct pump){fds[1], fd};
        fd = fds[0];
        pthread_create(&pump_thread, NULL, pump_main, &pump_of);
    }
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, client->version);
    SSL_CTX_set_max_proto_version(context, client->version);
    SSL_CTX_set_read_ahead(context, 0);
    connect_client(client, context, fd);
    SSL_CTX_free(context);
    close(fd);
    if (client->bytewise)
        pthread_join(pump_thread, NULL);
    return NULL;
}

static int read_exactly(SSL *ssl, const char *text)
{
    char got[100];
    size_t size = strlen(text), have = 0;
    while (have < size) {
        int n = SSL_read(ssl, got + have, (int)(size - have));
        if (n <= 0)
            return 30;
        have += (size_t)n;
    }
    return memcmp(got, text, size) == 0 ? 0 : 31;
}

static void echo_and_close(struct client *client, SSL *ssl)
{
    if (SSL_write(ssl, "EHLO x\r\nNO", 10) != 10 || SSL_write(ssl, "OP\r\n", 4) != 4)
        client->outcome = 40;
    if (client->outcome == 0)
        client->outcome = read_exactly(ssl, "250 EHLO x\r\n250 NOOP\r\n");
    if (client->outcome == 0 && SSL_shutdown(ssl) < 0)
        client->outcome = 41;
    char rest[10];
    if (client->outcome == 0 &&
        (SSL_read(ssl, rest, sizeof rest) > 0 || !(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN)))
        client->outcome = 42; /* the server answers with its own close_notify */
}

static void echo_and_vanish(struct client *client, SSL *ssl)
{
    if (SSL_write(ssl, "EHLO x\r\nNOOP\r\n", 14) != 14)
        client->outcome = 50;
    if (client->outcome == 0)
        client->outcome = read_exactly(ssl, "250 EHLO x\r\n250 NOOP\r\n");
}

#define BULK (3u << 20)

static void take_bulk(struct client *client, SSL *ssl)
{
    char piece[20000];
    size_t size = 0;
    int n;
    if (SSL_write(ssl, "RETR\r\n", 6) != 6)
        client->outcome = 60;
    while ((n = SSL_read(ssl, piece, sizeof piece)) > 0)
        for (int i = 0; i < n; i++)
            if (piece[i] != (char)(size++ % 251))
                client->outcome = 61;
    if (size != BULK)
        client->outcome = 62;
}

static void send_bulk(struct client *client, SSL *ssl)
{
    static char piece[65536];
    for (size_t sent = 0; sent < BULK; sent += sizeof piece)
        if (SSL_write(ssl, piece, sizeof piece) != sizeof piece)
            client->outcome = 70;
    SSL_shutdown(ssl);
    char rest[10];
    while (SSL_read(ssl, rest, sizeof rest) > 0)
        ;
}

/* ---- the server ---- */

static void expect_line(struct fiber *self, struct server *server, const char *text)
{
    struct span line;
    assert_int_equal(stream_read_line(self, server->stream, 100, &line, LONG), 0);
    assert_true(span_is(line, text));
    buf_printf(stream_output(server->stream), "250 %s\r\n", text);
}

static void note_bindings(struct server *server)
{
    server->exporter_size = stream_tls_binding(server->stream, TLS_EXPORTER, server->exporter);
    server->end_point_size = stream_tls_binding(server->stream, TLS_SERVER_END_POINT, server->end_point);
}

static void serve_lines(struct fiber *self, void *argument)
{
    struct server *server = argument;
    assert_int_equal(stream_accept_tls(self, server->stream, server->tls, LONG), 0);
    assert_false(stream_has_input(server->stream));
    note_bindings(server);
    expect_line(self, server, "EHLO x");
    expect_line(self, server, "NOOP");
    struct span line;
    server->end = stream_read_line(self, server->stream, 100, &line, LONG);
    stream_close(self, server->stream, false, LONG);
}

static void serve_starttls(struct fiber *self, void *argument)
{
    struct server *server = argument;
    struct span line;
    assert_false(stream_is_tls(server->stream));
    assert_int_equal(stream_read_line(self, server->stream, 100, &line, LONG), 0);
    assert_true(span_is(line, "STARTTLS"));
    assert_true(stream_has_input(server->stream));
    buf_add_text(stream_output(server->stream), "220\r\n");
    serve_lines(self, server);
    assert_true(stream_is_tls(server->stream));
}

static void serve_bulk(struct fiber *self, void *argument)
{
    struct server *server = argument;
    static char piece[50000];
    assert_int_equal(stream_accept_tls(self, server->stream, server->tls, LONG), 0);
    note_bindings(server);
    struct span line;
    assert_int_equal(stream_read_line(self, server->stream, 100, &line, LONG), 0);
    for (size_t done = 0; done < BULK;) {
        size_t size = BULK - done < sizeof piece ? BULK - done : sizeof piece;
        for (size_t i = 0; i < size; i++)
            piece[i] = (char)((done + i) % 251);
        assert_int_equal(stream_write(self, server->stream, span_from(piece, size), LONG), 0);
        done += size;
    }
    stream_close(self, server->stream, false, LONG);
}

static void receive_bulk(struct fiber *self, void *argument)
{
    struct server *server = argument;
    size_t size = 0;
    assert_int_equal(stream_accept_tls(self, server->stream, server->tls, LONG), 0);
    note_bindings(server);
    while ((server->end = stream_fill(self, server->stream, LONG)) == 0) {
        size += stream_input(server->stream).size;
        stream_consume(server->stream, stream_input(server->stream).size);
    }
    assert_int_equal(size, BULK);
    stream_close(self, server->stream, false, LONG);
}

/* One connection from beginning to end. The stream is left for the caller to look at; it ends with end_connection(). */
static void run_connection(struct server *server, struct client *client, int oldest,
                           void (*serve)(struct fiber *, void *))
{
    int fds[2];
    pthread_t thread;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    client->fd = fds[1];
    *server = (struct server){.loop = loop_new(), .tls = make_context(oldest)};
    server->stream = stream_new(server->loop, fds[0]);
    assert_non_null(server->stream);
    assert_int_equal(pthread_create(&thread, NULL, client_main, client), 0);
    assert_non_null(fiber_start(server->loop, "server", serve, server));
    assert_non_null(fiber_start(server->loop, "stop", stop_when_alone, server->loop));
    assert_int_equal(loop_run(server->loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(ERR_peek_error(), 0);
}

static void end_connection(struct server *server)
{
    stream_free(server->stream);
    tls_context_unref(server->tls);
    loop_free(server->loop);
}

static const struct {
    int version;
    void (*talk)(struct client *, SSL *);
    void (*serve)(struct fiber *, void *);
    bool bytewise, before_tls;
} connections[] = {
    {TLS1_3_VERSION, echo_and_close, serve_lines, false, false},
    {TLS1_2_VERSION, echo_and_close, serve_lines, false, false},
    {TLS1_3_VERSION, echo_and_close, serve_lines, true, false},
    {TLS1_2_VERSION, echo_and_close, serve_lines, true, false},
    {TLS1_3_VERSION, echo_and_close, serve_starttls, false, true},
    {TLS1_2_VERSION, echo_and_close, serve_starttls, false, true},
    {TLS1_3_VERSION, take_bulk, serve_bulk, false, false},
    {TLS1_2_VERSION, take_bulk, serve_bulk, false, false},
    {TLS1_3_VERSION, send_bulk, receive_bulk, false, false},
    {TLS1_2_VERSION, send_bulk, receive_bulk, false, false},
};

static void connections_work_and_bindings_agree(void **state)
{
    for (size_t i = 0; i < sizeof connections / sizeof connections[0]; i++) {
        struct client client = {.version = connections[i].version,
                                .talk = connections[i].talk,
                                .bytewise = connections[i].bytewise,
                                .before_tls = connections[i].before_tls,
                                .server_name = "Mail.Example"};
        struct server server;
        run_connection(&server, &client, 12, connections[i].serve);
        if (client.outcome != 0)
            fail_msg("connection %zu: the client's outcome is %d", i, client.outcome);
        bool newest = connections[i].version == TLS1_3_VERSION;
        assert_string_equal(stream_tls_version(server.stream), newest ? "TLSv1.3" : "TLSv1.2");
        assert_int_not_equal(strlen(stream_tls_cipher(server.stream)), 0);
        assert_string_equal(stream_tls_server_name(server.stream), "Mail.Example");
        assert_int_equal(server.exporter_size, 32);
        assert_int_equal(server.end_point_size, 32);
        assert_memory_equal(server.exporter, client.exporter, 32);
        assert_memory_equal(server.end_point, client.end_point, 32);
        if (connections[i].talk == echo_and_close || connections[i].talk == send_bulk)
            assert_int_equal(server.end, -ENODATA);
        assert_string_equal(stream_problem(server.stream), "");
        end_connection(&server);
    }
}

static void truncation_is_noted(void **state)
{
    const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (size_t i = 0; i < 2; i++) {
        struct client client = {.version = versions[i], .talk = echo_and_vanish};
        struct server server;
        run_connection(&server, &client, 12, serve_lines);
        assert_int_equal(client.outcome, 0);
        assert_int_equal(server.end, -ENODATA);
        assert_non_null(strstr(stream_problem(server.stream), "close_notify"));
        assert_string_equal(stream_tls_server_name(server.stream), "");
        end_connection(&server);
    }
}

/* ---- handshakes that fail ---- */

static void accept_and_fail(struct fiber *self, void *argument)
{
    struct server *server = argument;
    server->end = stream_accept_tls(self, server->stream, server->tls, clock_in_seconds(30));
    assert_int_not_equal(server->end, 0);
    struct span line;
    assert_int_equal(stream_read_line(self, server->stream, 100, &line, LONG), server->end);
    unsigned char out[64];
    assert_int_equal(stream_tls_binding(server->stream, TLS_EXPORTER, out), 0);
    stream_close(self, server->stream, false, LONG);
}

static void an_old_version_is_refused(void **state)
{
    struct client client = {.version = TLS1_2_VERSION, .talk = echo_and_close};
    struct server server;
    run_connection(&server, &client, 13, accept_and_fail);
    assert_int_equal(client.outcome, 2);
    assert_int_equal(server.end, -ECONNRESET);
    assert_non_null(strstr(stream_problem(server.stream), "TLS: unsupported protocol"));
    end_connection(&server);
}

static void handshake_with_pair(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct tls_context *tls = make_context(12);
    uint64_t deadline = p->step ? clock_monotonic() + 10000000 : LONG;
    int error = stream_accept_tls(self, p->stream, tls, deadline);
    assert_int_equal(error, p->step ? -ETIMEDOUT : -ECONNRESET);
    assert_int_not_equal(strlen(stream_problem(p->stream)), 0);
    assert_int_equal(stream_flush(self, p->stream, LONG), error);
    tls_context_unref(tls);
    assert_int_equal(ERR_peek_error(), 0);
    stream_free(p->stream);
    p->stream = NULL;
}

static void send_nonsense(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    put(self, p, "EHLO client.example\r\n", 21);
}

static void nonsense_is_no_handshake(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, handshake_with_pair, send_nonsense);
    pair_release(&p);
}

static void a_silent_client_times_out(void **state)
{
    struct pair p;
    pair_init(&p);
    p.step = 1;
    pair_run(&p, handshake_with_pair, NULL);
    pair_release(&p);
}

/* ---- contexts ---- */

static void refuse_context(struct span certificate_pem, struct span key_pem, const char *expected)
{
    struct buf problem;
    buf_init(&problem, 1000);
    assert_null(tls_context_new(certificate_pem, key_pem, 12, &problem));
    buf_add_char(&problem, '\0');
    assert_false(buf_failed(&problem));
    if (!strstr(problem.data, expected))
        fail_msg("'%s' does not say '%s'", problem.data, expected);
    assert_int_equal(ERR_peek_error(), 0);
    buf_release(&problem);
}

static void bad_certificates_are_named(void **state)
{
    struct buf other_certificate, other_key;
    buf_init(&other_certificate, 65536);
    buf_init(&other_key, 65536);
    assert_int_equal(tls_make_self_signed("other.example", &other_certificate, &other_key), 0);
    struct span good = buf_span(&certificate), good_key = buf_span(&key);
    refuse_context(span_text(""), good_key, "certificate");
    refuse_context(span_text("no PEM"), good_key, "certificate");
    refuse_context(span_head(good, good.size / 2), good_key, "certificate");
    refuse_context(good, span_text(""), "private key");
    refuse_context(good, span_head(good_key, good_key.size / 2), "private key");
    refuse_context(good, buf_span(&other_key), "does not belong");
    buf_release(&other_certificate);
    buf_release(&other_key);
}

static void the_certificate_names_the_host(void **state)
{
    BIO *pem = BIO_new_mem_buf(certificate.data, (int)certificate.size);
    X509 *x509 = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    assert_non_null(x509);
    const char *const hosts[] = {"mail.example", "imap.mail.example", "localhost"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        assert_int_equal(X509_check_host(x509, hosts[i], 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(x509, "other.example", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(x509, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(x509, "::1", 0), 1);
    X509_free(x509);
    BIO_free(pem);
}

static void a_certificate_is_warned_of(void **state)
{
    static const struct {
        int64_t days; /* from today */
        const char *host, *expected;
    } rows[] = {
        {0, "mail.example", ""},
        {0, "imap.mail.example", ""},
        {0, "other.example", "the certificate is not made out to other.example$"},
        {3651, "mail.example", "the certificate expires on 20"},
        {3653, "mail.example", "the certificate expired on 20"},
        {3653, "mail.example", "UTC; clients will refuse it$"},
        {3653, "other.example", "clients will refuse it; the certificate is not made out to other.example$"},
        {-2, "mail.example", "the certificate is not valid before 20"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf warning;
        buf_init(&warning, 1000);
        tls_certificate_warn(buf_span(&certificate), rows[i].host, (int64_t)time(NULL) + rows[i].days * 86400,
                             &warning);
        buf_add_text(&warning, "$");
        buf_add_char(&warning, '\0');
        assert_false(buf_failed(&warning));
        if (*rows[i].expected ? !strstr(warning.data, rows[i].expected) : warning.size != 2)
            fail_msg("row %zu: '%s'", i, warning.data);
        buf_release(&warning);
    }
    struct buf nothing;
    buf_init(&nothing, 1000);
    tls_certificate_warn(span_text("no PEM"), "mail.example", 0, &nothing);
    assert_int_equal(nothing.size, 0);
    assert_int_equal(ERR_peek_error(), 0);
    buf_release(&nothing);
}

int main(void)
{
    make_certificate();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_work_and_bindings_agree), cmocka_unit_test(truncation_is_noted),
        cmocka_unit_test(an_old_version_is_refused),           cmocka_unit_test(nonsense_is_no_handshake),
        cmocka_unit_test(a_silent_client_times_out),           cmocka_unit_test(bad_certificates_are_named),
        cmocka_unit_test(the_certificate_names_the_host),      cmocka_unit_test(a_certificate_is_warned_of),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_release(&certificate);
    buf_release(&key);
    return failed;
}
