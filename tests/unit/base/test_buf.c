#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))

static void assert_holds(const struct buf *b, const char *text)
{
    if (!span_is(buf_span(b), text))
        fail_msg("\"%.*s\" and not \"%s\"", SPAN_ARG(buf_span(b)), text);
}

/* An append that would pass the limit does nothing, nor does any behind it; what was there stays. */
static void test_limit_is_sticky(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    buf_add_text(&b, "abc");
    buf_add_text(&b, "def");
    assert_true(buf_failed(&b));
    buf_add_char(&b, 'x'); /* it would fit */
    buf_add_u64(&b, 1);
    buf_printf(&b, "y");
    buf_printf(&b, "%300d", 1);
    buf_add_span(&b, span_text("z"));
    assert_null(buf_reserve(&b, 0));
    assert_holds(&b, "abc");
    buf_reset(&b);
    assert_false(buf_failed(&b));
    buf_add_text(&b, "12345");
    assert_false(buf_failed(&b));
    assert_holds(&b, "12345");
    buf_add_char(&b, '6');
    assert_true(buf_failed(&b));
    buf_release(&b);
    assert_false(buf_failed(&b));
    assert_null(b.data);
    buf_add_text(&b, "again");
    assert_holds(&b, "again");
    buf_release(&b);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        size_t limit, first, second;
        bool fits;
    } rows[] = {
        {0, 0, 0, true},
        {0, 1, 0, false},
        {1, 1, 0, true},
        {256, 200, 56, true},
        {256, 200, 57, false},
        {100000, 255, 99745, true},
        {100000, 1, 100000, false},
        {300, 0, 300, true},
        {SIZE_MAX, 10, SIZE_MAX, false},
        {SIZE_MAX, 10, SIZE_MAX - 9, false},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct buf b;
        buf_init(&b, rows[i].limit);
        size_t sizes[] = {rows[i].first, rows[i].second};
        for (size_t n = 0; n < 2; n++) {
            char *to = buf_reserve(&b, sizes[n]);
            if (!to)
                break;
            if (sizes[n]) /* the last byte is really there */
                to[sizes[n] - 1] = 'x';
            b.size += sizes[n];
        }
        if (buf_failed(&b) == rows[i].fits || b.room > rows[i].limit)
            fail_msg("row %zu: failed %d, room %zu", i, buf_failed(&b), b.room);
        buf_release(&b);
    }
}

static void test_print(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_printf(&b, "%s-%d", "a", -7);
    assert_holds(&b, "a--7");
    buf_printf(&b, "%s", "");
    assert_holds(&b, "a--7");
    buf_printf(&b, "%400d", 5);
    assert_int_equal(b.size, 404);
    assert_int_equal(b.data[403], '5');
    buf_printf(&b, "%400d", 6);
    assert_int_equal(b.size, 804);
    buf_printf(&b, "%194d", 7);
    assert_int_equal(b.size, 998);
    assert_false(buf_failed(&b));
    buf_printf(&b, "ab"); /* its NUL has no place */
    assert_true(buf_failed(&b));
    assert_int_equal(b.size, 998);
    buf_release(&b);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        const char *text;
    } rows[] = {{0, "0"}, {9, "9"}, {10, "10"}, {1234567890, "1234567890"}, {UINT64_MAX, "18446744073709551615"}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct buf b;
        buf_init(&b, 100);
        buf_add_u64(&b, rows[i].value);
        assert_holds(&b, rows[i].text);
        buf_release(&b);
    }
}

static void test_taking_away(void **state)
{
    (void)state;
    static const struct {
        size_t drop, truncate;
        const char *left;
    } rows[] = {{0, 6, "abcdef"}, {2, 6, "cdef"}, {6, 6, ""}, {7, 6, ""},       {SIZE_MAX, 6, ""},
                {0, 3, "abc"},    {1, 2, "bc"},   {0, 0, ""}, {0, 99, "abcdef"}};
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct buf b;
        buf_init(&b, 100);
        buf_add_text(&b, "abcdef");
        buf_drop(&b, rows[i].drop);
        buf_truncate(&b, rows[i].truncate);
        assert_holds(&b, rows[i].left);
        buf_release(&b);
        buf_drop(&b, 1); /* without memory */
        buf_truncate(&b, 1);
        assert_int_equal(b.size, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_is_sticky), cmocka_unit_test(test_sizes),       cmocka_unit_test(test_print),
        cmocka_unit_test(test_numbers),         cmocka_unit_test(test_taking_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
