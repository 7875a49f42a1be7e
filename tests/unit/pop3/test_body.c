#include "pop3/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))

/* One byte at a time, as RFC 1939 section 3 reads. */
static void stuff_slowly(struct span message, struct buf *out)
{
    char before = '\n';
    for (size_t i = 0; i < message.size; i++) {
        if (before == '\n' && message.data[i] == '.')
            buf_add_char(out, '.');
        buf_add_char(out, message.data[i]);
        before = message.data[i];
    }
    buf_add_text(out, before == '\n' ? ".\r\n" : "\r\n.\r\n");
}

static void stuff_split(struct span message, size_t at, struct buf *out)
{
    struct pop3_body body = {0};
    pop3_body_write(&body, span_head(message, at), out);
    pop3_body_write(&body, span_skip(message, at), out);
    pop3_body_end(&body, out);
}

static void check_stuffing(struct span message)
{
    struct buf expected, got;
    buf_init(&expected, 1u << 20);
    buf_init(&got, 1u << 20);
    stuff_slowly(message, &expected);
    for (size_t at = 0; at <= message.size; at++) {
        buf_reset(&got);
        stuff_split(message, at, &got);
        assert_true(span_equal(buf_span(&got), buf_span(&expected)));
    }
    assert_false(buf_failed(&got) || buf_failed(&expected));
    buf_release(&expected);
    buf_release(&got);
}

static void test_stuffing(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        ".",
        "..",
        "\r\n",
        ".\r\n",
        "..\r\n",
        "a\r\n.\r\nb\r\n",
        "a\r\n..\r\n...\r\n",
        "no end",
        "a.b.c\r\n.d\r\n",
        "a\n.\nb\r\n",
        "a\r.\rb\r\n",
        "a\r\n.",
        "\r\n.\r\n.\r\n",
        "........................................\r\n.",
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        check_stuffing(span_text(rows[i]));
}

/* Every string of up to seven characters of those that matter. */
static void test_stuffing_of_all_short_messages(void **state)
{
    (void)state;
    static const char alphabet[] = ".\r\na";
    for (size_t size = 0; size <= 7; size++)
        for (size_t n = 0; n < (size_t)1 << (2 * size); n++) {
            char message[7];
            for (size_t i = 0; i < size; i++)
                message[i] = alphabet[n >> (2 * i) & 3];
            check_stuffing(span_from(message, size));
        }
}

/* Would take hours if it were not linear. */
static void test_stuffing_is_linear(void **state)
{
    (void)state;
    const size_t size = 8u << 20;
    char *dots = malloc(size);
    assert_non_null(dots);
    memset(dots, '.', size);
    struct buf out;
    buf_init(&out, 3 * size);
    stuff_split(span_from(dots, size), size / 2, &out);
    assert_int_equal(out.size, size + 1 + 5);
    for (size_t i = 0; i < size; i += 2)
        dots[i] = '\n';
    buf_reset(&out);
    stuff_split(span_from(dots, size), size / 2 + 1, &out);
    assert_int_equal(out.size, size + size / 2 + 5);
    assert_false(buf_failed(&out));
    buf_release(&out);
    free(dots);
}

static void test_top(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        uint64_t lines;
        const char *expected;
    } rows[] = {
        {"A: b\r\n\r\none\r\ntwo\r\n", 0, "A: b\r\n\r\n"},
        {"A: b\r\n\r\none\r\ntwo\r\n", 1, "A: b\r\n\r\none\r\n"},
        {"A: b\r\n\r\none\r\ntwo\r\n", 2, "A: b\r\n\r\none\r\ntwo\r\n"},
        {"A: b\r\n\r\none\r\ntwo\r\n", 4294967295u, "A: b\r\n\r\none\r\ntwo\r\n"},
        {"A: b\r\n\r\n\r\n\r\nx\r\n", 1, "A: b\r\n\r\n\r\n"},
        {"\r\nbody\r\nmore\r\n", 0, "\r\n"},
        {"\r\nbody\r\nmore\r\n", 1, "\r\nbody\r\n"},
        {"A: b\r\nC: d\r\n", 5, "A: b\r\nC: d\r\n"},
        {"A: b\r\nno end", 0, "A: b\r\nno end"},
        {"A: b\n\nbare\nline\n", 1, "A: b\n\nbare\n"},
        {"A: b\r\n \r\nC: d\r\n\r\nx\r\n", 0, "A: b\r\n \r\nC: d\r\n\r\n"},
        {"A: b\r\n\r\rC\r\n\r\nx", 0, "A: b\r\n\r\rC\r\n\r\n"},
        {"A\r\n\r\r\n\r\nx", 0, "A\r\n\r\r\n\r\n"},
        {"", 3, ""},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct span message = span_text(rows[i].message);
        for (size_t at = 0; at <= message.size; at++)
            for (size_t second = at; second <= message.size; second++) {
                struct span pieces[] = {span_head(message, at), span_head(span_skip(message, at), second - at),
                                        span_skip(message, second)};
                char got[256];
                size_t size = 0;
                struct pop3_top top;
                pop3_top_init(&top, rows[i].lines);
                bool done = false;
                for (size_t n = 0; n < ROWS(pieces) && !done; n++) {
                    struct span part = pop3_top_cut(&top, pieces[n], &done);
                    memcpy(got + size, part.data, part.size);
                    size += part.size;
                }
                assert_true(span_equal(span_from(got, size), span_text(rows[i].expected)));
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stuffing),
        cmocka_unit_test(test_stuffing_of_all_short_messages),
        cmocka_unit_test(test_stuffing_is_linear),
        cmocka_unit_test(test_top),
    };
    return cmocka_run_group_tests_name("pop3 body", tests, NULL, NULL);
}
