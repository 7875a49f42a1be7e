#include "config/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_round_trip(struct settings *s)
{
    struct buf first, second, problem;
    buf_init(&first, 1 << 16);
    buf_init(&second, 1 << 16);
    buf_init(&problem, 4096);
    settings_write(s, &first);
    assert_false(buf_failed(&first));
    struct settings *back = settings_parse(buf_span(&first), &problem);
    if (!back)
        fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
    settings_write(back, &second);
    assert_true(span_equal(buf_span(&first), buf_span(&second)));
    settings_unref(back);
    buf_release(&first);
    buf_release(&second);
    buf_release(&problem);
}

static void test_round_trip(void **state)
{
    static const char *const texts[] = {
        "hostname = 'mx.example.org'",
        "hostname = 'mx.example.org' trusted_networks = { '10.0.0.0/8', '2001:db8::/32', '0.0.0.0/0', '::/0', "
        "'::ffff:10.1.1.1/128' } "
        "tls = { certificate = '/a=b, c/cert.pem', key = '/k', oldest = '1.3' } log = { target = '/var/log/o', level = "
        "'all' } "
        "listeners = { { service = 'pop3s', address = '::1', port = 995 }, { service = 'submissions', address = "
        "'127.0.0.1', port = 465 } } "
        "smtp = { vrfy = true, detail_separator = '-', message_size = '1M' }",
        "hostname = 'mx.example.org' dns_lists = { { zone = 'a.example.org' }, { zone = 'w.example.org', kind = "
        "'white', answers = { '127.0.0.2', '127.0.0.4-127.0.0.11' }, ipv4 = false } } dns = { servers = { '192.0.2.1', "
        "'2001:db8::1@5353' }, zones = { 'example.net=127.0.0.1@1053' }, dnssec = false }",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf problem;
        buf_init(&problem, 4096);
        struct settings *s = settings_read_text("t.conf", span_text(texts[i]), &problem);
        if (!s)
            fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
        assert_round_trip(s);
        settings_unref(s);
        buf_release(&problem);
    }
}

static void test_references(void **state)
{
    struct buf problem;
    buf_init(&problem, 4096);
    struct settings *s = settings_parse(span_text("hostname=a.example\npop3.login_delay=60\n"), &problem);
    assert_non_null(s);
    assert_int_equal(s->pop3.login_delay, 60);
    assert_ptr_equal(settings_ref(s), s);
    settings_unref(s);
    assert_string_equal(s->hostname, "a.example");
    settings_unref(s);
    settings_unref(NULL);
}

static void test_faults(void **state)
{
    static const struct {
        const char *text, *problem;
    } rows[] = {
        {"hostname=a.example\nsmtp.recipents=5\n", "unknown key 'smtp.recipents'; did you mean 'smtp.recipients'?"},
        {"hostname", "'hostname' is not of the form name=value"},
        {"hostname=a.example\nsmtp.recipients=\n",
         "smtp.recipients: expected a whole number from 1 to 10000, found ''"},
        {"hostname=a.example\nlisteners=smtp ::\n", "listeners: expected a list of 1 to 32 listeners like { service = "
                                                    "\"smtp\", address = \"0.0.0.0\", port = 25 }, found 'smtp ::'"},
        {"hostname=a.example\ntls.key=/k\n", "tls.key is set but tls.certificate is not; TLS needs both"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf problem;
        buf_init(&problem, 4096);
        assert_null(settings_parse(span_text(rows[i].text), &problem));
        if (!span_is(buf_span(&problem), rows[i].problem))
            fail_msg("row %zu: %.*s", i, SPAN_ARG(buf_span(&problem)));
        buf_release(&problem);
    }
}

/* What a peer of ours might send: every truncation and some flipped bytes end in settings or in a sentence. */
static void test_hostile(void **state)
{
    struct buf text, problem;
    buf_init(&text, 1 << 16);
    buf_init(&problem, 4096);
    struct settings *s = settings_parse(span_text("hostname=a.example"), &problem);
    assert_non_null(s);
    settings_write(s, &text);
    settings_unref(s);
    for (size_t i = 0; i < text.size; i++) {
        char *copy = test_malloc(text.size);
        memcpy(copy, text.data, text.size);
        copy[i] = (char)(copy[i] ^ (1 << (i % 8)));
        const struct span inputs[] = {{text.data, i}, {copy, text.size}};
        for (size_t j = 0; j < 2; j++) {
            buf_reset(&problem);
            s = settings_parse(inputs[j], &problem);
            assert_true(s || problem.size);
            settings_unref(s);
        }
        test_free(copy);
    }
    buf_release(&text);
    buf_release(&problem);
}

/* People find the server without any setting on an ordinary installation. */
static void test_my_socket(void **state)
{
    static const struct {
        const char *text, *socket;
    } rows[] = {
        {"hostname=mx.example.org\n", "/run/ostiary/my.sock"},
        {"hostname=mx.example.org\ndata_directory=/srv/mail\n", "my.sock"},
        {"hostname=mx.example.org\nmy.socket=\n", ""},
        {"hostname=mx.example.org\nmy.socket=x.sock\n", "x.sock"},
        {"hostname=mx.example.org\ndata_directory=/srv/mail\nmy.socket=/run/x\n", "/run/x"},
    };
    struct buf problem;
    buf_init(&problem, 1000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings *settings = settings_parse(span_text(rows[i].text), &problem);
        assert_non_null(settings);
        assert_string_equal(settings->my.socket, rows[i].socket);
        settings_unref(settings);
    }
    buf_release(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_my_socket), cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_references), cmocka_unit_test(test_faults),
                                       cmocka_unit_test(test_hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
