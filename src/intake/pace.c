#include "intake/pace.h"

#include "base/clock.h"

#include <errno.h>

#define WINDOW_SECONDS 60

void pace_begin(struct pace *pace)
{
    *pace = (struct pace){.window_ends = clock_in_seconds(WINDOW_SECONDS)};
}

int pace_wait(struct fiber *self, struct stream *stream, struct pace *pace, unsigned rate, uint64_t deadline)
{
    uint64_t now = clock_monotonic();
    uint64_t wanted = (uint64_t)rate * WINDOW_SECONDS;
    if (now >= pace->window_ends) {
        if (pace->bytes < wanted)
            return -ETIMEDOUT;
        *pace = (struct pace){.window_ends = now + WINDOW_SECONDS * NANOSECONDS};
    }
    bool paced = wanted && pace->bytes < wanted && pace->window_ends < deadline;
    return stream_fill(self, stream, paced ? pace->window_ends : deadline);
}
