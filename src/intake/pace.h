/* How fast a client has to bring its message. Slow is allowed, dripping is not: each minute has to bring its share (a
 * client that sends a byte every ten seconds would hold its place for weeks). */
#ifndef INTAKE_PACE_H
#define INTAKE_PACE_H

#include "run/stream.h"

struct pace {
    uint64_t window_ends; /* monotonic nanoseconds */
    uint64_t bytes;       /* that came since the window began: the caller adds them */
};

void pace_begin(struct pace *pace);
/* Waits for more input on the stream. `rate`: bytes a second that each minute has to bring, 0 = no demand. 0;
 * -ETIMEDOUT at the deadline or where the minute brought too little; else as stream_fill. */
MUST_USE int pace_wait(struct fiber *self, struct stream *stream, struct pace *pace, unsigned rate, uint64_t deadline);

#endif
