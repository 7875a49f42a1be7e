/* What each rule says: the tables of rows_*.c. */
#include "attempt.h"
#include "rules_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool is_as_wanted(const struct rule_row *row)
{
    struct attempt *a = malloc(sizeof *a);
    struct buf answer;
    assert_non_null(a);
    buf_init(&answer, 16384);
    attempt_init(a, row->settings, row->facts);
    attempt_judge(a, row->stage, &answer);
    bool is_right = span_is(buf_span(&answer), row->answer);
    if (!is_right)
        print_error("settings %s\nfacts    %s\nanswer   %.*s\nwanted   %s\n", row->settings, row->facts,
                    SPAN_ARG(buf_span(&answer)), row->answer);
    buf_release(&answer);
    attempt_release(a);
    free(a);
    return is_right;
}

static void check(const struct rule_rows *table)
{
    size_t wrong = 0;
    for (size_t i = 0; i < table->count; i++)
        wrong += !is_as_wanted(&table->rows[i]);
    assert_int_equal(wrong, 0);
}

static void test_lists(void **state)
{
    check(&rows_of_lists);
}

static void test_clients(void **state)
{
    check(&rows_of_clients);
}

static void test_dns(void **state)
{
    check(&rows_of_dns);
}

static void test_calls(void **state)
{
    check(&rows_of_calls);
}

static void test_content(void **state)
{
    check(&rows_of_content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists), cmocka_unit_test(test_clients), cmocka_unit_test(test_dns),
        cmocka_unit_test(test_calls), cmocka_unit_test(test_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
