#include "run/fiber.h"

#include "run/internal.h"
#include "run/stack.h"
#include "run/switch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef RUN_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

/* Wakes of one turn; then the loop looks at its descriptors again, whatever the fibers wake one another for. */
#define TURN_MAX 1024
/* A fiber that waits for longer than one to two of these gives back its unused stack. */
#define SWEEP_SECONDS 1
#define OWN_FRAMES 4096
/* So long a fiber that stepped aside lets others run first. */
#define ASIDE_MAX (NANOSECONDS / 50)

struct fiber {
    struct stack stack; /* first: it lives at the stack's upper end */
    struct loop *loop;
    void *sp; /* while it does not run */
    void *fake_stack;
    struct list_node all_node;
    struct list_node ready_node;
    struct list_node wait_node; /* in a condition */
    struct fiber **slot;        /* where the watch it waits on keeps it */
    struct timer timer;         /* in the heap for as long as the fiber lives, so that waiting takes no memory */
    void (*main)(struct fiber *self, void *argument);
    void *argument;
    int outcome;
    bool waiting, canceled, finished;
    uint64_t aside_until; /* when its turn comes, however busy the others are */
    unsigned sweeps;      /* survived in this wait */
    char name[32];
};

static struct fiber *running;

/* ---- switching ---- */

static void resume(struct fiber *fiber)
{
    struct loop *loop = fiber->loop;
    running = fiber;
#ifdef RUN_ASAN
    __sanitizer_start_switch_fiber(&loop->fake_stack, fiber->stack.low, (size_t)(fiber->stack.top - fiber->stack.low));
#endif
    switch_stacks(&loop->sp, fiber->sp);
#ifdef RUN_ASAN
    __sanitizer_finish_switch_fiber(loop->fake_stack, NULL, NULL);
#endif
    running = NULL;
}

static void leave(struct fiber *self)
{
    struct loop *loop = self->loop;
#ifdef RUN_ASAN
    /* NULL: this stack is not returned to, its fake frames may go. */
    __sanitizer_start_switch_fiber(self->finished ? NULL : &self->fake_stack, loop->stack_low, loop->stack_size);
#endif
    switch_stacks(&self->sp, loop->sp);
#ifdef RUN_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, &loop->stack_low, &loop->stack_size);
#endif
}

static void begin(void *argument)
{
    struct fiber *self = argument;
#ifdef RUN_ASAN
    __sanitizer_finish_switch_fiber(NULL, &self->loop->stack_low, &self->loop->stack_size);
#endif
    self->main(self, self->argument);
    self->finished = true;
    leave(self);
    abort();
}

/* ---- life ---- */

static void time_out(struct timer *timer)
{
    struct fiber *fiber = container_of(timer, struct fiber, timer);
    /* There is room: it was taken out just now. */
    if (timer_start(fiber->loop, timer, CLOCK_NEVER) != 0)
        abort();
    fiber_wake(fiber, -ETIMEDOUT);
}

struct fiber *fiber_start(struct loop *loop, const char *name, void (*main)(struct fiber *self, void *argument),
                          void *argument)
{
    struct stack *stack = stack_take(sizeof(struct fiber));
    if (!stack)
        return NULL;
    struct fiber *fiber = (struct fiber *)stack;
    struct list_node node = stack->node;
    memset((char *)fiber + sizeof *stack, 0, sizeof *fiber - sizeof *stack);
    stack->node = node;
    fiber->loop = loop;
    fiber->main = main;
    fiber->argument = argument;
    fiber->timer.fire = time_out;
    snprintf(fiber->name, sizeof fiber->name, "%s", name);
    if (timer_start(loop, &fiber->timer, CLOCK_NEVER) != 0) {
        stack_give(stack);
        return NULL;
    }
    fiber->sp = switch_prepare(stack->top, begin, fiber);
    list_init(&fiber->wait_node);
    list_append(&loop->fibers, &fiber->all_node);
    list_append(&loop->later, &fiber->ready_node);
    loop->fiber_count++;
    return fiber;
}

static void finish(struct fiber *fiber)
{
    timer_stop(fiber->loop, &fiber->timer);
    list_remove(&fiber->all_node);
    fiber->loop->fiber_count--;
    stack_give(&fiber->stack);
}

static bool is_overdue(const struct list_node *node, uint64_t now)
{
    return container_of(node, struct fiber, ready_node)->aside_until <= now;
}

/* They stand in the order in which their time is over. */
static void release_aside(struct loop *loop)
{
    if (list_is_empty(&loop->aside))
        return;
    uint64_t now = clock_monotonic();
    while (!list_is_empty(&loop->aside) && is_overdue(loop->aside.next, now))
        list_append(&loop->ready, list_take_first(&loop->aside));
    if (list_is_empty(&loop->ready) && !list_is_empty(&loop->aside))
        list_append(&loop->ready, list_take_first(&loop->aside));
}

void fibers_run(struct loop *loop)
{
    while (!list_is_empty(&loop->later))
        list_append(&loop->ready, list_take_first(&loop->later));
    release_aside(loop);
    for (size_t left = TURN_MAX; left > 0 && !list_is_empty(&loop->ready); left--) {
        struct fiber *fiber = container_of(list_take_first(&loop->ready), struct fiber, ready_node);
        resume(fiber);
        if (fiber->finished)
            finish(fiber);
    }
}

/* ---- waiting ---- */

