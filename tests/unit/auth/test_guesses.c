#include "auth/guesses.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND NANOSECONDS

static struct ip_address ip(const char *text)
{
    struct ip_address address = {{0}};
    assert_true(ip_address_parse(span_text(text), &address));
    return address;
}

static void add(struct guesses *g, const char *from, const char *recipient, uint64_t now)
{
    struct ip_address address = ip(from);
    guesses_add(g, &address, span_text(recipient), now * SECOND);
}

static bool allowed(const struct guesses *g, const char *from, const char *recipient, uint64_t now)
{
    struct ip_address address = ip(from);
    return guesses_is_allowed(g, &address, span_text(recipient), now * SECOND);
}

static void by_network(void **state)
{
    struct guesses g;
    guesses_init(&g);
    for (unsigned i = 0; i < GUESSES_OF_NETWORK; i++) {
        assert_true(allowed(&g, "192.0.2.1", "alice@x", 1000 + i));
        add(&g, i % 2 ? "192.0.2.1" : "192.0.2.99", "alice@x", 1000 + i);
    }
    assert_false(allowed(&g, "192.0.2.1", "alice@x", 1010));
    assert_false(allowed(&g, "192.0.2.255", "bob@x", 1010)); /* whomever it is for */
    assert_true(allowed(&g, "192.0.3.1", "alice@x", 1010));
    /* One place is free an hour after the first one, no earlier, and one only. */
    assert_false(allowed(&g, "192.0.2.1", "alice@x", 1000 + GUESS_SECONDS - 1));
    assert_true(allowed(&g, "192.0.2.1", "alice@x", 1000 + GUESS_SECONDS));
    add(&g, "192.0.2.1", "alice@x", 1000 + GUESS_SECONDS);
    assert_false(allowed(&g, "192.0.2.1", "alice@x", 1000 + GUESS_SECONDS));
    assert_true(allowed(&g, "192.0.2.1", "alice@x", 1001 + GUESS_SECONDS));
    guesses_release(&g);
}

static void by_network_of_ipv6(void **state)
{
    struct guesses g;
    guesses_init(&g);
    for (unsigned i = 0; i < GUESSES_OF_NETWORK; i++)
        add(&g, "2001:db8:0:1::1", "alice@x", 1);
    assert_false(allowed(&g, "2001:db8:0:1:ffff::7", "bob@x", 1));
    assert_true(allowed(&g, "2001:db8:0:2::1", "bob@x", 1));
    guesses_release(&g);
}

static void by_recipient(void **state)
{
    struct guesses g;
    char from[32];
    guesses_init(&g);
    for (unsigned i = 0; i < GUESSES_OF_RECIPIENT; i++) {
        snprintf(from, sizeof from, "198.51.%u.1", i);
        assert_true(allowed(&g, from, "alice@x", 5));
        add(&g, from, "alice@x", 5);
    }
    assert_false(allowed(&g, "203.0.113.1", "alice@x", 5));
    assert_true(allowed(&g, "203.0.113.1", "bob@x", 5));
    assert_true(allowed(&g, "203.0.113.1", "alice@x", 5 + GUESS_SECONDS));
    guesses_release(&g);
}

static void bounded(void **state)
{
    struct guesses g;
    char name[32];
    guesses_init(&g);
    for (unsigned i = 0; i < GUESSES_OF_NETWORK; i++)
        add(&g, "192.0.2.1", "first@x", 1);
    for (unsigned i = 0; i < GUESS_KEYS_MAX + 5; i++) {
        snprintf(name, sizeof name, "%u@x", i);
        add(&g, "203.0.113.1", name, 2);
    }
    assert_int_equal(g.recipients.entries.count, GUESS_KEYS_MAX);
    /* That flood of recipients pushed no network out. */
    assert_false(allowed(&g, "192.0.2.1", "bob@x", 2));
    assert_int_equal(g.networks.entries.count, 2);
    guesses_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_network),
        cmocka_unit_test(by_network_of_ipv6),
        cmocka_unit_test(by_recipient),
        cmocka_unit_test(bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
