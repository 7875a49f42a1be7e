/* Outward connections, and TLS as a client: both ends are streams of ours in one loop. */
#include "stream_pair.h"

#include "run/endpoint.h"
#include "run/tls.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <openssl/err.h>

static const unsigned char loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
static const unsigned char second_loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 2};
static const unsigned char not_here[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 1};
static const unsigned char loopback6[16] = {[15] = 1};

static unsigned count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    unsigned count = 0;
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static int listen_on_loopback(int backlog, struct endpoint *at)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    memcpy(at->address, loopback, 16);
    at->port = ntohs(address.sin_port);
    return fd;
}

struct attempt {
    struct endpoint to;
    const unsigned char *source;
    uint64_t deadline;
    struct stream *stream;
    int error;
    bool done;
};

static void attempt_main(struct fiber *self, void *argument)
{
    struct attempt *a = argument;
    a->error = stream_connect(self, &a->to, a->source, a->deadline, &a->stream);
    a->done = true;
}

static void run_attempt(struct attempt *a, bool cancel)
{
    struct loop *loop = loop_new();
    assert_non_null(loop);
    if (!a->deadline)
        a->deadline = LONG;
    struct fiber *fiber = fiber_start(loop, "attempt", attempt_main, a);
    assert_non_null(fiber);
    if (cancel)
        fiber_cancel(fiber);
    assert_non_null(fiber_start(loop, "stop", stop_when_alone, loop));
    assert_int_equal(loop_run(loop), 0);
    assert_true(a->done);
    if (a->error)
        assert_null(a->stream);
    else
        assert_non_null(a->stream);
    stream_free(a->stream);
    loop_free(loop);
}

static void connects(void **state)
{
    struct attempt a = {0};
    int listener = listen_on_loopback(5, &a.to);
    run_attempt(&a, false);
    assert_int_equal(a.error, 0);
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    close(fd);

    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    struct attempt from = {.to = a.to, .source = second_loopback};
    run_attempt(&from, false);
    assert_int_equal(from.error, 0);
    fd = accept(listener, (struct sockaddr *)&peer, &size);
    assert_true(fd >= 0);
    assert_int_equal(ntohl(peer.sin_addr.s_addr), INADDR_LOOPBACK + 1);
    close(fd);
    close(listener);
}

static void says_why_not(void **state)
{
    struct endpoint closed;
    close(listen_on_loopback(1, &closed));
    unsigned before = count_descriptors();

    struct attempt refused = {.to = closed};
    run_attempt(&refused, false);
    assert_int_equal(refused.error, -ECONNREFUSED);

    struct attempt canceled = {.to = closed};
    run_attempt(&canceled, true);
    assert_int_equal(canceled.error, -ECANCELED);

    struct attempt other_family = {.to = closed, .source = loopback6};
    run_attempt(&other_family, false);
    assert_int_equal(other_family.error, -EINVAL);

    struct attempt foreign_source = {.to = closed, .source = not_here};
    run_attempt(&foreign_source, false);
    assert_int_equal(foreign_source.error, -EADDRNOTAVAIL);
    assert_int_equal(count_descriptors(), before);
}

/* A listener that nobody accepts from, with its queue full, leaves what comes next without an answer. */
static void waits_no_longer_than_the_deadline(void **state)
{
    struct endpoint at;
    int listener = listen_on_loopback(0, &at), fillers[8];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(at.port)};
    for (size_t i = 0; i < 8; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(fillers[i] >= 0);
        if (connect(fillers[i], (struct sockaddr *)&address, sizeof address) < 0)
            assert_int_equal(errno, EINPROGRESS);
    }
    unsigned before = count_descriptors();
    struct attempt a = {.to = at, .deadline = clock_monotonic() + 20000000};
    run_attempt(&a, false);
    assert_int_equal(a.error, -ETIMEDOUT);
    assert_int_equal(count_descriptors(), before);
    for (size_t i = 0; i < 8; i++)
        close(fillers[i]);
    close(listener);
}

/* ---- TLS ---- */

static struct buf certificate, key;

struct ends {
    struct loop *loop;
    struct stream *client, *server;
    struct tls_context *client_tls, *server_tls;
    const char *host;
    bool verify;
    int client_error, server_error;
    unsigned char client_exporter[64], server_exporter[64], client_end_point[64], server_end_point[64];
    size_t client_end_point_size, server_end_point_size;
};

