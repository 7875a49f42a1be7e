/* The loop: one epoll set, the timers and the run queue of a process.
 *
 * A turn: run every fiber that is ready, or, where none is, the first that stepped aside; run the hooks (they write
 * gathered frames and log lines once per turn); wait for descriptors or the next timer. Descriptors are registered
 * once, edge-triggered; an operation is tried before it is waited for.
 */
#ifndef RUN_LOOP_H
#define RUN_LOOP_H

#include "base/clock.h"
#include "base/list.h"
#include "base/span.h"

struct fiber;
struct loop;

/* NULL when the system refuses an epoll descriptor or memory. */
MUST_USE struct loop *loop_new(void);
/* Every fiber must have returned. */
void loop_free(struct loop *loop);
/* Runs until loop_stop() and until then only. 0, or a negative errno from epoll. */
MUST_USE int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Cancels every live fiber, `self` excepted when it is not NULL. */
void loop_cancel_all(struct loop *loop, struct fiber *self);
size_t loop_fiber_count(const struct loop *loop);
/* Since loop_new: for tests and the bench. */
uint64_t loop_turns(const struct loop *loop);

/* Called once at the end of every turn, in the order added. */
struct loop_hook {
    struct list_node node;
    void (*run)(struct loop_hook *hook);
};
void loop_add_hook(struct loop *loop, struct loop_hook *hook);
void loop_remove_hook(struct loop_hook *hook);

/* A timer calls `fire` once, from the loop, at or after its deadline; fire may start it again, and stop or free any
 * timer. All zero but for `fire` to begin with. Starting a started one moves it; to move it to a later time costs
 * nothing. Stopping an idle one does nothing. timer_start: 0, or -ENOMEM (never for a started one). */
struct timer {
    uint64_t deadline;
    size_t place; /* in the heap, 0 when idle */
    void (*fire)(struct timer *timer);
};
MUST_USE int timer_start(struct loop *loop, struct timer *timer, uint64_t deadline);
void timer_stop(struct loop *loop, struct timer *timer);

/* A watched descriptor. It stays the caller's to close, after watch_stop(). At most one fiber waits for reading and one
 * for writing. Input is registered once, edge-triggered: `ready` holds an EPOLLIN edge that nobody consumed yet. Output
 * is registered while somebody waits for it: a Unix socket would otherwise wake its writer each time the peer reads. */
struct watch {
    struct loop *loop;
    int fd;
    uint32_t ready;      /* EPOLLIN, or 0 */
    uint32_t registered; /* what epoll was told, 0 while paused */
    bool level;          /* a shared listener */
    bool hung_up;        /* the peer closed its writing side, or the connection broke: reading no longer waits */
    struct fiber *reader, *writer;
};
/* 0 or a negative errno. The descriptor must be non-blocking. `events` are extra epoll flags, EPOLLEXCLUSIVE for shared
 * listeners (then level-triggered, for input only, and silent while nobody waits) or 0. */
MUST_USE int watch_start(struct watch *watch, struct loop *loop, int fd, uint32_t events);
/* Wakes who still waits on it with -ECANCELED. From then on the loop does not know the watch. Stopping a stopped (or
 * zeroed) one does nothing. */
void watch_stop(struct watch *watch);
/* Stops and closes the descriptor, which no other process and no dup() may hold a copy of; one system call cheaper. */
void watch_close(struct watch *watch);
/* Waits until an edge came since the last call. 0 (also for hang-up and error: the next read tells), -ETIMEDOUT,
 * -ECANCELED, or another negative errno when epoll refuses. */
MUST_USE int watch_wait_readable(struct fiber *self, struct watch *watch, uint64_t deadline);
MUST_USE int watch_wait_writable(struct fiber *self, struct watch *watch, uint64_t deadline);

#endif
