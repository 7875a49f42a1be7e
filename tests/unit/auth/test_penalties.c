#include "auth/penalties.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define HALF (NANOSECONDS / 2)

static void test_growth_and_decay(void **state)
{
    static const struct span key = SPAN("a192.0.2.7"), other = SPAN("a192.0.2.8");
    static const uint64_t expected[] = {0, HALF, 2 * HALF, 4 * HALF, 8 * HALF, 16 * HALF, 16 * HALF, 16 * HALF};
    struct penalties p;
    uint64_t now = 1000 * NANOSECONDS;
    penalties_init(&p);
    assert_int_equal(penalties_count(&p, key, now), 0);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(penalties_add(&p, key, 1, now), expected[i]);
        assert_int_equal(penalties_count(&p, key, now), i + 1);
    }
    assert_int_equal(penalties_count(&p, other, now), 0);
    assert_int_equal(penalties_add(&p, other, 1, now), 0);
    now += 60 * NANOSECONDS * 3;
    assert_int_equal(penalties_count(&p, key, now), 5);
    now += 60 * NANOSECONDS * 2;
    assert_int_equal(penalties_count(&p, key, now), 3);
    assert_int_equal(penalties_add(&p, key, 1, now), 4 * HALF);
    now += 60 * NANOSECONDS * 60;
    assert_int_equal(penalties_count(&p, key, now), 0);
    assert_int_equal(penalties_add(&p, key, 1, now), 0);
    for (int i = 0; i < 1000; i++)
        assert_true(penalties_add(&p, key, 1, now) <= 16 * HALF);
    assert_int_equal(penalties_count(&p, key, now + 60 * NANOSECONDS * 31), 0);
    penalties_release(&p);
}

static void test_some_go_free(void **state)
{
    static const struct span key = SPAN("network");
    struct penalties p;
    penalties_init(&p);
    for (int i = 0; i < 8; i++)
        assert_int_equal(penalties_add(&p, key, 8, 1), 0);
    assert_int_equal(penalties_add(&p, key, 8, 1), HALF);
    assert_int_equal(penalties_add(&p, key, 8, 1), 2 * HALF);
    for (int i = 0; i < 100; i++)
        (void)penalties_add(&p, key, 8, 1);
    assert_int_equal(penalties_add(&p, key, 8, 1), 16 * HALF);
    assert_int_equal(penalties_count(&p, key, 1), 38);
    assert_int_equal(penalties_count(&p, key, 1 + 38 * 60 * NANOSECONDS), 0);
    penalties_release(&p);
}

static void test_bound(void **state)
{
    struct penalties p;
    char key[16];
    penalties_init(&p);
    for (unsigned i = 0; i < PENALTIES_MAX + 10; i++) {
        int size = snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(penalties_add(&p, span_from(key, (size_t)size), 1, i), 0);
        /* The first one fails again and again, so it is never the oldest. */
        static const struct span first = SPAN("k0");
        (void)penalties_add(&p, first, 1, i);
    }
    static const struct span first = SPAN("k0"), second = SPAN("k1"), last = SPAN("k20009");
    assert_int_equal(p.entries.count, PENALTIES_MAX);
    assert_int_equal(penalties_count(&p, first, PENALTIES_MAX + 10), 31);
    assert_int_equal(penalties_count(&p, second, PENALTIES_MAX + 10), 0);
    assert_int_equal(penalties_count(&p, last, PENALTIES_MAX + 10), 1);
    penalties_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_growth_and_decay), cmocka_unit_test(test_some_go_free),
                                       cmocka_unit_test(test_bound)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
