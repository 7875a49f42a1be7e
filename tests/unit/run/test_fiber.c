#include "run/fiber.h"

#include "run/loop.h"

#include <errno.h>
#include <fenv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct world {
    struct loop *loop;
    struct condition condition;
    char trace[64];
    size_t size;
    int outcome;
    int rounds;
    uint64_t turn_of_first, turn_of_last;
    int value;
    struct fiber *other;
};

static void note(struct world *w, char c)
{
    assert_true(w->size < sizeof w->trace - 1);
    w->trace[w->size++] = c;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->loop = loop_new();
    condition_init(&w->condition);
    *state = w;
    return w->loop ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    loop_free(w->loop);
    free(w);
    return 0;
}

/* Ends the loop once it is the only fiber left. */
static void stop_when_alone(struct fiber *self, void *argument)
{
    struct world *w = argument;
    while (loop_fiber_count(w->loop) > 1 && fiber_yield(self) == 0)
        ;
    loop_stop(w->loop);
}

static void run(struct world *w)
{
    assert_non_null(fiber_start(w->loop, "stop", stop_when_alone, w));
    assert_int_equal(loop_run(w->loop), 0);
    assert_int_equal(loop_fiber_count(w->loop), 0);
}

static struct fiber *start(struct world *w, void (*main)(struct fiber *self, void *argument))
{
    struct fiber *fiber = fiber_start(w->loop, "test", main, w);
    assert_non_null(fiber);
    return fiber;
}

/* ---- order ---- */

static void write_a(struct fiber *self, void *argument)
{
    for (char c = 'a'; c <= 'c'; c++) {
        note(argument, c);
        assert_int_equal(fiber_yield(self), 0);
    }
}

static void write_1(struct fiber *self, void *argument)
{
    for (char c = '1'; c <= '3'; c++) {
        note(argument, c);
        assert_int_equal(fiber_yield(self), 0);
    }
}

static void starts_in_order_and_never_inside_the_call(void **state)
{
    struct world *w = *state;
    start(w, write_a);
    start(w, write_1);
    assert_int_equal(w->size, 0);
    run(w);
    assert_string_equal(w->trace, "a1b2c3");
}

static void write_aside(struct fiber *self, void *argument)
{
    for (char c = 'x'; c <= 'z'; c++) {
        assert_int_equal(fiber_step_aside(self), 0);
        note(argument, c);
    }
}

static void who_steps_aside_runs_when_nobody_else_does(void **state)
{
    struct world *w = *state;
    start(w, write_aside);
    start(w, write_a);
    run(w);
    assert_string_equal(w->trace, "abcxyz");
}

#define MANY_ASIDE 5

static void step_aside_once(struct fiber *self, void *argument)
{
    struct world *w = argument;
    assert_int_equal(fiber_step_aside(self), 0);
    w->turn_of_last = loop_turns(w->loop);
    if (w->rounds++ == 0)
        w->turn_of_first = w->turn_of_last;
}

static void keep_busy(struct fiber *self, void *argument)
{
    struct world *w = argument;
    /* Until all of them are overdue. */
    for (uint64_t end = clock_monotonic() + NANOSECONDS / 20; clock_monotonic() < end;)
        continue;
    while (w->rounds < MANY_ASIDE)
        assert_int_equal(fiber_yield(self), 0);
}

/* Of a flood of them, too, whoever's time is over runs at once. */
static void who_steps_aside_is_not_forgotten(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < MANY_ASIDE; i++)
        start(w, step_aside_once);
    start(w, keep_busy);
    run(w);
    assert_int_equal(w->rounds, MANY_ASIDE);
    assert_int_equal(w->turn_of_first, w->turn_of_last);
}

static void facts(struct fiber *self, void *argument)
{
    struct world *w = argument;
    assert_ptr_equal(fiber_loop(self), w->loop);
    assert_string_equal(fiber_name(self), "a name of more than thirty-one ");
    assert_false(fiber_is_canceled(self));
    note(w, 'x');
}

static void knows_its_name_and_loop(void **state)
{
    struct world *w = *state;
    assert_non_null(fiber_start(w->loop, "a name of more than thirty-one bytes", facts, w));
    run(w);
    assert_string_equal(w->trace, "x");
}

/* ---- conditions ---- */

static void wait_once(struct fiber *self, void *argument)
{
    struct world *w = argument;
    assert_int_equal(condition_wait(self, &w->condition, CLOCK_NEVER), 0);
    note(w, (char)('0' + w->rounds++));
}

static void wake_one_by_one(struct fiber *self, void *argument)
{
    struct world *w = argument;
    for (int i = 0; i < 3; i++) {
        note(w, 'w');
        condition_wake_one(&w->condition);
        assert_int_equal(fiber_yield(self), 0);
    }
    condition_wake_one(&w->condition); /* nobody there: lost */
}

static void wakes_one_at_a_time(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++)
        start(w, wait_once);
    start(w, wake_one_by_one);
    run(w);
    assert_string_equal(w->trace, "w0w1w2");
}

