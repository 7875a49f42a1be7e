/* Telling others that the server serves: --ready-fd, for scripts and tests that wait for it. */
#ifndef CTL_READY_H
#define CTL_READY_H

#include "ctl/ctl.h"

/* The descriptor of --ready-fd, -1 when it was not given. 0 or EX_USAGE with the sentence. */
MUST_USE int ready_parse(struct ctl *ctl, int *fd);
/* Writes "ready\n" to it and closes it; does nothing for -1. */
void ready_tell(int fd);

#endif
