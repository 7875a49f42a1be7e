#include "auth/recent.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct span right = SPAN("sandbox"), wrong = SPAN("Sandbox"), longer = SPAN("sandboxx");

static void test_success_cache(void **state)
{
    struct recent r;
    uint64_t now = 5 * NANOSECONDS, end = now + RECENT_SECONDS * NANOSECONDS;
    recent_init(&r);
    assert_false(recent_has(&r, 1, 7, right, now));
    recent_put(&r, 1, 7, right, now);
    assert_true(recent_has(&r, 1, 7, right, now));
    assert_false(recent_has(&r, 1, 7, wrong, now));
    assert_false(recent_has(&r, 1, 7, longer, now));
    assert_false(recent_has(&r, 1, 8, right, now)); /* the password was changed */
    assert_false(recent_has(&r, 2, 7, right, now));
    assert_true(recent_has(&r, 1, 7, right, end - 1));
    assert_false(recent_has(&r, 1, 7, right, end));
    recent_put(&r, 1, 8, wrong, now);
    assert_false(recent_has(&r, 1, 7, right, now));
    assert_true(recent_has(&r, 1, 8, wrong, now));
    recent_release(&r);
}

static void test_bound(void **state)
{
    struct recent r;
    recent_init(&r);
    for (uint64_t id = 1; id <= RECENT_MAX + 3; id++)
        recent_put(&r, id, 1, right, 1);
    assert_int_equal(r.accounts.count, RECENT_MAX);
    assert_false(recent_has(&r, 3, 1, right, 1));
    assert_true(recent_has(&r, 4, 1, right, 1));
    assert_true(recent_has(&r, RECENT_MAX + 3, 1, right, 1));
    recent_release(&r);
}

static void test_login_delay(void **state)
{
    struct recent r;
    uint64_t now = 5 * NANOSECONDS;
    recent_init(&r);
    assert_false(recent_is_too_soon(&r, 1, 60, now));
    assert_false(recent_is_too_soon(&r, 2, 60, now));
    assert_true(recent_is_too_soon(&r, 1, 60, now));
    assert_true(recent_is_too_soon(&r, 1, 60, now + 60 * NANOSECONDS - 1));
    /* The attempts in between did not move it. */
    assert_false(recent_is_too_soon(&r, 1, 60, now + 60 * NANOSECONDS));
    assert_true(recent_is_too_soon(&r, 1, 60, now + 61 * NANOSECONDS));
    assert_false(recent_is_too_soon(&r, 1, 0, now + 61 * NANOSECONDS));
    recent_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_success_cache), cmocka_unit_test(test_bound),
                                       cmocka_unit_test(test_login_delay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
