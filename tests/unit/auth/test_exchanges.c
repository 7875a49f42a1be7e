#include "auth/exchanges.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct exchange *put_one(struct exchanges *t, struct exchange_owner *owner, uint64_t now)
{
    struct exchange *x = exchange_new(t, MECHANISM_LOGIN, now);
    assert_non_null(x);
    assert_int_equal(exchanges_put(t, owner, x), 0);
    return x;
}

static void test_ownership(void **state)
{
    struct exchanges t;
    struct exchange_owner one, two;
    exchanges_init(&t);
    exchange_owner_init(&one);
    exchange_owner_init(&two);
    struct exchange *x = put_one(&t, &one, 0);
    uint64_t id = x->id;
    assert_int_not_equal(id, 0);
    assert_null(exchanges_take(&t, &two, id, 1)); /* another channel's */
    assert_null(exchanges_take(&t, &one, id + 1, 1));
    assert_ptr_equal(exchanges_take(&t, &one, id, 1), x);
    assert_null(exchanges_take(&t, &one, id, 1)); /* it is out */
    assert_int_equal(one.count, 0);
    assert_int_equal(exchanges_put(&t, &one, x), 0);
    uint64_t other = put_one(&t, &two, 0)->id;
    exchange_owner_release(&t, &one);
    assert_null(exchanges_take(&t, &one, id, 1));
    x = exchanges_take(&t, &two, other, 1);
    assert_non_null(x);
    exchange_free(x);
    exchanges_release(&t);
}

static void test_expiry(void **state)
{
    const uint64_t minute = EXCHANGE_SECONDS * NANOSECONDS;
    struct exchanges t;
    struct exchange_owner owner;
    exchanges_init(&t);
    exchange_owner_init(&owner);
    uint64_t first = put_one(&t, &owner, 0)->id;
    put_one(&t, &owner, 10);
    assert_null(exchanges_take(&t, &owner, first, minute));
    assert_int_equal(owner.count, 1);
    assert_int_equal(exchanges_sweep(&t, minute), minute + 10);
    assert_int_equal(exchanges_sweep(&t, minute + 10), CLOCK_NEVER);
    assert_int_equal(owner.count, 0);
    exchanges_release(&t);
}

static void test_caps(void **state)
{
    struct exchanges t;
    struct exchange_owner owners[3];
    exchanges_init(&t);
    for (size_t i = 0; i < 3; i++)
        exchange_owner_init(&owners[i]);
    uint64_t first = 0, second = 0;
    for (size_t i = 0; i < EXCHANGES_PER_CHANNEL_MAX + 1; i++) {
        uint64_t id = put_one(&t, &owners[0], 0)->id;
        first = i == 0 ? id : first;
        second = i == 1 ? id : second;
    }
    assert_int_equal(owners[0].count, EXCHANGES_PER_CHANNEL_MAX);
    assert_null(exchanges_take(&t, &owners[0], first, 1));
    for (size_t i = 0; i < EXCHANGES_MAX; i++)
        put_one(&t, &owners[1 + i % 2], 0);
    assert_int_equal(t.by_id.count, EXCHANGES_MAX);
    assert_null(exchanges_take(&t, &owners[0], second, 1));
    exchanges_release(&t);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(owners[i].count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ownership), cmocka_unit_test(test_expiry),
                                       cmocka_unit_test(test_caps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
