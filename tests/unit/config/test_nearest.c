#include "config/nearest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_distance(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } rows[] = {
        {"", "", 0},
        {"abc", "abc", 0},
        {"abc", "ABC", 0},
        {"", "abc", 3},
        {"hostnme", "hostname", 1},
        {"hotsname", "hostname", 1},
        {"hostname", "hostnames", 1},
        {"kitten", "sitting", 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(edit_distance(span_text(rows[i].a), span_text(rows[i].b)), rows[i].distance);
        assert_int_equal(edit_distance(span_text(rows[i].b), span_text(rows[i].a)), rows[i].distance);
    }
    char longest[65];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(edit_distance(span_from(longest, 64), span_text("")), 64);
    assert_true(edit_distance(span_from(longest, 65), span_text("")) == SIZE_MAX);
}

static void test_nearest(void **state)
{
    static const struct {
        const char *wanted, *found;
    } rows[] = {{"acount", "account"}, {"accoutn", "account"},
                {"domains", "domain"}, {"doma", "domain"},
                {"dom", NULL},         {"x", NULL},
                {"zebra", NULL},       {"", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct nearest n;
        nearest_init(&n, span_text(rows[i].wanted));
        nearest_offer(&n, "account");
        nearest_offer(&n, "domain");
        const char *found = nearest_get(&n);
        if (rows[i].found)
            assert_string_equal(found, rows[i].found);
        else
            assert_null(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_distance), cmocka_unit_test(test_nearest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
