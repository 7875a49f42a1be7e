#include "base/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))

static void test_compare(void **state)
{
    (void)state;
    static const struct {
        struct span a, b;
        bool equal, nocase, a_starts_with_b, a_ends_with_b;
    } rows[] = {
        {SPAN("abc"), SPAN("abc"), true, true, true, true},
        {SPAN("aBc"), SPAN("AbC"), false, true, true, true},
        {SPAN("abcd"), SPAN("ABC"), false, false, true, false},
        {SPAN("zabc"), SPAN("ABC"), false, false, false, true},
        {SPAN("ab"), SPAN("abc"), false, false, false, false},
        {SPAN(""), SPAN(""), true, true, true, true},
        {{NULL, 0}, SPAN(""), true, true, true, true},
        {SPAN("a"), {NULL, 0}, false, false, true, true},
        {SPAN("a\0b"), SPAN("a\0c"), false, false, false, false},
        {SPAN("a\0B"), SPAN("a\0b"), false, true, true, true},
        /* Only letters fold: these are 32 apart, too. */
        {SPAN("@["), SPAN("`{"), false, false, false, false},
        {SPAN("\xc4"), SPAN("\xe4"), false, false, false, false},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        if (span_equal(rows[i].a, rows[i].b) != rows[i].equal ||
            span_equal_nocase(rows[i].a, rows[i].b) != rows[i].nocase ||
            span_starts_nocase(rows[i].a, rows[i].b) != rows[i].a_starts_with_b ||
            span_ends_nocase(rows[i].a, rows[i].b) != rows[i].a_ends_with_b ||
            span_equal_secret(rows[i].a, rows[i].b) != rows[i].equal)
            fail_msg("row %zu", i);
}

static void test_parts(void **state)
{
    (void)state;
    static const struct {
        struct span s;
        size_t n;
        struct span head, rest;
    } rows[] = {
        {SPAN("abc"), 0, SPAN(""), SPAN("abc")}, {SPAN("abc"), 1, SPAN("a"), SPAN("bc")},
        {SPAN("abc"), 3, SPAN("abc"), SPAN("")}, {SPAN("abc"), SIZE_MAX, SPAN("abc"), SPAN("")},
        {{NULL, 0}, 5, SPAN(""), SPAN("")},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        if (!span_equal(span_head(rows[i].s, rows[i].n), rows[i].head) ||
            !span_equal(span_skip(rows[i].s, rows[i].n), rows[i].rest))
            fail_msg("row %zu", i);
}

static void test_write_text(void **state)
{
    (void)state;
    char out[4];
    span_write_text(span_text("abc"), out, sizeof out);
    assert_string_equal(out, "abc");
    span_write_text(span_text("defg"), out, sizeof out);
    assert_string_equal(out, "def");
    span_write_text((struct span){0}, out, sizeof out);
    assert_string_equal(out, "");
    span_write_text(span_text("x"), out, 1);
    assert_string_equal(out, "");
}

static void test_cut_and_find(void **state)
{
    (void)state;
    static const struct {
        struct span s, before, behind;
        size_t first, last;
    } rows[] = {
        {SPAN("a,b,c"), SPAN("a"), SPAN("b,c"), 1, 3}, {SPAN(",b"), SPAN(""), SPAN("b"), 0, 0},
        {SPAN("b,"), SPAN("b"), SPAN(""), 1, 1},       {SPAN("abc"), SPAN("abc"), SPAN(""), 3, 3},
        {SPAN(""), SPAN(""), SPAN(""), 0, 0},          {{NULL, 0}, SPAN(""), SPAN(""), 0, 0},
        {SPAN("\0,\0"), SPAN("\0"), SPAN("\0"), 1, 1},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct span rest = rows[i].s;
        struct span before = span_cut(&rest, ',');
        if (!span_equal(before, rows[i].before) || !span_equal(rest, rows[i].behind) ||
            span_find(rows[i].s, ',') != rows[i].first || span_find_last(rows[i].s, ',') != rows[i].last)
            fail_msg("row %zu", i);
    }
}

static void test_trim(void **state)
{
    (void)state;
    static const struct {
        struct span s, trimmed;
    } rows[] = {
        {SPAN(" \ta b\t "), SPAN("a b")},
        {SPAN("ab"), SPAN("ab")},
        {SPAN(" \t "), SPAN("")},
        {SPAN(""), SPAN("")},
        {{NULL, 0}, SPAN("")},
        {SPAN("\r\na\n"), SPAN("\r\na\n")},
    };
    for (size_t i = 0; i < ROWS(rows); i++)
        if (!span_equal(span_trim(rows[i].s), rows[i].trimmed))
            fail_msg("row %zu", i);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        struct span s;
        uint64_t max;
        bool good;
        uint64_t value;
    } rows[] = {
        {SPAN("0"), UINT64_MAX, true, 0},
        {SPAN("007"), UINT64_MAX, true, 7},
        {SPAN("18446744073709551615"), UINT64_MAX, true, UINT64_MAX},
        {SPAN("18446744073709551616"), UINT64_MAX, false, 0},
        {SPAN("18446744073709551620"), UINT64_MAX, false, 0},
        {SPAN("99999999999999999999999"), UINT64_MAX, false, 0},
        {SPAN("0000000000000000000000000000001"), 1, true, 1},
        {SPAN("10"), 10, true, 10},
        {SPAN("11"), 10, false, 0},
        {SPAN(""), UINT64_MAX, false, 0},
        {SPAN("+1"), UINT64_MAX, false, 0},
        {SPAN("-1"), UINT64_MAX, false, 0},
        {SPAN(" 1"), UINT64_MAX, false, 0},
        {SPAN("1 "), UINT64_MAX, false, 0},
        {SPAN("1\0"), UINT64_MAX, false, 0},
        {SPAN("\xb2"), UINT64_MAX, false, 0},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        uint64_t value = 4711;
        bool good = span_parse_u64(rows[i].s, rows[i].max, &value);
        if (good != rows[i].good || value != (good ? rows[i].value : 4711))
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),      cmocka_unit_test(test_parts), cmocka_unit_test(test_write_text),
        cmocka_unit_test(test_cut_and_find), cmocka_unit_test(test_trim),  cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