static void shake_as_client(struct fiber *self, void *argument)
{
    struct ends *e = argument;
    struct span line;
    buf_add_text(stream_output(e->client), "STARTTLS\r\n");
    assert_int_equal(stream_read_line(self, e->client, 100, &line, LONG), 0);
    assert_true(span_is(line, "220"));
    assert_true(stream_has_input(e->client)); /* what somebody injected */
    e->client_error = stream_start_tls(self, e->client, e->client_tls, e->host, e->verify, LONG);
    assert_false(stream_has_input(e->client));
    if (e->client_error)
        return stream_close(self, e->client, true, LONG);
    (void)stream_tls_binding(e->client, TLS_EXPORTER, e->client_exporter);
    e->client_end_point_size = stream_tls_binding(e->client, TLS_SERVER_END_POINT, e->client_end_point);
    buf_add_text(stream_output(e->client), "EHLO\r\n");
    assert_int_equal(stream_read_line(self, e->client, 100, &line, LONG), 0);
    assert_true(span_is(line, "250"));
    assert_true(stream_is_quiet(e->client));
    stream_close(self, e->client, true, LONG);
}

static void shake_as_server(struct fiber *self, void *argument)
{
    struct ends *e = argument;
    struct span line;
    assert_int_equal(stream_read_line(self, e->server, 100, &line, LONG), 0);
    buf_add_text(stream_output(e->server), "220\r\n250-injected\r\n250 in");
    e->server_error = stream_accept_tls(self, e->server, e->server_tls, LONG);
    if (e->server_error)
        return;
    (void)stream_tls_binding(e->server, TLS_EXPORTER, e->server_exporter);
    e->server_end_point_size = stream_tls_binding(e->server, TLS_SERVER_END_POINT, e->server_end_point);
    e->server_error = stream_read_line(self, e->server, 100, &line, LONG);
    if (e->server_error)
        return; /* under TLS 1.3 the client finds fault with the certificate when the server is done */
    assert_true(span_is(line, "EHLO"));
    buf_add_text(stream_output(e->server), "250\r\n");
    assert_int_equal(stream_flush(self, e->server, LONG), 0);
    assert_int_equal(stream_read_line(self, e->server, 100, &line, LONG), -ENODATA);
    stream_close(self, e->server, true, LONG);
}

static const struct {
    const char *host;
    bool trusted, verify;
    bool connected;
    const char *problem; /* a part of it */
} handshakes[] = {
    {"mail.example", true, true, true, ""},
    {"mail.example", true, false, true, ""},
    {"MAIL.example", true, true, true, ""},
    {"127.0.0.1", true, true, true, ""},
    {"::1", true, true, true, ""},
    {"other.test", true, false, true, "ostname mismatch"},
    {"other.test", true, true, false, "ostname mismatch"},
    {"127.0.0.2", true, true, false, "IP address mismatch"},
    {"mail.example", false, false, true, "self-signed"},
    {"mail.example", false, true, false, "self-signed"},
};

