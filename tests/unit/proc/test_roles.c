#include "base/clock.h"
#include "proc/roles.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_back_off(void **state)
{
    static const struct {
        unsigned failures;
        uint64_t milliseconds;
    } rows[] = {{0, 100},  {1, 100},  {2, 200},  {3, 400},  {4, 800},          {5, 1600},
                {6, 3200}, {7, 5000}, {8, 5000}, {9, 5000}, {UINT32_MAX, 5000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(back_off(rows[i].failures), rows[i].milliseconds * (NANOSECONDS / 1000));
}

/* The third alarm within a minute, not three in a longer time. */
static void test_alarms(void **state)
{
    static const struct {
        unsigned seconds; /* since the one before */
        bool rests;
    } rows[] = {{1, false},  {10, false}, {49, true},  {1, false}, {1, false},  {1, true},
                {59, false}, {30, false}, {30, false}, {1, true},  {100, false}};
    struct alarms alarms = {.next = 0};
    uint64_t now = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        now += rows[i].seconds * NANOSECONDS;
        assert_int_equal(alarms_note(&alarms, now), rows[i].rests);
    }
}

/* Every role but the two that are no processes of ours has one row, and every pair is of roles with a row. */
static void test_tables(void **state)
{
    for (int role = 0; role < ROLE_COUNT; role++) {
        unsigned rows = 0;
        for (size_t i = 0; i < role_row_count; i++)
            rows += role_rows[i].role == (enum role)role;
        bool is_process = role != ROLE_SUPERVISOR && role != ROLE_ADMIN;
        assert_int_equal(rows, is_process ? 1 : 0);
        assert_int_equal(role_row_get((enum role)role) != NULL, is_process);
    }
    for (size_t i = 0; i < role_pair_count; i++) {
        const struct role_row *client = role_row_get(role_pairs[i].client);
        const struct role_row *server = role_row_get(role_pairs[i].server);
        assert_non_null(client);
        assert_non_null(server);
        assert_true(client->stop_stage <= server->stop_stage); /* whoever is called ends last */
    }
}

/* What DESIGN.md's table forbids. */
static void test_least_privilege(void **state)
{
    unsigned writers = 0;
    for (size_t i = 0; i < role_row_count; i++) {
        const struct role_row *row = &role_rows[i];
        assert_true(row->stop_stage < STOP_STAGES);
        writers += row->files == SANDBOX_WRITE;
        if (row->services) { /* strangers talk to it */
            assert_int_equal(row->files, SANDBOX_NO_FILES);
            assert_false(row->may_connect);
            assert_false(row->has_grant_key);
            assert_null(row->admin_socket);
        }
        if (row->files != SANDBOX_NO_FILES)
            assert_false(row->may_connect);
        if (row->role == ROLE_SCRIPT) { /* it runs what the site wrote */
            assert_int_equal(row->files, SANDBOX_NO_FILES);
            assert_false(row->may_connect || row->may_ask || row->may_accept || row->has_grant_key || row->has_tls);
        }
        assert_int_equal(row->has_alarm, row->role == ROLE_SCRIPT);
        if (row->role == ROLE_READER)
            assert_int_equal(row->files, SANDBOX_READ);
    }
    assert_int_equal(writers, 1);
    assert_int_equal(role_rows[0].role, ROLE_WRITER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_alarms),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_least_privilege),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
