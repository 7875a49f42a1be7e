#include "ipc/grant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_grant(void **state)
{
    unsigned char key[GRANT_KEY_SIZE], other_key[GRANT_KEY_SIZE], grant[GRANT_SIZE];
    memset(key, 7, sizeof key);
    memset(other_key, 7, sizeof other_key);
    other_key[GRANT_KEY_SIZE - 1] = 8;
    grant_make(key, 0x1122334455667788u, 1000, grant);
    struct span span = span_from(grant, sizeof grant);
    assert_true(grant_check(key, span, 999) == 0x1122334455667788u);
    assert_int_equal(grant_check(key, span, 1000), 0);
    assert_int_equal(grant_check(key, span, UINT64_MAX), 0);
    assert_int_equal(grant_check(other_key, span, 999), 0);
    assert_int_equal(grant_check(key, span_head(span, GRANT_SIZE - 1), 999), 0);
    assert_int_equal(grant_check(key, (struct span){0}, 999), 0);
    char longer[GRANT_SIZE + 1] = {0};
    memcpy(longer, grant, sizeof grant);
    assert_int_equal(grant_check(key, span_from(longer, sizeof longer), 999), 0);
}

static void test_each_bit_is_sealed(void **state)
{
    unsigned char key[GRANT_KEY_SIZE] = {1}, grant[GRANT_SIZE];
    grant_make(key, 42, 1000, grant);
    for (size_t bit = 0; bit < (size_t)GRANT_SIZE * 8; bit++) {
        grant[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(grant_check(key, span_from(grant, sizeof grant), 0), 0);
        grant[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_int_equal(grant_check(key, span_from(grant, sizeof grant), 0), 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grant), cmocka_unit_test(test_each_bit_is_sealed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
