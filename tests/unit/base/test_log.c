#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))
#define TIME "2027-01-15T08:00:00.000Z"

static int reader;

/* The log goes into a pair of sockets, of which `reader` is the other end. */
static void open_pair(enum log_target target, int type)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    reader = fds[0];
    log_open(target, fds[1]);
}

static void close_pair(void)
{
    log_open(LOG_TO_FD, STDERR_FILENO);
    close(reader);
}

/* What has come, as a C string; "" when nothing has. */
static const char *received(void)
{
    static char text[200000];
    ssize_t n = recv(reader, text, sizeof text - 1, 0);
    assert_true(n > 0 || errno == EAGAIN);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void test_quote(void **state)
{
    (void)state;
    static const struct {
        struct span s;
        const char *quoted;
    } rows[] = {
        {SPAN("alice@example.test"), "alice@example.test"},
        {SPAN("a=b,<c>"), "a=b,<c>"},
        {SPAN(""), "\"\""},
        {{NULL, 0}, "\"\""},
        {SPAN("a b"), "\"a b\""},
        {SPAN("x rcpt=y"), "\"x rcpt=y\""},
        {SPAN("say \"x\" \\"), "\"say \\\"x\\\" \\\\\""},
        {SPAN("a\r\nb\t\0c\x7f\x1b[0m"), "\"a\\x0d\\x0ab\\x09\\x00c\\x7f\\x1b[0m\""},
        {SPAN("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {SPAN("\xc2\x9b"
              "31m"),
         "\"\\xc2\\x9b31m\""}, /* CSI as UTF-8 */
        {SPAN("a\x9b"
              "31m"),
         "\"a\\x9b31m\""}, /* and as a byte */
        {SPAN("\xff\x9b"
              "2J"),
         "\"\\xff\\x9b2J\""},                                                  /* behind what is no UTF-8 */
        {SPAN("\xe2\x80\xaetset.elpmaxe"), "\"\\xe2\\x80\\xaetset.elpmaxe\""}, /* right to left */
        {SPAN("bob\xe2\x80\x8b"), "\"bob\\xe2\\x80\\x8b\""},                   /* of no width */
        {SPAN("\xe2\x82"), "\"\\xe2\\x82\""},
        {SPAN("\xc0\xae\xed\xa0\x80\xf4\x90\x80\x80"), "\"\\xc0\\xae\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\""},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        assert_string_equal(log_quote(rows[i].s), rows[i].quoted);
}

static void test_quote_is_cut(void **state)
{
    (void)state;
    static const char fills[] = {'a', '"', '\n', '\xc3', ' ', '\x9b'};
    char text[2000];
    for (size_t i = 0; i < sizeof fills; i++)
        for (size_t size = 60; size < 300; size++) {
            memset(text, fills[i], sizeof text);
            const char *quoted = log_quote(span_from(text, size));
            size_t length = strlen(quoted);
            assert_true(length <= 260);
            if (quoted[0] == '"')
                assert_int_equal(quoted[length - 1], '"');
            if (size >= 256)
                assert_non_null(strstr(quoted, "\xe2\x80\xa6\"")); /* one sees that it was */
        }
    /* Eight at once do not disturb each other. */
    const char *eight[8];
    for (size_t i = 0; i < 8; i++)
        eight[i] = log_quote(span_from(&"01234567"[i], 1));
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(eight[i][0], '0' + (int)i);
}

static void test_record(void **state)
{
    (void)state;
    open_pair(LOG_TO_FD, SOCK_STREAM);
    log_write(LOG_FAILURE, "smtp", "s1", "recipient refused ip=%s", "192.0.2.1");
    log_write(LOG_MAJOR, "store", NULL, "no session");
    log_write(LOG_MAJOR, "store", "", "none either");
    assert_string_equal(received(), ""); /* gathered */
    log_flush();
    assert_string_equal(received(), TIME " 1 FAILURE smtp s1 recipient refused ip=192.0.2.1\n" TIME
                                         " 2 MAJOR store - no session\n" TIME " 2 MAJOR store - none either\n");
    log_write(LOG_LOW, "a", NULL, "b");
    log_write(LOG_CRASH, "a", NULL, "at once");
    assert_string_equal(received(), TIME " 4 LOW a - b\n" TIME " 0 CRASH a - at once\n");
    log_flush();
    assert_string_equal(received(), "");
    close_pair();
}

/* Also a value that nobody quoted makes no second record. */
static void test_no_record_is_forged(void **state)
{
    (void)state;
    open_pair(LOG_TO_FD, SOCK_STREAM);
    const char *forged = "x\n2027-01-15T08:00:00.000Z 0 CRASH smtp - forged\r\x1b[2J";
    log_write(LOG_LOW, "smtp", "s1", "helo=%s", forged);
    log_write(LOG_LOW, "smtp", "s1", "helo=%s", log_quote(span_text(forged)));
    log_write(LOG_LOW, "smtp", "s\n1", "id");
    log_flush();
    const char *text = received();
    unsigned lines = 0;
    for (const char *at = text; *at; at++) {
        lines += *at == '\n';
        assert_true(*at == '\n' || (unsigned char)*at >= ' ');
    }
    assert_int_equal(lines, 3);
    close_pair();
}

static void test_long_lines_are_cut(void **state)
{
    (void)state;
    char text[9000], name[9000];
    memset(text, 'x', sizeof text);
    memset(name, 'n', sizeof name);
    text[sizeof text - 1] = name[sizeof name - 1] = 0;
    open_pair(LOG_TO_FD, SOCK_STREAM);
    log_write(LOG_LOW, "smtp", "s1", "%s", text);
    log_write(LOG_LOW, "smtp", "s1", "next");
    log_write(LOG_LOW, "smtp", name, "words");
    log_flush();
    const char *line = received(), *end = strchr(line, '\n');
    assert_non_null(end);
    assert_true(end - line > 4000 && end - line < 4096);
    assert_memory_equal(end + 1, TIME " 4 LOW smtp s1 next\n", sizeof(TIME " 4 LOW smtp s1 next\n") - 1);
    line = strchr(end + 1, '\n') + 1;
    end = strchr(line, '\n');
    assert_non_null(end);
    assert_true(end - line < 4096);
    assert_int_equal(end[1], 0);
    close_pair();
}

static void test_levels(void **state)
{
    (void)state;
    static const char *const names[] = {"crash", "failure", "major", "problem", "low", "all"};
    open_pair(LOG_TO_FD, SOCK_STREAM);
    for (int level = 0; level < 6; level++) {
        assert_string_equal(log_level_name((enum log_level)level), names[level]);
        assert_int_equal(log_level_parse(span_text(names[level])), level);
        log_set_level((enum log_level)level);
        for (int written = 0; written < 6; written++) {
            assert_int_equal(log_wants((enum log_level)written), written <= level);
            log_write((enum log_level)written, "a", NULL, "b");
            log_flush();
            assert_int_equal(*received() != 0, written <= level);
        }
    }
    log_set_level(LOG_LOW);
    assert_int_equal(log_level_parse(span_text("Failure")), 1);
    assert_int_equal(log_level_parse(span_text("fail")), -1);
    assert_int_equal(log_level_parse(span_text("")), -1);
    close_pair();
}

/* More than is gathered: it leaves in between, and nothing is lost. */
static void test_many(void **state)
{
    (void)state;
    open_pair(LOG_TO_FD, SOCK_STREAM);
    unsigned lines = 0;
    for (unsigned i = 0; i < 2000; i++)
        log_write(LOG_LOW, "a", NULL, "%050u", i);
    log_flush();
    for (const char *text; *(text = received());)
        for (; *text; text++)
            lines += *text == '\n';
    assert_int_equal(lines, 2000);
    close_pair();
}

static void test_syslog(void **state)
{
    (void)state;
    static const struct {
        enum log_level level;
        const char *priority; /* facility mail is 16 */
    } rows[] = {
        {LOG_CRASH, "<18>"}, {LOG_FAILURE, "<20>"}, {LOG_MAJOR, "<21>"}, {LOG_PROBLEM, "<19>"}, {LOG_LOW, "<22>"}};
    char expected[200];
    open_pair(LOG_TO_SYSLOG, SOCK_DGRAM);
    for (size_t i = 0; i < ROWS(rows); i++) {
        log_write(rows[i].level, "smtp", "s1", "words ip=1\nforged");
        const char *text = received(); /* a datagram each, at once */
        int n = snprintf(expected, sizeof expected, "%sostiary[%d]: %u ", rows[i].priority, (int)getpid(),
                         (unsigned)rows[i].level);
        assert_true(n > 0);
        if (strncmp(text, expected, (size_t)n) != 0 || !strstr(text, " smtp s1 words ip=1?forged"))
            fail_msg("row %zu: %s", i, text);
        assert_null(strchr(text, '\n'));
    }
    close_pair();
}

/* A log that can't be written stops nobody. */
static void test_nobody_listens(void **state)
{
    (void)state;
    open_pair(LOG_TO_FD, SOCK_STREAM);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    log_open(LOG_TO_FD, full);
    log_write(LOG_CRASH, "a", NULL, "lost");
    log_flush();
    log_open(LOG_TO_FD, -1);
    log_write(LOG_CRASH, "a", NULL, "lost");
    close(full);
    close_pair();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_quote_is_cut),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_no_record_is_forged),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_syslog),
        cmocka_unit_test(test_nobody_listens),
    };
    clock_fake_start(1800000000 * NANOSECONDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
