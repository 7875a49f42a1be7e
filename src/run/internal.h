/* What the parts of the run-time know of one another. Private to run/. */
#ifndef RUN_INTERNAL_H
#define RUN_INTERNAL_H

#include "run/fiber.h"
#include "run/loop.h"
#include "run/pool.h"

struct timer_entry {
    uint64_t key; /* not after the timer's deadline: a timer moved to a later time is put in its place when the key
                     comes due */
    struct timer *timer;
};

struct loop {
    int epoll;
    bool stopping;
    uint64_t turns;
    struct list_node ready; /* fibers to run in this turn */
    struct list_node later; /* fibers to run in the next */
    struct list_node aside; /* fibers to run in a turn in which nobody else is ready, each in one of its own */
    struct list_node fibers;
    size_t fiber_count;
    struct list_node hooks;
    struct timer_entry *timers; /* a heap; its root is timers[1] */
    size_t timer_count, timer_room;
    struct timer sweep;
    struct pool input_pool, output_pool;
    void *sp; /* the loop's own, while a fiber runs */
    void *fake_stack;
    const void *stack_low;
    size_t stack_size;
};

/* ---- fiber.c ---- */

/* Waits to be woken. `slot`, NULL or the place where the waker keeps this fiber, is set to NULL at the wake. 0 or what
 * fiber_wake was given; -ETIMEDOUT; -ECANCELED. */
MUST_USE int fiber_wait(struct fiber *self, uint64_t deadline, struct fiber **slot);
/* Only the first wake of a wait counts. */
void fiber_wake(struct fiber *fiber, int outcome);
/* Runs what is ready. */
void fibers_run(struct loop *loop);
/* The loop's timer that trims the stacks of fibers that wait for long. */
void fibers_sweep(struct timer *timer);
/* Names the fiber whose stack overran, once for the process. */
void fiber_catch_overruns(void);

/* ---- watch.c ---- */

/* What epoll reported. Only marks fibers ready. */
void watch_deliver(struct watch *watch, uint32_t events);

/* ---- timer.c ---- */

/* Fires what is due. */
void timers_run(struct loop *loop);
/* Not after the next deadline; CLOCK_NEVER when there is none. */
uint64_t timers_next(const struct loop *loop);

#endif
