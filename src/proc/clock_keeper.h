/* Keeps the steady clock (base/clock.h) for all processes: near the wall clock, but it does not jump with it.
 *
 * Where somebody sets the wall clock by more than a minute, ages and what falls due go on as if nothing had happened: a
 * clock that is ten years ahead for a moment must not bounce the queue or empty the ledger. Once it has stayed there
 * for an hour it is believed, but for another day nothing is deleted by its age. Where it began before something was
 * last written here (many small machines begin in 1970), it is believed at once when it is set to that time or later.
 * Time that the machine slept is time. */
#ifndef PROC_CLOCK_KEEPER_H
#define PROC_CLOCK_KEEPER_H

#include "base/clock.h"
#include "base/span.h"

#define CLOCK_JUMP_SECONDS 60
#define CLOCK_BELIEVED_SECONDS 3600
#define CLOCK_DOUBT_SECONDS 86400
/* A server that was away for longer begins in doubt, too. */
#define CLOCK_AWAY_SECONDS (30 * 86400)

/* The three clocks at one moment, in nanoseconds; boot is monotonic with the time that the machine slept. */
struct clock_readings {
    uint64_t monotonic, boot, wall;
};

enum clock_change {
    CLOCK_SAME,
    CLOCK_JUMPED,   /* away from the steady clock, or further away */
    CLOCK_RETURNED, /* to it */
    CLOCK_BELIEVED, /* where it jumped to: the steady clock is there now */
    CLOCK_MENDED,   /* began behind, jumped to where it can be right: the steady clock is there now */
};

struct clock_keeper {
    struct clock_page *page;
    int fd;
    int64_t base;      /* of the steady clock, from the boot clock */
    int64_t elsewhere; /* the same of the wall clock since it jumped */
    uint64_t since;    /* when it jumped, by the boot clock; 0: it is where it belongs */
    uint64_t behind;   /* the wall clock began before that and has not come there yet; 0: it has */
};

/* `last_used`: by the wall clock, when something was last written here; 0: never. 0 or a negative errno; `fd` is for
 * the other processes, and this one follows it from now on. `in_doubt` says whether the clock can't be right, or the
 * server was away for long. */
MUST_USE int clock_keeper_init(struct clock_keeper *k, const struct clock_readings *now, uint64_t last_used,
                               bool *in_doubt);
/* NULL-safe in what was not made. Nothing is followed any more. */
void clock_keeper_release(struct clock_keeper *k);
/* Every second or so. *nanoseconds: how far the wall clock is ahead (or behind) where that changed. */
enum clock_change clock_keeper_look(struct clock_keeper *k, const struct clock_readings *now, int64_t *nanoseconds);

struct clock_readings clock_read_all(void);
/* In a process: maps the page and follows it. 0 or a negative errno. */
MUST_USE int clock_keeper_follow(int fd);

#endif
