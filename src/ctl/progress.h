/* How far a long piece of work is, on a terminal only: nothing is written to a file or a pipe. */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "reading" */
    bool shown;       /* standard error is a terminal */
    unsigned percent; /* as it stands there */
};

void progress_start(struct progress *p, const char *what);
/* Fits the callbacks of the store: `context` is the progress. */
void progress_update(void *context, uint64_t done, uint64_t all);
/* Wipes its line. */
void progress_stop(struct progress *p);

#endif
