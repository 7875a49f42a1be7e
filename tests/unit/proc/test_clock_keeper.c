#include "proc/clock_keeper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#define S NANOSECONDS
#define DAY 86400ull
#define YEARS (3650 * DAY)
#define START (1795000000ull * S)

struct step {
    uint64_t passed, slept; /* seconds since the step before */
    int64_t set;            /* and so far the wall clock was set */
    enum clock_change change;
    int64_t steady; /* how far the steady clock then is from the time that passed, in seconds */
    bool trusted;
    int64_t sure; /* how far what is sure then is behind the time that passed; not looked at while it is trusted */
};

/* `ahead`: how far what was last written is ahead of the start, in seconds. */
static void play(int64_t ahead, const struct step *steps, size_t count)
{
    struct clock_readings now = {.monotonic = 1000 * S, .boot = 1000 * S, .wall = START};
    struct clock_keeper k;
    bool in_doubt;
    uint64_t passed = 0;
    assert_int_equal(clock_keeper_init(&k, &now, START + (uint64_t)(ahead * (int64_t)S), &in_doubt), 0);
    assert_int_equal(in_doubt, ahead > 0);
    for (size_t i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        int64_t away;
        now.monotonic += s->passed * S;
        now.boot += (s->passed + s->slept) * S;
        now.wall += (s->passed + s->slept) * S + (uint64_t)(s->set * (int64_t)S);
        passed += (s->passed + s->slept) * S;
        assert_int_equal(clock_keeper_look(&k, &now, &away), s->change);
        int64_t steady = (int64_t)now.monotonic + k.page->offset;
        assert_int_equal(steady - (int64_t)(START + passed), s->steady * (int64_t)S);
        assert_int_equal(now.monotonic >= k.page->trusted_from, s->trusted);
        if (!s->trusted)
            assert_int_equal((int64_t)(START + passed) - (int64_t)k.page->sure, s->sure * (int64_t)S);
    }
    clock_keeper_release(&k);
}

#define PLAY_FROM(ahead, ...)                             \
    do {                                                  \
        static const struct step steps[] = {__VA_ARGS__}; \
        play(ahead, steps, sizeof steps / sizeof *steps); \
    } while (0)
#define PLAY(...) PLAY_FROM(-(int64_t)DAY, __VA_ARGS__)

static void test_jumps(void **state)
{
    /* For a moment, both ways. */
    PLAY({1, 0, 0, CLOCK_SAME, 0, true}, {1, 0, YEARS, CLOCK_JUMPED, 0, true}, {1, 0, 0, CLOCK_SAME, 0, true},
         {1, 0, -(int64_t)YEARS, CLOCK_RETURNED, 0, true}, {1, 0, -(int64_t)YEARS, CLOCK_JUMPED, 0, true},
         {3500, 0, 0, CLOCK_SAME, 0, true}, {1, 0, (int64_t)YEARS + 10, CLOCK_RETURNED, 10, true});
    /* For good. */
    PLAY({1, 0, 3600, CLOCK_JUMPED, 0, true}, {3599, 0, 0, CLOCK_SAME, 0, true},
         {1, 0, 0, CLOCK_BELIEVED, 3600, false, 0}, {DAY - 1, 0, 0, CLOCK_SAME, 3600, false, DAY - 1},
         {1, 0, 0, CLOCK_SAME, 3600, true}, {1, 0, -3600, CLOCK_JUMPED, 3600, true});
    /* From there to elsewhere: the hour begins anew. */
    PLAY({1, 0, 3600, CLOCK_JUMPED, 0, true}, {3000, 0, 0, CLOCK_SAME, 0, true}, {1, 0, 7200, CLOCK_JUMPED, 0, true},
         {3000, 0, 5, CLOCK_SAME, 0, true}, {600, 0, 0, CLOCK_BELIEVED, 10805, false, 0});
    /* Twice within a day: what was sure before the first. */
    PLAY({1, 0, 7200, CLOCK_JUMPED, 0, true}, {3600, 0, 0, CLOCK_BELIEVED, 7200, false, 0},
         {1, 0, YEARS, CLOCK_JUMPED, 7200, false, 1}, {3600, 0, 0, CLOCK_BELIEVED, 7200 + YEARS, false, 3601},
         {DAY, 0, 0, CLOCK_SAME, 7200 + YEARS, true}, {1, 0, -(int64_t)YEARS, CLOCK_JUMPED, 7200 + YEARS, true},
         {3600, 0, 0, CLOCK_BELIEVED, 7200, false, -(int64_t)(7200 + YEARS)});
}

