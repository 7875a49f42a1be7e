#include "base/clock.h"
#include "queue/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define HOUR 3600ull
#define DAY (24 * HOUR)

static const struct schedule ordinary = {.first = 300, .longest = 4 * HOUR, .warn_after = 4 * HOUR, .give_up = 5 * DAY};

static void waits_grow_and_vary(void **state)
{
    static const struct {
        unsigned attempts;
        uint64_t seconds;
    } rows[] = {{1, 300}, {2, 600}, {3, 1200}, {6, 9600}, {7, 14400}, {8, 14400}, {4000000000u, 14400}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t middle = rows[i].seconds * NANOSECONDS, lowest = UINT64_MAX, highest = 0;
        for (uint64_t j = 0; j < 100; j++) {
            uint64_t wait = schedule_wait(&ordinary, rows[i].attempts, j * 0x9e3779b97f4a7c15ull);
            lowest = wait < lowest ? wait : lowest;
            highest = wait > highest ? wait : highest;
        }
        assert_true(lowest >= middle - middle / 5 && lowest < middle - middle / 10);
        assert_true(highest <= middle + middle / 5 && highest > middle + middle / 10);
    }
}

static void odd_settings(void **state)
{
    struct schedule backwards = {.first = 600, .longest = 60, .give_up = DAY};
    assert_true(schedule_wait(&backwards, 5, 0) >= 480 * NANOSECONDS);
    struct schedule quick = {.first = 1, .longest = 1, .give_up = 1};
    assert_true(schedule_wait(&quick, 1, 0) == NANOSECONDS);
}

static void steps(void **state)
{
    static const struct {
        uint64_t age;
        bool was_warned;
        enum schedule_step step;
    } rows[] = {
        {0, false, SCHEDULE_RETRY},        {4 * HOUR - 1, false, SCHEDULE_RETRY}, {4 * HOUR, false, SCHEDULE_WARN},
        {4 * HOUR, true, SCHEDULE_RETRY},  {5 * DAY - 1, false, SCHEDULE_WARN},   {5 * DAY, false, SCHEDULE_GIVE_UP},
        {5 * DAY, true, SCHEDULE_GIVE_UP},
    };
    uint64_t created = 1700000000 * NANOSECONDS;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(schedule_step(&ordinary, created, created + rows[i].age * NANOSECONDS, 40, rows[i].was_warned),
                         rows[i].step);
    /* The clock went back: what was tried for all of the time is over. */
    static const struct {
        unsigned attempts;
        bool was_warned;
        enum schedule_step step;
    } back[] = {{1, false, SCHEDULE_RETRY},   {6, false, SCHEDULE_RETRY}, {8, false, SCHEDULE_WARN},
                {8, true, SCHEDULE_RETRY},    {40, true, SCHEDULE_RETRY}, {60, true, SCHEDULE_GIVE_UP},
                {60, false, SCHEDULE_GIVE_UP}};
    for (size_t i = 0; i < sizeof back / sizeof *back; i++)
        assert_int_equal(schedule_step(&ordinary, created, created - 1, back[i].attempts, back[i].was_warned),
                         back[i].step);
    struct schedule silent = ordinary;
    silent.warn_after = 0;
    assert_int_equal(schedule_step(&silent, created, created + DAY * NANOSECONDS, 40, false), SCHEDULE_RETRY);
}

/* A clock that is ten years ahead gives up nothing that was not tried; ordinary waits are never cut short. */
static void tried_enough(void **state)
{
    uint64_t created = 1700000000 * NANOSECONDS, later = created + 3650 * DAY * NANOSECONDS;
    assert_int_equal(schedule_step(&ordinary, created, later, 1, true), SCHEDULE_RETRY);
    assert_int_equal(schedule_step(&ordinary, created, later, 1, false), SCHEDULE_RETRY);
    assert_int_equal(schedule_step(&ordinary, created, later, 6, false), SCHEDULE_WARN);
    assert_int_equal(schedule_step(&ordinary, created, later, 15, true), SCHEDULE_RETRY);
    assert_int_equal(schedule_step(&ordinary, created, later, 40, true), SCHEDULE_GIVE_UP);
    assert_int_equal(schedule_step(&ordinary, created, later, UINT32_MAX, true), SCHEDULE_GIVE_UP);
    static const struct schedule schedules[] = {{300, 4 * HOUR, 4 * HOUR, 5 * DAY},
                                                {1, 1, 0, 1},
                                                {1, 2, 0, 3},
                                                {60, 60, 0, 5},
                                                {900, 60, 0, 60 * DAY},
                                                {1, 86400, 0, HOUR}};
    for (size_t i = 0; i < sizeof schedules / sizeof *schedules; i++) {
        const struct schedule *s = &schedules[i];
        uint64_t now = created;
        unsigned attempts = 1;
        /* Each wait as long as it may be. */
        while (schedule_step(s, created, now, attempts, true) != SCHEDULE_GIVE_UP) {
            assert_true(now < created + s->give_up * NANOSECONDS);
            now = schedule_next(s, attempts, created, now, 0, 2 * (schedule_wait(s, attempts, 0) / 4) - 1);
            attempts++;
        }
        assert_true(now >= created + s->give_up * NANOSECONDS);
    }
}

static void next_times(void **state)
{
    uint64_t created = 1700000000 * NANOSECONDS, end = created + 5 * DAY * NANOSECONDS;
    uint64_t next = schedule_next(&ordinary, 1, created, created, 0, 0);
    assert_true(next == created + 240 * NANOSECONDS);
    /* The destination's back-off moves it. */
    assert_true(schedule_next(&ordinary, 1, created, created, created + HOUR * NANOSECONDS, 0) ==
                created + HOUR * NANOSECONDS);
    /* The last attempt is made when the time is over, not hours later. */
    assert_true(schedule_next(&ordinary, 20, created, end - NANOSECONDS, 0, 0) == end);
    /* And when it is over already: an ordinary wait. */
    assert_true(schedule_next(&ordinary, 1, created, end + NANOSECONDS, 0, 0) > end + NANOSECONDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_grow_and_vary), cmocka_unit_test(odd_settings), cmocka_unit_test(steps),
        cmocka_unit_test(tried_enough),        cmocka_unit_test(next_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
