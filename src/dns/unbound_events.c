#include "dns/unbound_events.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unbound-event.h>
#include <unistd.h>

/* Events of one turn: the others come in the next, so that calls are answered meanwhile. */
#define EVENTS_PER_TURN 256

struct unbound_events {
    struct ub_event_base base; /* first: libunbound hands its address back */
    struct loop *loop;
    int epoll;
    struct watch watch;
    struct loop_hook hook;
    struct timer again; /* makes the loop's next turn come at once */
    void (*work)(void *context);
    void *context;
};

typedef void (*event_callback)(int fd, short bits, void *argument);

struct unbound_event {
    struct ub_event event; /* first: libunbound hands its address back */
    struct unbound_events *events;
    int fd; /* -1: a mere timer */
    short bits;
    bool added;
    struct timer timer;
    uint64_t wait; /* of the timer, nanoseconds; 0: none */
    event_callback callback;
    void *argument;
};

static struct unbound_event *of(struct ub_event *event)
{
    return container_of(event, struct unbound_event, event);
}

/* ---- One event ---- */

static uint64_t nanoseconds(const struct timeval *time)
{
    if (time->tv_sec < 0)
        return 1;
    uint64_t wait = (uint64_t)time->tv_sec * NANOSECONDS + (uint64_t)time->tv_usec * 1000;
    return wait ? wait : 1;
}

static int delete_event(struct ub_event *event)
{
    struct unbound_event *e = of(event);
    timer_stop(e->events->loop, &e->timer);
    /* Where libunbound closed the descriptor first, the set has forgotten it already. */
    if (e->added && e->fd >= 0)
        (void)epoll_ctl(e->events->epoll, EPOLL_CTL_DEL, e->fd, NULL);
    e->added = false;
    return 0;
}

static int start_timer(struct unbound_event *e)
{
    return e->wait ? timer_start(e->events->loop, &e->timer, clock_monotonic() + e->wait) : 0;
}

static int add_event(struct ub_event *event, struct timeval *timeout)
{
    struct unbound_event *e = of(event);
    delete_event(event);
    e->wait = timeout && e->bits & UB_EV_TIMEOUT ? nanoseconds(timeout) : 0;
    if (start_timer(e))
        return -1;
    if (e->fd >= 0) {
        uint32_t wanted = (e->bits & UB_EV_READ ? EPOLLIN : 0) | (e->bits & UB_EV_WRITE ? EPOLLOUT : 0);
        struct epoll_event registered = {.events = wanted, .data.ptr = e};
        if (epoll_ctl(e->events->epoll, EPOLL_CTL_ADD, e->fd, &registered) != 0) {
            timer_stop(e->events->loop, &e->timer);
            return -1;
        }
    }
    e->added = true;
    return 0;
}

static void add_bits(struct ub_event *event, short bits)
{
    delete_event(event);
    of(event)->bits |= bits;
}

static void delete_bits(struct ub_event *event, short bits)
{
    delete_event(event);
    of(event)->bits = (short)(of(event)->bits & ~bits);
}

static void set_descriptor(struct ub_event *event, int fd)
{
    delete_event(event);
    of(event)->fd = fd;
}

static void free_event(struct ub_event *event)
{
    delete_event(event);
    free(of(event));
}

/* The callback may add the event again, or free it: nothing of it is looked at afterwards. */
static void fire(struct unbound_event *e, short bits)
{
    if (!(e->bits & UB_EV_PERSIST))
        delete_event(&e->event);
    else if (e->wait && start_timer(e)) /* without memory: never for a timer that runs */
        e->wait = 0;
    e->callback(e->fd, bits, e->argument);
}

static void fire_timer(struct timer *timer)
{
    fire(container_of(timer, struct unbound_event, timer), UB_EV_TIMEOUT);
}

static int add_timer(struct ub_event *event, struct ub_event_base *base, event_callback callback, void *argument,
                     struct timeval *timeout)
{
    struct unbound_event *e = of(event);
    e->callback = callback;
    e->argument = argument;
    return add_event(event, timeout);
}

