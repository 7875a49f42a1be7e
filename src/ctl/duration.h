/* Times and sizes as a person says them. Pure. */
#ifndef CTL_DURATION_H
#define CTL_DURATION_H

#include "base/buf.h"

/* "45 s", "12 min", "3 h", "2 d": cut to the largest unit of which there are two, or to seconds. */
void ctl_write_duration(struct buf *out, uint64_t seconds);
/* "812 B", "3.4 KiB", "12 MiB". */
void ctl_write_size(struct buf *out, uint64_t bytes);

#endif
