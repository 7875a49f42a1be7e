#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void test_clock(void **state)
{
    (void)state;
    uint64_t before = clock_monotonic();
    assert_false(clock_is_fake());
    assert_true(clock_monotonic() >= before);
    assert_int_equal(clock_wall() / NANOSECONDS / 3600, (uint64_t)time(NULL) / 3600);

    clock_fake_start(1234567890 * NANOSECONDS);
    assert_true(clock_is_fake());
    uint64_t start = clock_monotonic();
    assert_true(start >= before); /* deadlines that were set before still lie ahead */
    assert_int_equal(clock_wall(), 1234567890 * NANOSECONDS);
    assert_int_equal(clock_in_seconds(0), start);
    assert_int_equal(clock_in_seconds(90), start + 90 * NANOSECONDS);
    clock_fake_advance(5);
    assert_int_equal(clock_monotonic(), start + 5);
    assert_int_equal(clock_wall(), 1234567890 * NANOSECONDS + 5);
    assert_true(clock_in_seconds(86400) < CLOCK_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
