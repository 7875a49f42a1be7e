#include "run/loop.h"

#include "base/log.h"
#include "run/internal.h"
#include "run/stack.h"
#include "run/stream.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 256
#define OUTPUT_BLOCK_SIZE 4096
/* With a faked clock the loop can't know how long to sleep: it looks again and again whether somebody moved it. */
#define FAKE_POLL_MILLISECONDS 1

struct loop *loop_new(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return NULL;
    list_init(&loop->ready);
    list_init(&loop->later);
    list_init(&loop->aside);
    list_init(&loop->fibers);
    list_init(&loop->hooks);
    pool_init(&loop->input_pool, STREAM_INPUT_MAX);
    pool_init(&loop->output_pool, OUTPUT_BLOCK_SIZE);
    loop->sweep.fire = fibers_sweep;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0 || timer_start(loop, &loop->sweep, CLOCK_NEVER) != 0) {
        loop_free(loop);
        return NULL;
    }
    /* A peer that is gone is an error of the write, not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    fiber_catch_overruns();
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->fiber_count > 0)
        abort();
    if (loop->epoll >= 0)
        close(loop->epoll);
    pool_release(&loop->input_pool);
    pool_release(&loop->output_pool);
    stack_release_pool();
    free(loop->timers);
    free(loop);
}

void loop_add_hook(struct loop *loop, struct loop_hook *hook)
{
    list_append(&loop->hooks, &hook->node);
}

void loop_remove_hook(struct loop_hook *hook)
{
    list_remove(&hook->node);
}

static void run_hooks(struct loop *loop)
{
    /* Those still to run stand in a list of their own: a hook may remove any hook, itself too, and add others. */
    struct list_node left, *node;
    list_init(&left);
    while ((node = list_take_first(&loop->hooks)))
        list_append(&left, node);
    while ((node = list_take_first(&left))) {
        list_append(&loop->hooks, node);
        struct loop_hook *hook = container_of(node, struct loop_hook, node);
        hook->run(hook);
    }
}

static int milliseconds_to_wait(const struct loop *loop)
{
    if (loop->stopping || !list_is_empty(&loop->ready) || !list_is_empty(&loop->later) || !list_is_empty(&loop->aside))
        return 0;
    if (clock_is_fake())
        return FAKE_POLL_MILLISECONDS;
    uint64_t next = timers_next(loop);
    if (next == CLOCK_NEVER)
        return -1;
    uint64_t now = clock_monotonic();
    if (next <= now)
        return 0;
    uint64_t milliseconds = (next - now + 999999) / 1000000; /* up: an early wake would only wait again */
    return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

/* Nothing runs between epoll's answer and the end of this function: fibers are only marked ready. So no watch of this
 * batch can be gone. */
static int poll_descriptors(struct loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(loop->epoll, events, EVENTS_MAX, milliseconds_to_wait(loop));
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++)
        watch_deliver(events[i].data.ptr, events[i].events);
    return 0;
}

int loop_run(struct loop *loop)
{
    int error = 0;
    loop->stopping = false;
    while (!loop->stopping && !error) {
        loop->turns++;
        fibers_run(loop);
        run_hooks(loop);
        /* Who stepped aside is run at once, one a turn: a write for each would cost more than what they do. */
        if (list_is_empty(&loop->aside))
            log_flush();
        error = poll_descriptors(loop);
        timers_run(loop);
    }
    return error;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

size_t loop_fiber_count(const struct loop *loop)
{
    return loop->fiber_count;
}

uint64_t loop_turns(const struct loop *loop)
{
    return loop->turns;
}
