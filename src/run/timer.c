#include "run/internal.h"

#include <errno.h>
#include <stdlib.h>

static void put(struct loop *loop, size_t place, struct timer_entry entry)
{
    loop->timers[place] = entry;
    entry.timer->place = place;
}

static void sift_up(struct loop *loop, size_t place, struct timer_entry entry)
{
    while (place > 1 && loop->timers[place / 2].key > entry.key) {
        put(loop, place, loop->timers[place / 2]);
        place /= 2;
    }
    put(loop, place, entry);
}

static void sift_down(struct loop *loop, size_t place, struct timer_entry entry)
{
    for (;;) {
        size_t child = place * 2;
        if (child > loop->timer_count)
            break;
        if (child < loop->timer_count && loop->timers[child + 1].key < loop->timers[child].key)
            child++;
        if (loop->timers[child].key >= entry.key)
            break;
        put(loop, place, loop->timers[child]);
        place = child;
    }
    put(loop, place, entry);
}

static int grow(struct loop *loop)
{
    size_t room = loop->timer_room ? loop->timer_room * 2 : 64;
    struct timer_entry *timers = reallocarray(loop->timers, room + 1, sizeof *timers);
    if (!timers)
        return -ENOMEM;
    loop->timers = timers;
    loop->timer_room = room;
    return 0;
}

int timer_start(struct loop *loop, struct timer *timer, uint64_t deadline)
{
    if (timer->place == 0) {
        if (loop->timer_count == loop->timer_room && grow(loop) != 0)
            return -ENOMEM;
        timer->deadline = deadline;
        sift_up(loop, ++loop->timer_count, (struct timer_entry){deadline, timer});
        return 0;
    }
    timer->deadline = deadline;
    if (deadline < loop->timers[timer->place].key)
        sift_up(loop, timer->place, (struct timer_entry){deadline, timer});
    return 0;
}

void timer_stop(struct loop *loop, struct timer *timer)
{
    size_t place = timer->place;
    if (place == 0)
        return;
    timer->place = 0;
    struct timer_entry last = loop->timers[loop->timer_count--];
    if (last.timer == timer)
        return;
    if (place > 1 && loop->timers[place / 2].key > last.key)
        sift_up(loop, place, last);
    else
        sift_down(loop, place, last);
}

uint64_t timers_next(const struct loop *loop)
{
    return loop->timer_count > 0 ? loop->timers[1].key : CLOCK_NEVER;
}

void timers_run(struct loop *loop)
{
    if (timers_next(loop) == CLOCK_NEVER)
        return;
    uint64_t now = clock_monotonic();
    /* Bounded, so that a timer which starts itself again for the past does not hold the turn. Twice: once to put a
     * moved one in its place. */
    for (size_t left = loop->timer_count * 2; left > 0 && timers_next(loop) <= now; left--) {
        struct timer_entry first = loop->timers[1];
        if (first.timer->deadline > first.key) {
            first.key = first.timer->deadline;
            sift_down(loop, 1, first);
            continue;
        }
        timer_stop(loop, first.timer);
        first.timer->fire(first.timer);
    }
}
