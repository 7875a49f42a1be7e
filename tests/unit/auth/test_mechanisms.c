#include "auth/mechanisms.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_list(void **state)
{
    static const struct {
        bool secure, binding;
        const char *list;
    } rows[] = {
        {false, false, ""},
        {false, true, ""},
        {true, false, "SCRAM-SHA-256 PLAIN LOGIN"},
        {true, true, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf list;
        buf_init(&list, 256);
        sasl_mechanism_list(rows[i].secure, rows[i].binding, &list);
        assert_true(span_is(buf_span(&list), rows[i].list));
        buf_release(&list);
    }
}

static void test_parse_and_fit(void **state)
{
    assert_int_equal(mechanism_parse(span_text("plain")), MECHANISM_PLAIN);
    assert_int_equal(mechanism_parse(span_text("SCRAM-SHA-256")), MECHANISM_SCRAM_SHA_256);
    assert_int_equal(mechanism_parse(span_text("scram-sha-256-plus")), MECHANISM_SCRAM_SHA_256_PLUS);
    assert_int_equal(mechanism_parse(span_text("APOP")), MECHANISM_APOP);
    assert_int_equal(mechanism_parse(span_text("")), MECHANISM_COUNT);
    assert_int_equal(mechanism_parse(span_text("CRAM-MD5")), MECHANISM_COUNT);
    assert_true(mechanism_fits(MECHANISM_APOP, false, false));
    assert_false(mechanism_fits(MECHANISM_PLAIN, false, false));
    assert_false(mechanism_fits(MECHANISM_SCRAM_SHA_256_PLUS, true, false));
    assert_true(mechanism_fits(MECHANISM_SCRAM_SHA_256_PLUS, true, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list), cmocka_unit_test(test_parse_and_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