int fiber_wait(struct fiber *self, uint64_t deadline, struct fiber **slot)
{
    struct loop *loop = self->loop;
    if (self->canceled)
        return -ECANCELED;
    self->waiting = true;
    self->sweeps = 0;
    self->slot = slot;
    if (slot)
        *slot = self;
    /* Neither can fail: both timers are never out of the heap for long enough to lose their place in it. */
    if (timer_start(loop, &self->timer, deadline) != 0 ||
        (loop->sweep.deadline == CLOCK_NEVER && timer_start(loop, &loop->sweep, clock_in_seconds(SWEEP_SECONDS)) != 0))
        abort();
    leave(self);
    /* Stays in the heap and is forgotten when its time comes: the next wait most likely ends later than this one. */
    self->timer.deadline = CLOCK_NEVER;
    return self->outcome;
}

void fiber_wake(struct fiber *fiber, int outcome)
{
    if (!fiber->waiting)
        return;
    fiber->waiting = false;
    fiber->outcome = outcome;
    if (fiber->slot)
        *fiber->slot = NULL;
    fiber->slot = NULL;
    list_remove(&fiber->wait_node);
    list_append(&fiber->loop->ready, &fiber->ready_node);
}

void fiber_cancel(struct fiber *fiber)
{
    fiber->canceled = true;
    fiber_wake(fiber, -ECANCELED);
}

void loop_cancel_all(struct loop *loop, struct fiber *self)
{
    list_each (node, &loop->fibers) {
        struct fiber *fiber = container_of(node, struct fiber, all_node);
        if (fiber != self)
            fiber_cancel(fiber);
    }
}

int fiber_yield(struct fiber *self)
{
    if (self->canceled)
        return -ECANCELED;
    list_append(&self->loop->later, &self->ready_node);
    leave(self);
    return self->canceled ? -ECANCELED : 0;
}

int fiber_step_aside(struct fiber *self)
{
    if (self->canceled)
        return -ECANCELED;
    self->aside_until = clock_monotonic() + ASIDE_MAX;
    list_append(&self->loop->aside, &self->ready_node);
    leave(self);
    return self->canceled ? -ECANCELED : 0;
}

int fiber_sleep(struct fiber *self, uint64_t deadline)
{
    int outcome = fiber_wait(self, deadline, NULL);
    return outcome == -ETIMEDOUT ? 0 : outcome;
}

void condition_init(struct condition *c)
{
    list_init(&c->waiters);
}

int condition_wait(struct fiber *self, struct condition *c, uint64_t deadline)
{
    if (self->canceled)
        return -ECANCELED;
    list_append(&c->waiters, &self->wait_node);
    return fiber_wait(self, deadline, NULL);
}

void condition_wake_one(struct condition *c)
{
    if (!list_is_empty(&c->waiters))
        fiber_wake(container_of(c->waiters.next, struct fiber, wait_node), 0);
}

void condition_wake_all(struct condition *c)
{
    while (!list_is_empty(&c->waiters))
        condition_wake_one(c);
}

/* ---- facts ---- */

bool fiber_is_canceled(const struct fiber *self)
{
    return self->canceled;
}

struct loop *fiber_loop(const struct fiber *self)
{
    return self->loop;
}

const char *fiber_name(const struct fiber *self)
{
    return self->name;
}

/* ---- stacks ---- */

size_t fiber_stack_high_water(void)
{
    return stack_high_water();
}

void fiber_trim_stack(struct fiber *self)
{
    /* What this call itself uses stays. */
    stack_trim(&self->stack, (char *)__builtin_frame_address(0) - OWN_FRAMES);
}

void fibers_sweep(struct timer *timer)
{
    struct loop *loop = container_of(timer, struct loop, sweep);
    bool again = false;
    list_each (node, &loop->fibers) {
        struct fiber *fiber = container_of(node, struct fiber, all_node);
        if (!fiber->waiting || fiber->sweeps > 1)
            continue;
        again = true;
        if (++fiber->sweeps > 1)
            stack_trim(&fiber->stack, fiber->sp);
    }
    /* There is room: it was taken out just now. */
    if (timer_start(loop, timer, again ? clock_in_seconds(SWEEP_SECONDS) : CLOCK_NEVER) != 0)
        abort();
}

/* ---- overruns ---- */

static struct sigaction former_segv, former_bus;

static void on_fault(int number, siginfo_t *info, void *context)
{
    if (running && stack_guard_has(&running->stack, info->si_addr)) {
        static const char before[] = "fiber '", behind[] = "' overran its stack\n";
        char text[sizeof before + sizeof running->name + sizeof behind];
        size_t name_size = strlen(running->name), size = sizeof before - 1 + name_size + sizeof behind - 1;
        memcpy(text, before, sizeof before - 1);
        memcpy(text + sizeof before - 1, running->name, name_size);
        memcpy(text + sizeof before - 1 + name_size, behind, sizeof behind - 1);
        if (write(STDERR_FILENO, text, size) < 0)
            _exit(128 + number);
    }
    /* The instruction runs again, and the fault goes to whoever had it before: AddressSanitizer, or the system, which
     * dumps core. */
    sigaction(number, number == SIGSEGV ? &former_segv : &former_bus, NULL);
}

void fiber_catch_overruns(void)
{
    static bool done;
    static char alternate_stack[64 * 1024]; /* the fiber's own has no room left */
    if (done)
        return;
    done = true;
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE)) {
        stack_t ours = {.ss_sp = alternate_stack, .ss_size = sizeof alternate_stack};
        if (sigaltstack(&ours, NULL) != 0)
            return;
    }
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, &former_segv);
    sigaction(SIGBUS, &action, &former_bus);
}