static void wake_all(struct fiber *self, void *argument)
{
    struct world *w = argument;
    condition_wake_all(&w->condition);
    note(w, 'w');
}

static void wakes_all(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++)
        start(w, wait_once);
    start(w, wake_all);
    run(w);
    assert_string_equal(w->trace, "w012");
}

static void time_out_once(struct fiber *self, void *argument)
{
    struct world *w = argument;
    uint64_t deadline = clock_monotonic() + 2000000;
    assert_int_equal(condition_wait(self, &w->condition, deadline), -ETIMEDOUT);
    assert_true(clock_monotonic() >= deadline);
    assert_true(list_is_empty(&w->condition.waiters));
    note(w, 't');
}

static void condition_times_out(void **state)
{
    struct world *w = *state;
    start(w, time_out_once);
    run(w);
    assert_string_equal(w->trace, "t");
}

/* A wake and a deadline that come together: the wake counts, and is not given to two. */
static void wait_with_past_deadline(struct fiber *self, void *argument)
{
    struct world *w = argument;
    w->outcome = condition_wait(self, &w->condition, 0);
    note(w, 'd');
}

static void wake_before_deadline_wins(void **state)
{
    struct world *w = *state;
    start(w, wait_with_past_deadline);
    start(w, wake_all);
    run(w);
    assert_int_equal(w->outcome, 0);
    assert_string_equal(w->trace, "wd");
}

/* ---- cancel ---- */

static void cancel_other(struct fiber *self, void *argument)
{
    struct world *w = argument;
    fiber_cancel(w->other);
    fiber_cancel(w->other);
}

static void assert_canceled(struct fiber *self, struct world *w, int outcome)
{
    assert_int_equal(outcome, -ECANCELED);
    assert_true(fiber_is_canceled(self));
    assert_int_equal(fiber_yield(self), -ECANCELED);
    assert_int_equal(fiber_step_aside(self), -ECANCELED);
    assert_int_equal(fiber_sleep(self, CLOCK_NEVER), -ECANCELED);
    assert_int_equal(condition_wait(self, &w->condition, CLOCK_NEVER), -ECANCELED);
    assert_true(list_is_empty(&w->condition.waiters));
    note(w, 'C');
}

static void canceled_in_condition(struct fiber *self, void *argument)
{
    struct world *w = argument;
    assert_canceled(self, w, condition_wait(self, &w->condition, clock_in_seconds(3600)));
}

static void canceled_in_sleep(struct fiber *self, void *argument)
{
    assert_canceled(self, argument, fiber_sleep(self, CLOCK_NEVER));
}

static void canceled_in_yield(struct fiber *self, void *argument)
{
    assert_canceled(self, argument, fiber_yield(self));
}

static void canceled_aside(struct fiber *self, void *argument)
{
    assert_canceled(self, argument, fiber_step_aside(self));
}

static void cancel_ends_every_wait(void **state)
{
    struct world *w = *state;
    void (*const mains[])(struct fiber *, void *) = {canceled_in_condition, canceled_in_sleep, canceled_in_yield,
                                                     canceled_aside};
    for (size_t i = 0; i < sizeof mains / sizeof mains[0]; i++) {
        w->other = start(w, mains[i]);
        start(w, cancel_other);
        run(w);
    }
    assert_string_equal(w->trace, "CCCC");
}

static void canceled_before_start(struct fiber *self, void *argument)
{
    struct world *w = argument;
    assert_canceled(self, w, condition_wait(self, &w->condition, CLOCK_NEVER));
}

static void cancel_before_first_run(void **state)
{
    struct world *w = *state;
    fiber_cancel(start(w, canceled_before_start));
    run(w);
    assert_string_equal(w->trace, "C");
}

static void cancel_oneself(struct fiber *self, void *argument)
{
    fiber_cancel(self);
    assert_canceled(self, argument, fiber_sleep(self, clock_in_seconds(1)));
}

static void cancels_itself(void **state)
{
    struct world *w = *state;
    start(w, cancel_oneself);
    run(w);
    assert_string_equal(w->trace, "C");
}

static void sleep_long(struct fiber *self, void *argument)
{
    assert_int_equal(fiber_sleep(self, CLOCK_NEVER), -ECANCELED);
    note(argument, 's');
}

static void cancel_everybody(struct fiber *self, void *argument)
{
    struct world *w = argument;
    loop_cancel_all(w->loop, self);
    assert_false(fiber_is_canceled(self));
    loop_stop(w->loop);
    while (loop_fiber_count(w->loop) > 1)
        assert_int_equal(fiber_yield(self), 0);
    note(w, 'e');
    loop_stop(w->loop);
}

static void cancels_all_but_one(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++)
        start(w, sleep_long);
    start(w, cancel_everybody);
    assert_int_equal(loop_run(w->loop), 0); /* stopped at the end of a turn with fibers still there */
    if (loop_fiber_count(w->loop) > 0)
        assert_int_equal(loop_run(w->loop), 0);
    assert_string_equal(w->trace, "ssse");
}

/* ---- stacks and registers ---- */

