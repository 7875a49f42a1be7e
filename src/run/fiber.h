/* Fibers: a session is straight-line code on a stack of its own.
 *
 * A function that may wait takes `struct fiber *self` first; no other function waits. Only run/ switches stacks. A
 * process has one thread, one loop, and any number of fibers, of which one runs at a time, so what happens between two
 * waits is atomic.
 *
 * Every wait has a deadline (monotonic clock, CLOCK_NEVER for none) and returns 0, -ETIMEDOUT or -ECANCELED. After
 * fiber_cancel() every wait of that fiber, the one it is in and all later ones, returns -ECANCELED at once: its
 * ordinary clean-up runs, and a live stack is never freed. (A fiber that was woken already and did not run yet keeps
 * that result: a wake is never lost.)
 *
 * Stacks are FIBER_STACK_SIZE bytes of mmap with a guard page below. In sanitizer builds an overrun is reported by
 * AddressSanitizer (the switch tells it which stack is in use) and a hit on the guard page prints the fiber's name
 * before the process dies.
 */
#ifndef RUN_FIBER_H
#define RUN_FIBER_H

#include "base/list.h"
#include "base/span.h"

struct fiber;
struct loop;

/* Starts `main` on a fresh fiber, which runs for the first time in the loop's next turn (never inside this call).
 * `name` is copied (31 bytes) and stands in crash reports. When main returns the fiber is gone. NULL when there is no
 * memory for a stack. */
MUST_USE struct fiber *fiber_start(struct loop *loop, const char *name,
                                   void (*main)(struct fiber *self, void *argument), void *argument);
/* Allowed from anywhere on this thread, also on oneself and twice. The pointer must be of a fiber that has not
 * returned. */
void fiber_cancel(struct fiber *fiber);
bool fiber_is_canceled(const struct fiber *self);
struct loop *fiber_loop(const struct fiber *self);
const char *fiber_name(const struct fiber *self);

/* Lets the others run first. 0 or -ECANCELED. */
MUST_USE int fiber_yield(struct fiber *self);
/* Lets everybody run first who is ready now or becomes so meanwhile, for up to 20 ms: for work that matters less than
 * theirs. 0 or -ECANCELED. */
MUST_USE int fiber_step_aside(struct fiber *self);
/* 0 when the deadline came, -ECANCELED. */
MUST_USE int fiber_sleep(struct fiber *self, uint64_t deadline);

/* A condition: fibers wait on it until somebody wakes them. A wake without a waiter is lost: test, then wait, in a
 * loop. */
struct condition {
    struct list_node waiters;
};

void condition_init(struct condition *c);
MUST_USE int condition_wait(struct fiber *self, struct condition *c, uint64_t deadline);
void condition_wake_one(struct condition *c);
void condition_wake_all(struct condition *c);

/* How deep into its stack any fiber of this process has been so far, bytes; 0 unless the build paints stacks. */
size_t fiber_stack_high_water(void);
/* Gives the pages below the stack pointer back to the system: for sessions that go idle. */
void fiber_trim_stack(struct fiber *self);

#endif