static void test_no_jumps(void **state)
{
    /* Small steps are followed, and sleep is time. */
    PLAY({1, 0, 60, CLOCK_SAME, 60, true}, {1, 0, -30, CLOCK_SAME, 30, true}, {1, 100 * DAY, 0, CLOCK_SAME, 30, true},
         {1, 0, 0, CLOCK_SAME, 30, true});
}

static void test_the_start(void **state)
{
    static const struct {
        uint64_t last_used;
        bool in_doubt;
    } rows[] = {
        {0, false},
        {START, false},
        {START - 29 * DAY * S, false},
        {START - 31 * DAY * S, true},
        {START + 1800 * S, false},
        {START + 2 * 3600 * S, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct clock_readings now = {.monotonic = 5 * S, .boot = 5 * S, .wall = START};
        struct clock_keeper k;
        bool in_doubt;
        assert_int_equal(clock_keeper_init(&k, &now, rows[i].last_used, &in_doubt), 0);
        assert_int_equal(in_doubt, rows[i].in_doubt);
        assert_int_equal(k.page->trusted_from > now.monotonic, rows[i].in_doubt);
        if (in_doubt)
            assert_int_equal(k.page->sure, rows[i].last_used);
        clock_keeper_release(&k);
    }
}

/* A machine that does not know the time when it starts, and hears of it soon. */
static void test_a_start_behind(void **state)
{
    PLAY_FROM(YEARS, {20, 0, 0, CLOCK_SAME, 0, false, 20 - (int64_t)YEARS},
              {1, 0, YEARS + 60, CLOCK_MENDED, YEARS + 60, false, 21 - (int64_t)YEARS},
              {1, 0, 3600, CLOCK_JUMPED, YEARS + 60, false, 22 - (int64_t)YEARS},
              {DAY, 0, -3600, CLOCK_RETURNED, YEARS + 60, true},
              {1, 0, -(int64_t)YEARS, CLOCK_JUMPED, YEARS + 60, true});
    /* By two steps; and so late that the first doubt is over. */
    PLAY_FROM(YEARS, {2 * DAY, 0, YEARS / 2, CLOCK_JUMPED, 0, true},
              {1, 0, YEARS / 2, CLOCK_MENDED, YEARS, false, (int64_t)(2 * DAY + 1 - YEARS)});
    /* It came there without a jump: the next one is as any. */
    PLAY_FROM(2 * 3600, {3600, 0, 0, CLOCK_SAME, 0, false, -3600}, {1, 0, YEARS, CLOCK_JUMPED, 0, false, -3599});
}

static void test_who_may_write(void **state)
{
    struct clock_readings now = clock_read_all();
    struct clock_keeper k;
    bool in_doubt;
    assert_int_equal(clock_keeper_init(&k, &now, 0, &in_doubt), 0);
    assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, k.fd, 0) == MAP_FAILED);
    assert_int_equal(clock_keeper_follow(k.fd), 0);
    assert_true(clock_steady() - now.wall < 60 * S);
    atomic_store(&k.page->offset, 7);
    atomic_store(&k.page->trusted_from, UINT64_MAX);
    assert_true(clock_steady() < clock_monotonic() + 8);
    assert_false(clock_is_trusted());
    atomic_store(&k.page->sure, 5);
    assert_int_equal(clock_sure(), 5);
    atomic_store(&k.page->sure, UINT64_MAX);
    assert_true(clock_sure() >= 7 && clock_sure() < clock_monotonic() + 8);
    clock_follow(NULL);
    assert_true(clock_is_trusted());
    assert_true(clock_steady() >= now.wall);
    clock_keeper_release(&k);
}

/* Who keeps it goes by it, too: the supervisor rotates its log by the day. */
static void test_the_keeper_follows(void **state)
{
    struct clock_readings now = clock_read_all();
    struct clock_keeper k;
    bool in_doubt;
    int64_t away;
    assert_int_equal(clock_keeper_init(&k, &now, 0, &in_doubt), 0);
    now.wall += YEARS * S;
    assert_int_equal(clock_keeper_look(&k, &now, &away), CLOCK_JUMPED);
    atomic_fetch_sub(&k.page->offset, (int64_t)(YEARS * S));
    assert_true(clock_steady() < clock_wall() - DAY * S);
    clock_keeper_release(&k);
    assert_true(clock_steady() > clock_wall() - DAY * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jumps),         cmocka_unit_test(test_no_jumps),
        cmocka_unit_test(test_the_start),     cmocka_unit_test(test_a_start_behind),
        cmocka_unit_test(test_who_may_write), cmocka_unit_test(test_the_keeper_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