static int no_signal_add(struct ub_event *event, struct timeval *timeout)
{
    return -1;
}

static int no_signal_delete(struct ub_event *event)
{
    return -1;
}

static void no_socket(struct ub_event *event)
{
}

static void no_block(struct ub_event *event, int bits)
{
}

static struct ub_event_vmt event_functions = {
    .add_bits = add_bits,
    .del_bits = delete_bits,
    .set_fd = set_descriptor,
    .free = free_event,
    .add = add_event,
    .del = delete_event,
    .add_timer = add_timer,
    .del_timer = delete_event,
    .add_signal = no_signal_add,
    .del_signal = no_signal_delete,
    .winsock_unregister_wsaevent = no_socket,
    .winsock_tcp_wouldblock = no_block,
};

/* ---- The base ---- */

static struct ub_event *new_event(struct ub_event_base *base, int fd, short bits, event_callback callback,
                                  void *argument)
{
    struct unbound_event *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (struct unbound_event){
        .event = {UB_EVENT_MAGIC, &event_functions},
        .events = container_of(base, struct unbound_events, base),
        .fd = fd,
        .bits = bits,
        .timer = {.fire = fire_timer},
        .callback = callback,
        .argument = argument,
    };
    return &e->event;
}

static struct ub_event *no_signal(struct ub_event_base *base, int fd, event_callback callback, void *argument)
{
    return NULL;
}

static struct ub_event *no_windows(struct ub_event_base *base, void *socket, event_callback callback, void *argument)
{
    return NULL;
}

static void leave_base(struct ub_event_base *base)
{
}

static int no_dispatch(struct ub_event_base *base)
{
    return -1;
}

static int no_exit(struct ub_event_base *base, struct timeval *timeout)
{
    return 0;
}

static struct ub_event_base_vmt base_functions = {
    .free = leave_base,
    .dispatch = no_dispatch,
    .loopexit = no_exit,
    .new_event = new_event,
    .new_signal = no_signal,
    .winsock_register_wsaevent = no_windows,
};

static void do_nothing(struct timer *timer)
{
}

/* One event a call: a callback may free any other event, also one that is ready, too. */
static void serve(struct loop_hook *hook)
{
    struct unbound_events *events = container_of(hook, struct unbound_events, hook);
    events->work(events->context);
    events->watch.ready = 0;
    for (int i = 0; i < EVENTS_PER_TURN; i++) {
        struct epoll_event ready;
        if (epoll_wait(events->epoll, &ready, 1, 0) <= 0)
            return;
        struct unbound_event *e = ready.data.ptr;
        uint32_t broken = ready.events & (EPOLLERR | EPOLLHUP);
        short bits = (short)((ready.events & EPOLLIN || broken ? e->bits & UB_EV_READ : 0) |
                             (ready.events & EPOLLOUT || broken ? e->bits & UB_EV_WRITE : 0));
        fire(e, bits);
    }
    /* Without memory the rest waits for whatever makes the loop turn next. */
    (void)!timer_start(events->loop, &events->again, 0);
}

struct unbound_events *unbound_events_new(struct loop *loop, void (*work)(void *context), void *context)
{
    struct unbound_events *events = calloc(1, sizeof *events);
    if (!events)
        return NULL;
    *events = (struct unbound_events){
        .base = {UB_EVENT_MAGIC, &base_functions},
        .loop = loop,
        .hook = {.run = serve},
        .again = {.fire = do_nothing},
        .work = work,
        .context = context,
        .epoll = epoll_create1(EPOLL_CLOEXEC),
    };
    if (events->epoll < 0 || watch_start(&events->watch, loop, events->epoll, 0)) {
        if (events->epoll >= 0)
            close(events->epoll);
        free(events);
        return NULL;
    }
    loop_add_hook(loop, &events->hook);
    return events;
}

void unbound_events_free(struct unbound_events *events)
{
    if (!events)
        return;
    loop_remove_hook(&events->hook);
    timer_stop(events->loop, &events->again);
    watch_close(&events->watch);
    free(events);
}

struct ub_event_base *unbound_events_base(struct unbound_events *events)
{
    return &events->base;
}
