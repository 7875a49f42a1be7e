/* A dialogue script: README.md beside this file says what may stand in one. Pure. */
#ifndef DIALOGUE_SCRIPT_H
#define DIALOGUE_SCRIPT_H

#include "base/arena.h"
#include "base/buf.h"

struct step {
    unsigned line;        /* where it stands, from 1 */
    struct span keyword;  /* "C", "S", "SET" … */
    struct span argument; /* what stands behind the keyword and one space */
    struct span body;     /* the "|" lines below it, each ended with CRLF */
};

struct script {
    struct step *steps;
    size_t count;
};

/* False with a sentence in `problem`. Everything is in the arena. */
MUST_USE bool script_parse(struct span text, struct arena *arena, struct script *script, struct buf *problem);

/* Appends `text` with its escapes resolved: \r \n \t \\ \xHH, and ${name} replaced by what `lookup` gives (NULL span
 * data: unknown). False when one of them is wrong. */
MUST_USE bool script_unescape(struct span text, struct span (*lookup)(void *context, struct span name), void *context,
                              struct buf *out);

#endif
