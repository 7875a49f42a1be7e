#include "auth/turnstile.h"

#include "run/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct visitor {
    struct turnstile *turnstile;
    enum turnstile_line line;
    uint64_t deadline;
    char name;
    struct fiber *fiber;
    int error;
    bool is_done;
};

static struct loop *loop;
static char order[TURNSTILE_MAX * 2];
static size_t passed, inside;

static void settle(struct fiber *self, int turns)
{
    for (int i = 0; i < turns; i++)
        assert_int_equal(fiber_yield(self), 0);
}

static void visit(struct fiber *self, void *argument)
{
    struct visitor *v = argument;
    v->error = turnstile_enter(self, v->turnstile, v->line, v->deadline);
    if (!v->error) {
        assert_int_equal(inside++, 0); /* one at a time */
        order[passed++] = v->name;
        assert_int_equal(fiber_yield(self), 0);
        inside--;
        turnstile_leave(v->turnstile);
    }
    v->is_done = true;
}

static void start(struct visitor *v, struct turnstile *t, enum turnstile_line line, char name)
{
    *v = (struct visitor){.turnstile = t, .line = line, .deadline = CLOCK_NEVER, .name = name};
    v->fiber = fiber_start(loop, "visitor", visit, v);
    assert_non_null(v->fiber);
}

/* First come, first served, those without failures first; whoever gives up leaves no gap. */
static void test_order_main(struct fiber *self, void *argument)
{
    static const char names[] = "abcdefgh";
    static const enum turnstile_line lines[] = {TURNSTILE_CLEAN, TURNSTILE_SUSPECT, TURNSTILE_CLEAN, TURNSTILE_SUSPECT,
                                                TURNSTILE_CLEAN, TURNSTILE_CLEAN,   TURNSTILE_CLEAN, TURNSTILE_SUSPECT};
    struct turnstile t;
    struct visitor visitors[8];
    turnstile_init(&t);
    assert_int_equal(turnstile_enter(self, &t, TURNSTILE_CLEAN, CLOCK_NEVER), 0);
    for (size_t i = 0; i < 8; i++)
        start(&visitors[i], &t, lines[i], names[i]);
    settle(self, 10);
    assert_int_equal(passed, 0);
    fiber_cancel(visitors[2].fiber);
    settle(self, 10);
    assert_true(visitors[2].is_done);
    turnstile_leave(&t);
    settle(self, 100);
    assert_int_equal(visitors[2].error, -ECANCELED);
    assert_memory_equal(order, "aefgbdh", 7);
    assert_int_equal(passed, 7);
    assert_false(t.is_taken);
    loop_stop(loop);
}

/* Canceled at the very moment its turn comes: the turn is handed on, not lost. */
static void test_cancel_main(struct fiber *self, void *argument)
{
    struct turnstile t;
    struct visitor first, second;
    turnstile_init(&t);
    assert_int_equal(turnstile_enter(self, &t, TURNSTILE_CLEAN, CLOCK_NEVER), 0);
    start(&first, &t, TURNSTILE_CLEAN, 'x');
    start(&second, &t, TURNSTILE_CLEAN, 'y');
    settle(self, 10);
    turnstile_leave(&t);
    fiber_cancel(first.fiber);
    settle(self, 100);
    assert_int_equal(first.error, -ECANCELED);
    assert_true(second.is_done);
    assert_int_equal(second.error, 0);
    assert_memory_equal(order, "y", 1);
    assert_false(t.is_taken);
    loop_stop(loop);
}

static void test_full_main(struct fiber *self, void *argument)
{
    static struct visitor visitors[TURNSTILE_MAX + 1], late;
    struct turnstile t;
    turnstile_init(&t);
    assert_int_equal(turnstile_enter(self, &t, TURNSTILE_CLEAN, CLOCK_NEVER), 0);
    for (size_t i = 0; i < TURNSTILE_MAX + 1; i++)
        start(&visitors[i], &t, TURNSTILE_SUSPECT, 's');
    settle(self, 10);
    assert_true(visitors[TURNSTILE_MAX].is_done);
    assert_int_equal(visitors[TURNSTILE_MAX].error, -EAGAIN);
    assert_false(visitors[TURNSTILE_MAX - 1].is_done);
    /* The other line has room, and its own patience. */
    start(&late, &t, TURNSTILE_CLEAN, 'l');
    late.deadline = clock_monotonic();
    settle(self, 10);
    assert_true(late.is_done);
    assert_int_equal(late.error, -ETIMEDOUT);
    turnstile_leave(&t);
    settle(self, 5 * TURNSTILE_MAX);
    assert_int_equal(passed, TURNSTILE_MAX);
    assert_false(t.is_taken);
    loop_stop(loop);
}

static void run(void (*main_of_test)(struct fiber *self, void *argument))
{
    passed = inside = 0;
    loop = loop_new();
    assert_non_null(loop);
    assert_non_null(fiber_start(loop, "test", main_of_test, NULL));
    assert_int_equal(loop_run(loop), 0);
    loop_free(loop);
}

static void test_order(void **state)
{
    run(test_order_main);
}

static void test_cancel(void **state)
{
    run(test_cancel_main);
}

static void test_full(void **state)
{
    run(test_full_main);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_cancel),
                                       cmocka_unit_test(test_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
