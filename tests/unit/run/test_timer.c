#include "run/fiber.h"
#include "run/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

/* The clock is faked in this whole program. */

#define TIMERS 500
#define STEPS 10000

static uint64_t last_fired;
static size_t fired_count;
static struct loop *loop;

struct modelled {
    struct timer timer;
    uint64_t deadline; /* what the model says; CLOCK_NEVER when it should not fire */
    bool started;
};

static struct modelled timers[TIMERS];

static void fire_modelled(struct timer *timer)
{
    struct modelled *m = container_of(timer, struct modelled, timer);
    assert_true(m->started);
    assert_true(m->deadline <= clock_monotonic());
    assert_true(m->deadline >= last_fired); /* in the order of their deadlines */
    last_fired = m->deadline;
    m->started = false;
    fired_count++;
}

static uint32_t random_state = 12345;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % n;
}

static void step(void)
{
    struct modelled *m = &timers[random_below(TIMERS)];
    switch (random_below(4)) {
    case 0:
    case 1:
        m->deadline = clock_monotonic() + random_below(1000000);
        m->started = true;
        assert_int_equal(timer_start(loop, &m->timer, m->deadline), 0);
        break;
    case 2:
        m->started = false;
        timer_stop(loop, &m->timer);
        assert_int_equal(m->timer.place, 0);
        break;
    default:
        break;
    }
}

static void drive_model(struct fiber *self, void *argument)
{
    for (int i = 0; i < STEPS; i++) {
        step();
        if (i % 7 != 0)
            continue;
        clock_fake_advance(random_below(20000));
        last_fired = 0;
        assert_int_equal(fiber_yield(self), 0);
        for (size_t k = 0; k < TIMERS; k++)
            if (timers[k].started && timers[k].deadline <= clock_monotonic())
                fail_msg("timer %zu did not fire", k);
    }
    clock_fake_advance(1000000);
    last_fired = 0;
    assert_int_equal(fiber_yield(self), 0);
    for (size_t k = 0; k < TIMERS; k++) {
        assert_false(timers[k].started);
        assert_int_equal(timers[k].timer.place, 0);
    }
    loop_stop(loop);
}

static void ten_thousand_random_steps_match_a_model(void **state)
{
    for (size_t k = 0; k < TIMERS; k++)
        timers[k].timer.fire = fire_modelled;
    assert_non_null(fiber_start(loop, "drive", drive_model, NULL));
    assert_int_equal(loop_run(loop), 0);
    assert_true(fired_count > 1000);
}

/* A timer that starts itself for now must not keep the turn for itself. */
static size_t self_starts;

static void fire_again(struct timer *timer)
{
    self_starts++;
    assert_int_equal(timer_start(loop, timer, 0), 0);
}

static void yield_ten_times(struct fiber *self, void *argument)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(fiber_yield(self), 0);
    loop_stop(loop);
}

static void a_self_starting_timer_does_not_hold_the_loop(void **state)
{
    struct timer timer = {.fire = fire_again};
    self_starts = 0;
    assert_int_equal(timer_start(loop, &timer, 0), 0);
    assert_non_null(fiber_start(loop, "yield", yield_ten_times, NULL));
    assert_int_equal(loop_run(loop), 0);
    assert_true(self_starts >= 10);
    timer_stop(loop, &timer);
    timer_stop(loop, &timer);
}

/* ---- fake time ---- */

static void sleep_for_an_hour(struct fiber *self, void *argument)
{
    uint64_t deadline = clock_in_seconds(3600);
    assert_int_equal(fiber_sleep(self, deadline), 0);
    assert_int_equal(clock_monotonic(), deadline);
    *(bool *)argument = true;
}

static void move_time(struct fiber *self, void *argument)
{
    bool *done = argument;
    for (int minutes = 0; minutes < 60; minutes++) {
        assert_false(*done);
        clock_fake_advance(60 * NANOSECONDS);
        assert_int_equal(fiber_yield(self), 0);
    }
    assert_int_equal(fiber_yield(self), 0);
    assert_true(*done);
    loop_stop(loop);
}

static void an_hour_passes_at_once(void **state)
{
    bool done = false;
    assert_non_null(fiber_start(loop, "sleep", sleep_for_an_hour, &done));
    assert_non_null(fiber_start(loop, "time", move_time, &done));
    assert_int_equal(loop_run(loop), 0);
}

/* With nothing ready the loop still looks at a clock that a hook moves. */
static void advance_a_second(struct loop_hook *hook)
{
    clock_fake_advance(NANOSECONDS);
}

static void sleep_a_minute(struct fiber *self, void *argument)
{
    uint64_t start = clock_monotonic();
    assert_int_equal(fiber_sleep(self, clock_in_seconds(60)), 0);
    assert_true(clock_monotonic() - start >= 60 * NANOSECONDS);
    loop_stop(loop);
}

static void the_loop_never_sleeps_for_real_under_a_fake_clock(void **state)
{
    struct loop_hook hook = {.run = advance_a_second};
    loop_add_hook(loop, &hook);
    assert_non_null(fiber_start(loop, "sleep", sleep_a_minute, NULL));
    assert_int_equal(loop_run(loop), 0);
    loop_remove_hook(&hook);
}

/* ---- idle stacks ---- */

static struct condition idle;
static char *deep_page;

static __attribute__((noinline)) int dig(int depth)
{
    volatile char frame[1024];
    frame[0] = (char)depth;
    if (depth > 0)
        return dig(depth - 1) + frame[0];
    deep_page = (char *)((uintptr_t)frame & ~(uintptr_t)4095);
    return frame[0];
}

static void dig_and_wait(struct fiber *self, void *argument)
{
    int sum = dig(40);
    assert_int_equal(condition_wait(self, &idle, CLOCK_NEVER), 0);
    assert_int_equal(dig(40), sum);
}

static bool is_resident(char *page)
{
    unsigned char in_memory;
    assert_int_equal(mincore(page, 4096, &in_memory), 0);
    return in_memory & 1;
}

static void watch_memory(struct fiber *self, void *argument)
{
    assert_int_equal(fiber_yield(self), 0);
    assert_true(is_resident(deep_page));
    for (int seconds = 0; seconds < 3; seconds++) {
        clock_fake_advance(NANOSECONDS);
        assert_int_equal(fiber_yield(self), 0);
    }
    assert_false(is_resident(deep_page));
    condition_wake_all(&idle);
    while (loop_fiber_count(loop) > 1)
        assert_int_equal(fiber_yield(self), 0);
    loop_stop(loop);
}

static void an_idle_fiber_gives_its_stack_back(void **state)
{
    condition_init(&idle);
    assert_non_null(fiber_start(loop, "idle", dig_and_wait, NULL));
    assert_non_null(fiber_start(loop, "watch", watch_memory, NULL));
    assert_int_equal(loop_run(loop), 0);
}

static int set_up(void **state)
{
    loop = loop_new();
    return loop ? 0 : -1;
}

static int tear_down(void **state)
{
    loop_free(loop);
    return 0;
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    clock_fake_start(0);
    const struct CMUnitTest tests[] = {
        T(ten_thousand_random_steps_match_a_model),
        T(a_self_starting_timer_does_not_hold_the_loop),
        T(an_hour_passes_at_once),
        T(the_loop_never_sleeps_for_real_under_a_fake_clock),
        T(an_idle_fiber_gives_its_stack_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