static void handshakes_and_certificates(void **state)
{
    struct buf problem;
    buf_init(&problem, 1000);
    for (size_t i = 0; i < sizeof handshakes / sizeof *handshakes; i++) {
        int fds[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        struct ends e = {.loop = loop_new(), .host = handshakes[i].host, .verify = handshakes[i].verify};
        e.client = stream_new(e.loop, fds[0]);
        e.server = stream_new(e.loop, fds[1]);
        e.server_tls = tls_context_new(buf_span(&certificate), buf_span(&key), 12, &problem);
        struct span trusted = handshakes[i].trusted ? buf_span(&certificate) : (struct span){0};
        e.client_tls = tls_client_context_new(trusted, i % 2 ? 12 : 13, &problem);
        assert_non_null(e.client_tls);
        assert_non_null(fiber_start(e.loop, "server", shake_as_server, &e));
        assert_non_null(fiber_start(e.loop, "client", shake_as_client, &e));
        assert_non_null(fiber_start(e.loop, "stop", stop_when_alone, e.loop));
        assert_int_equal(loop_run(e.loop), 0);
        assert_int_equal(e.client_error == 0, handshakes[i].connected);
        const char *said = stream_tls_problem(e.client);
        if (*handshakes[i].problem ? !strstr(said, handshakes[i].problem) : *said != '\0')
            fail_msg("handshake %zu: %s", i, said);
        if (handshakes[i].connected) {
            assert_int_equal(e.server_error, 0);
            assert_memory_equal(e.client_exporter, e.server_exporter, 32);
            assert_int_equal(e.client_end_point_size, 32);
            assert_int_equal(e.server_end_point_size, 32);
            assert_memory_equal(e.client_end_point, e.server_end_point, 32);
            assert_string_equal(stream_tls_version(e.client), "TLSv1.3");
        } else {
            assert_int_not_equal(e.server_error, 0);
            assert_non_null(strstr(stream_problem(e.client), "certificate verify failed"));
        }
        bool is_name = handshakes[i].host[0] >= 'A';
        if (handshakes[i].connected && is_name)
            assert_string_equal(stream_tls_server_name(e.server), handshakes[i].host);
        assert_int_equal(ERR_peek_error(), 0);
        stream_free(e.client);
        stream_free(e.server);
        tls_context_unref(e.client_tls);
        tls_context_unref(e.server_tls);
        loop_free(e.loop);
    }
    buf_release(&problem);
}

static void shake_with_nobody(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct buf problem;
    buf_init(&problem, 1000);
    struct tls_context *tls = tls_client_context_new((struct span){0}, 12, &problem);
    assert_non_null(tls);
    int expected = p->step == 0 ? -ETIMEDOUT : p->step == 1 ? -ECONNRESET : -ENODATA;
    uint64_t deadline = p->step == 0 ? clock_monotonic() + 10000000 : LONG;
    assert_int_equal(stream_start_tls(self, p->stream, tls, "mail.example", false, deadline), expected);
    assert_int_equal(stream_start_tls(self, p->stream, tls, "mail.example", false, deadline), -EINVAL);
    assert_int_not_equal(strlen(stream_problem(p->stream)), 0);
    assert_int_equal(ERR_peek_error(), 0);
    tls_context_unref(tls);
    buf_release(&problem);
}

static void answer_nonsense(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    char hello[2000];
    (void)get(self, p, hello, sizeof hello);
    put(self, p, "454 no TLS today\r\n", 18);
}

static void hang_up(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    char hello[2000];
    (void)get(self, p, hello, sizeof hello);
    pair_close_fd(p);
}

static void handshakes_fail(void **state)
{
    void (*const servers[])(struct fiber *, void *) = {NULL, answer_nonsense, hang_up};
    for (size_t i = 0; i < 3; i++) {
        struct pair p;
        pair_init(&p);
        p.step = i;
        pair_run(&p, servers[i], shake_with_nobody);
        pair_release(&p);
    }
}

static void bad_authorities_are_told(void **state)
{
    struct buf problem, text;
    buf_init(&problem, 1000);
    buf_init(&text, 65536);
    buf_add_span(&text, buf_span(&certificate));
    buf_add_text(&text, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_null(tls_client_context_new(buf_span(&text), 12, &problem));
    assert_true(problem.size > 0);
    assert_int_equal(ERR_peek_error(), 0);
    buf_release(&text);
    buf_release(&problem);
}

static void make_quiet(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    assert_true(stream_is_quiet(p->stream));
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, LONG), 0);
    assert_true(stream_is_quiet(p->stream));
    put(self, p, "421 gone\r\n", 10);
    while (stream_is_quiet(p->stream))
        assert_int_equal(fiber_yield(self), 0);
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, LONG), 0);
    assert_true(span_is(line, "421 gone"));
    assert_true(stream_is_quiet(p->stream));
    pair_close_fd(p);
    while (stream_is_quiet(p->stream))
        assert_int_equal(fiber_sleep(self, clock_monotonic() + 1000), 0);
}

static void say_hello(struct fiber *self, void *argument)
{
    put(self, argument, "220 hello\r\n", 11);
}

static void a_quiet_stream(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, say_hello, make_quiet);
    pair_release(&p);
}

int main(void)
{
    buf_init(&certificate, 65536);
    buf_init(&key, 65536);
    if (tls_make_self_signed("mail.example", &certificate, &key) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects),
        cmocka_unit_test(says_why_not),
        cmocka_unit_test(waits_no_longer_than_the_deadline),
        cmocka_unit_test(handshakes_and_certificates),
        cmocka_unit_test(handshakes_fail),
        cmocka_unit_test(bad_authorities_are_told),
        cmocka_unit_test(a_quiet_stream),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    buf_release(&certificate);
    buf_release(&key);
    return result;
}
