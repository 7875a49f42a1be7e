#include "ctl/progress.h"

#include <stdio.h>
#include <unistd.h>

void progress_start(struct progress *p, const char *what)
{
    *p = (struct progress){.what = what, .shown = isatty(STDERR_FILENO), .percent = 101};
}

void progress_update(void *context, uint64_t done, uint64_t all)
{
    struct progress *p = context;
    unsigned percent = all ? (unsigned)((double)done * 100 / (double)all) : 0;
    if (!p->shown || percent == p->percent)
        return;
    p->percent = percent;
    fprintf(stderr, "\r%s: %u %%", p->what, percent);
}

void progress_stop(struct progress *p)
{
    if (p->shown && p->percent <= 100)
        fprintf(stderr, "\r\033[K");
}
