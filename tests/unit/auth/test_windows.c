#include "auth/windows.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ALICE span_text("alice@example.test")
#define BOB span_text("bob@example.test")

static struct ip_address ip(const char *text)
{
    struct ip_address address = {{0}};
    assert_true(ip_address_parse(span_text(text), &address));
    return address;
}

static uint64_t account_at(struct windows *w, const char *text, uint64_t now)
{
    struct ip_address address = ip(text);
    const struct window *window = windows_get(w, &address, now * NANOSECONDS);
    return window ? window->account_id : 0;
}

static void open_at(struct windows *w, const char *text, uint64_t account, struct span name, uint64_t now)
{
    struct ip_address address = ip(text);
    windows_open(w, &address, account, name, 60, now * NANOSECONDS);
}

static void test_open_and_close(void **state)
{
    struct windows w;
    windows_init(&w);
    assert_int_equal(account_at(&w, "192.0.2.1", 0), 0);
    open_at(&w, "192.0.2.1", 1, ALICE, 100);
    assert_int_equal(account_at(&w, "192.0.2.1", 100), 1);
    assert_int_equal(account_at(&w, "192.0.2.1", 159), 1);
    assert_int_equal(account_at(&w, "192.0.2.2", 100), 0); /* exactly that address */
    assert_int_equal(account_at(&w, "192.0.2.1", 160), 0);
    assert_int_equal(w.by_ip.count, 0);
    /* Each login opens it anew; the last account has it. */
    open_at(&w, "2001:db8::1", 1, ALICE, 100);
    open_at(&w, "2001:db8::1", 1, ALICE, 150);
    assert_int_equal(account_at(&w, "2001:db8::1", 205), 1);
    assert_int_equal(account_at(&w, "2001:db8::2", 205), 0);
    open_at(&w, "2001:db8::1", 2, BOB, 206);
    assert_int_equal(account_at(&w, "2001:db8::1", 207), 2);
    assert_int_equal(w.by_ip.count, 1);
    windows_release(&w);
}

static void test_off(void **state)
{
    struct windows w;
    struct ip_address address = ip("192.0.2.1");
    windows_init(&w);
    windows_open(&w, &address, 1, ALICE, 0, 1);
    assert_int_equal(w.by_ip.count, 0);
    /* A login after it was switched off closes what was open. */
    windows_open(&w, &address, 1, ALICE, 60, 1);
    windows_open(&w, &address, 1, ALICE, 0, 2);
    assert_int_equal(w.by_ip.count, 0);
    windows_release(&w);
}

static void test_closing_some(void **state)
{
    struct windows w;
    windows_init(&w);
    open_at(&w, "192.0.2.1", 1, ALICE, 1);
    open_at(&w, "192.0.2.2", 1, ALICE, 1);
    open_at(&w, "192.0.2.3", 2, BOB, 1);
    assert_int_equal(windows_close_matching(&w, span_text("nobody@example.test")), 0);
    assert_int_equal(windows_close_matching(&w, span_text("192.0.2.2")), 1);
    assert_int_equal(windows_close_matching(&w, span_text("ALICE@Example.test")), 1);
    assert_int_equal(account_at(&w, "192.0.2.3", 2), 2);
    open_at(&w, "192.0.2.1", 1, ALICE, 1);
    assert_int_equal(windows_close_account(&w, 2), 1);
    assert_int_equal(windows_close_account(&w, 2), 0);
    assert_int_equal(windows_close_matching(&w, span_text("")), 1);
    assert_int_equal(w.by_ip.count, 0);
    windows_release(&w);
}

static void test_bound(void **state)
{
    struct windows w;
    struct ip_address address = ip("2001:db8::");
    windows_init(&w);
    for (unsigned i = 0; i < WINDOWS_MAX + 5; i++) {
        memcpy(address.bytes + 12, &i, sizeof i);
        windows_open(&w, &address, i + 1, ALICE, 60, 1);
    }
    assert_int_equal(w.by_ip.count, WINDOWS_MAX);
    unsigned first = 4, kept = 5;
    memcpy(address.bytes + 12, &first, sizeof first);
    assert_null(windows_get(&w, &address, 1));
    memcpy(address.bytes + 12, &kept, sizeof kept);
    assert_non_null(windows_get(&w, &address, 1));
    windows_sweep(&w, 61 * NANOSECONDS);
    assert_int_equal(w.by_ip.count, 0);
    windows_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_and_close),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_closing_some),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
