#include "auth/greylist.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define DAY 86400u

static unsigned check(struct greylist *g, uint64_t now, const char *from, const char *sender, const char *recipient,
                      unsigned wait)
{
    struct greylist_attempt attempt = {
        .reverse_path = span_text(sender), .recipient = span_text(recipient), .wait_seconds = wait};
    assert_true(ip_address_parse(span_text(from), &attempt.from));
    return greylist_check(g, &attempt, now * NANOSECONDS);
}

/* One table after the other: each row is an attempt on the same list. */
static void attempts(void **state)
{
    static const struct {
        uint64_t now;
        const char *from, *sender, *recipient;
        unsigned wait, left;
    } rows[] = {
        {1000, "192.0.2.1", "a@far.test", "alice@x", 120, 120},
        {1060, "192.0.2.9", "A@Far.test", "Alice@x", 120, 60},  /* the same network and people */
        {1060, "192.0.2.9", "a@far.test", "alice@x", 60, 0},    /* who asks for less waits less */
        {1061, "192.0.2.1", "other@far.test", "bob@x", 120, 0}, /* the network and the domain are known */
        {1061, "192.0.2.1", "a@else.test", "bob@x", 120, 120},
        {1061, "192.0.3.1", "a@far.test", "alice@x", 120, 120}, /* another network */
        {1061, "192.0.3.1", "a@far.test", "bob@x", 120, 120},
        {1061, "192.0.3.1", "", "bob@x", 120, 120}, /* <> */
        {1181, "192.0.3.1", "", "bob@x", 120, 0},
        {1182, "192.0.3.1", "", "carol@x", 120, 0},
        {1182, "203.0.113.1", "a@far.test", "alice@x", 100000, GREYLIST_WAIT_MAX}, /* nobody waits longer */
        {1182, "203.0.114.1", "a@far.test", "alice@x", 0, 0},
        /* Known for as long as they come back. */
        {1061 + 36 * DAY - 1, "192.0.2.1", "b@far.test", "bob@x", 120, 0},
        {1061 + 72 * DAY - 2, "192.0.2.1", "c@far.test", "bob@x", 120, 0},
        {1061 + 72 * DAY - 2 + 36 * DAY, "192.0.2.1", "c@far.test", "bob@x", 120, 120},
        /* Who comes back after too long begins anew. */
        {1061 + 108 * DAY - 2 + 2 * DAY, "192.0.2.1", "c@far.test", "bob@x", 120, 120},
        {1061 + 110 * DAY - 2 + 119, "192.0.2.1", "c@far.test", "bob@x", 120, 1},
        {1061 + 110 * DAY - 2 + 120, "192.0.2.1", "c@far.test", "bob@x", 120, 0},
        {1061 + 120 * DAY, "2001:db8:1:2::1", "c@far.test", "bob@x", 60, 60},
        {1061 + 120 * DAY + 60, "2001:db8:1:2:3::1", "c@far.test", "bob@x", 60, 0},
        {1061 + 120 * DAY + 60, "2001:db8:1:3::1", "c@far.test", "bob@x", 60, 60},
    };
    struct greylist g;
    greylist_init(&g);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned left = check(&g, rows[i].now, rows[i].from, rows[i].sender, rows[i].recipient, rows[i].wait);
        if (left != rows[i].left)
            print_error("row %zu\n", i);
        assert_int_equal(left, rows[i].left);
    }
    greylist_release(&g);
}

static void parts_do_not_run_together(void **state)
{
    struct greylist g;
    greylist_init(&g);
    assert_int_equal(check(&g, 1, "192.0.2.1", "ab", "c", 60), 60);
    assert_int_equal(check(&g, 31, "192.0.2.1", "a", "bc", 60), 60);
    greylist_release(&g);
}

static void a_part_of_a_second(void **state)
{
    struct greylist g;
    struct greylist_attempt attempt = {.wait_seconds = 60};
    greylist_init(&g);
    assert_int_equal(greylist_check(&g, &attempt, 0), 60);
    assert_int_equal(greylist_check(&g, &attempt, 60 * NANOSECONDS - 1), 1);
    assert_int_equal(greylist_check(&g, &attempt, 60 * NANOSECONDS), 0);
    greylist_release(&g);
}

/* A full table lets pass what it can't note, and never forgets who waits; it does forget who had an hour to come. */
static void full(void **state)
{
    struct greylist g;
    char sender[32];
    greylist_init(&g);
    for (unsigned i = 0; i < GREYLIST_WAITING_MAX; i++) {
        snprintf(sender, sizeof sender, "%u@flood.test", i);
        assert_int_equal(check(&g, 10, "198.51.100.1", sender, "alice@x", 300), 300);
    }
    assert_int_equal(check(&g, 20, "192.0.2.1", "a@far.test", "alice@x", 300), 0);
    assert_int_equal(check(&g, 20, "198.51.100.1", "0@flood.test", "alice@x", 300), 290);
    assert_int_equal(check(&g, 10 + 3600, "192.0.2.1", "a@far.test", "alice@x", 300), 300);
    assert_int_equal(g.waiting.entries.count, GREYLIST_WAITING_MAX);
    /* Known ones: the one that came longest ago makes room. */
    for (unsigned i = 0; i < GREYLIST_KNOWN_MAX + 5; i++) {
        snprintf(sender, sizeof sender, "a@%u.test", i);
        (void)check(&g, 10 + 3 * DAY + i, "203.0.113.1", sender, "bob@x", 1);
        assert_int_equal(check(&g, 11 + 3 * DAY + i, "203.0.113.1", sender, "bob@x", 1), 0);
    }
    assert_int_equal(g.known.entries.count, GREYLIST_KNOWN_MAX);
    greylist_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts),
        cmocka_unit_test(parts_do_not_run_together),
        cmocka_unit_test(a_part_of_a_second),
        cmocka_unit_test(full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
