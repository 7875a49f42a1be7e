/* How settings come to be: the defaults first, then what a text says, then the checks that need more than one of them.
 * No function waits. */
#ifndef CONFIG_BUILD_H
#define CONFIG_BUILD_H

#include "config/schema.h"

/* All defaults, one reference; the hostname is still empty. NULL without memory. */
MUST_USE struct settings *settings_new(void);
/* What belongs to the settings and is freed with them. */
struct arena *settings_memory(struct settings *settings);

/* Where a check failed. */
struct setting_fault {
    const struct setting *setting;
    size_t item; /* of a list, from 1; 0 for the whole setting */
    /* The second one of two that contradict each other, NULL when there is none: the file may set only it. */
    const struct setting *other;
};

/* Fills in the host name and checks what depends on more than one setting. False with a sentence (without file and
 * line) in `problem`, and where. */
MUST_USE bool settings_finish(struct settings *settings, struct setting_fault *fault, struct buf *problem);

#endif
