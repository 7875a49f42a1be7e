#include "format/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    enum quantity_kind kind;
    const char *text;
    uint64_t least, most, value;
    const char *written; /* NULL: it is none */
} rows[] = {
    {QUANTITY_NUMBER, "0", 0, 9, 0, "0"},
    {QUANTITY_NUMBER, "60", 0, 99, 60, "60"},
    {QUANTITY_NUMBER, "10", 0, 9, 0, NULL},
    {QUANTITY_NUMBER, "1", 2, 9, 0, NULL},
    {QUANTITY_NUMBER, "1K", 0, 9999, 0, NULL},
    {QUANTITY_SIZE, "1k", 0, 1 << 20, 1024, "1K"},
    {QUANTITY_SIZE, "1024K", 0, 1 << 20, 1 << 20, "1M"},
    {QUANTITY_SIZE, "1025", 0, 1 << 20, 1025, "1025"},
    {QUANTITY_SIZE, "2M", 0, 1 << 20, 0, NULL},
    {QUANTITY_SIZE, "15T", 0, UINT64_MAX, 15ull << 40, "15T"},
    {QUANTITY_SIZE, "99999999T", 0, UINT64_MAX, 0, NULL},
    {QUANTITY_SIZE, "18446744073709551615", 0, UINT64_MAX, UINT64_MAX, "18446744073709551615"},
    {QUANTITY_SIZE, "18446744073709551616", 0, UINT64_MAX, 0, NULL},
    {QUANTITY_SIZE, "K", 0, 9999, 0, NULL},
    {QUANTITY_SIZE, "", 0, 9999, 0, NULL},
    {QUANTITY_SIZE, "-1K", 0, 9999, 0, NULL},
    {QUANTITY_SIZE, "1 K", 0, 9999, 0, NULL},
    {QUANTITY_SIZE, "1KK", 0, 1 << 30, 0, NULL},
    {QUANTITY_DURATION, "90", 0, 999, 90, "90s"},
    {QUANTITY_DURATION, "5M", 0, 999, 300, "5m"},
    {QUANTITY_DURATION, "24h", 0, 86400, 86400, "1d"},
    {QUANTITY_DURATION, "1w", 0, 999999, 0, NULL},
};

static void test_quantities(void **state)
{
    struct buf out;
    buf_init(&out, 40);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t value = 77, again;
        bool good = quantity_parse(rows[i].kind, span_text(rows[i].text), rows[i].least, rows[i].most, &value);
        assert_int_equal(good, rows[i].written != NULL);
        assert_true(value == (good ? rows[i].value : 77));
        if (!good)
            continue;
        buf_reset(&out);
        quantity_write(rows[i].kind, value, &out);
        assert_true(span_is(buf_span(&out), rows[i].written));
        assert_true(quantity_parse(rows[i].kind, buf_span(&out), rows[i].least, rows[i].most, &again) &&
                    again == value);
    }
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quantities)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
