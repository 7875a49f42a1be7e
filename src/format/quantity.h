/* Numbers with a unit behind them, as people write sizes and durations: "50M", "5m". Pure. */
#ifndef FORMAT_QUANTITY_H
#define FORMAT_QUANTITY_H

#include "base/buf.h"

enum quantity_kind {
    QUANTITY_NUMBER,   /* no units */
    QUANTITY_SIZE,     /* bytes: K, M, G, T, powers of 1024 */
    QUANTITY_DURATION, /* seconds: s, m, h, d */
};

/* All of `text`; the unit in either case. False, *value as it was, where it is none or not within least..most. */
MUST_USE bool quantity_parse(enum quantity_kind kind, struct span text, uint64_t least, uint64_t most, uint64_t *value);
/* With the largest unit that divides it: 60 seconds are "1m", 0 is "0". */
void quantity_write(enum quantity_kind kind, uint64_t value, struct buf *out);

#endif