/* OSTIARY_TEST_SWITCHES says another number, for valgrind. */
static int switches = 1000000;

static void switch_often(struct fiber *self, void *argument)
{
    struct world *w = argument;
    volatile double third = 1.0 / 3.0;
    double kept = third;
    while (w->rounds < switches) {
        w->rounds++;
        assert_int_equal(fiber_yield(self), 0);
        if (kept != third)
            fail_msg("a register was lost");
    }
}

static void switches_a_million_times(void **state)
{
    struct world *w = *state;
    const char *number = getenv("OSTIARY_TEST_SWITCHES");
    if (number)
        switches = atoi(number);
    assert_true(switches > 0);
    start(w, switch_often);
    start(w, switch_often);
    run(w);
    assert_int_equal(w->rounds, switches);
}

static void round_upwards(struct fiber *self, void *argument)
{
    struct world *w = argument;
    assert_int_equal(fesetround(FE_UPWARD), 0);
    assert_int_equal(fiber_yield(self), 0);
    w->outcome = fegetround();
    fesetround(FE_TONEAREST);
}

static void round_to_nearest(struct fiber *self, void *argument)
{
    struct world *w = argument;
    w->value = fegetround();
}

static void keeps_floating_point_mode_apart(void **state)
{
    struct world *w = *state;
    start(w, round_upwards);
    start(w, round_to_nearest);
    run(w);
    assert_int_equal(w->outcome, FE_UPWARD);
    assert_int_equal(w->value, FE_TONEAREST);
}

struct vector {
    char bytes[16];
} __attribute__((aligned(16)));

static void check_alignment(struct fiber *self, void *argument)
{
    struct vector v;
    volatile uintptr_t place = (uintptr_t)&v;
    assert_int_equal(place % 16, 0);
    char text[64]; /* printf of a double uses aligned stores */
    snprintf(text, sizeof text, "%.3f", 1.5);
    assert_string_equal(text, "1.500");
    note(argument, 'v');
}

static void stack_is_aligned(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 20; i++) /* stacks begin at several offsets */
        start(w, check_alignment);
    run(w);
    assert_int_equal(w->size, 20);
}

static __attribute__((noinline)) int dig(int depth)
{
    volatile char frame[1024];
    memset((char *)frame, 0x5a, sizeof frame);
    return depth == 0 ? frame[0] : dig(depth - 1) + frame[depth];
}

static void use_stack(struct fiber *self, void *argument)
{
    struct world *w = argument;
    w->value = dig(40);
    fiber_trim_stack(self);
    w->value += dig(40);
    fiber_trim_stack(self);
    assert_int_equal(fiber_yield(self), 0);
}

static void trims_and_measures_the_stack(void **state)
{
    struct world *w = *state;
    start(w, use_stack);
    run(w);
    assert_int_equal(w->value, 2 * 41 * 0x5a);
#ifdef OSTIARY_TEST_BUILD
    assert_true(fiber_stack_high_water() > 40 * 1024);
#else
    assert_int_equal(fiber_stack_high_water(), 0);
#endif
}

static void many_fibers_reuse_stacks(void **state)
{
    struct world *w = *state;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 200; i++)
            start(w, round_to_nearest);
        assert_int_equal(loop_fiber_count(w->loop), 200);
        run(w);
    }
}

/* ---- hooks ---- */

struct counted_hook {
    struct loop_hook hook;
    struct loop_hook *victim;
    int runs;
};

static void count_run(struct loop_hook *hook)
{
    struct counted_hook *counted = container_of(hook, struct counted_hook, hook);
    counted->runs++;
    if (counted->victim) {
        loop_remove_hook(counted->victim);
        loop_remove_hook(&counted->hook);
    }
}

static void hooks_run_each_turn_and_may_be_removed(void **state)
{
    struct world *w = *state;
    struct counted_hook first = {.hook.run = count_run}, second = {.hook.run = count_run},
                        third = {.hook.run = count_run};
    second.victim = &third.hook;
    loop_add_hook(w->loop, &first.hook);
    loop_add_hook(w->loop, &second.hook);
    loop_add_hook(w->loop, &third.hook);
    start(w, write_a);
    run(w);
    assert_int_equal((uint64_t)first.runs, loop_turns(w->loop));
    assert_int_equal(second.runs, 1);
    assert_int_equal(third.runs, 0);
    loop_remove_hook(&first.hook);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(starts_in_order_and_never_inside_the_call),
        T(who_steps_aside_runs_when_nobody_else_does),
        T(who_steps_aside_is_not_forgotten),
        T(knows_its_name_and_loop),
        T(wakes_one_at_a_time),
        T(wakes_all),
        T(condition_times_out),
        T(wake_before_deadline_wins),
        T(cancel_ends_every_wait),
        T(cancel_before_first_run),
        T(cancels_itself),
        T(cancels_all_but_one),
        T(switches_a_million_times),
        T(keeps_floating_point_mode_apart),
        T(stack_is_aligned),
        T(trims_and_measures_the_stack),
        T(many_fibers_reuse_stacks),
        T(hooks_run_each_turn_and_may_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
