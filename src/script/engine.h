/* A site's script: Lua 5.4 text with a function check(mail), under limits of memory and of steps.
 *
 * Every call has a Lua state of its own, made for it and thrown away: nothing that one call did is there for the next,
 * which may be about another person's mail. What is kept between calls is the compiled text.
 *
 * No limit here holds inside one function of Lua's C library: string.find() with a hostile pattern can compute for
 * years. Whoever calls script_new() or script_check() therefore arms a timer whose signal ends the process
 * (script/service.h), and nothing here may be called where the process may not end. Both need the stack of a whole
 * thread, more than a fiber's. */
#ifndef SCRIPT_ENGINE_H
#define SCRIPT_ENGINE_H

#include "policy/facts.h"
#include "script/answer.h"

#define SCRIPT_SOURCE_MAX (1u << 20) /* bytes of a file */
#define SCRIPT_PRINTED_MAX 20        /* lines that one call may print; later ones are dropped */
#define SCRIPT_LINE_MAX 400          /* bytes of such a line; longer ones are cut */
#define SCRIPT_PROBLEM_MAX 600

struct script_limits {
    uint64_t memory; /* bytes that Lua may have at a time */
    uint64_t steps;  /* instructions of Lua in one call, the file's top level among them */
};

/* Takes what print() printed. The line is cut, not cleaned. */
struct script_printer {
    void (*print)(void *context, struct span line);
    void *context;
};

struct script_outcome {
    struct script_answer answer; /* SCRIPT_NOTHING where there is a problem */
    /* One sentence that begins with "FILE:LINE: " where the line is known; empty: none. */
    char problem[SCRIPT_PROBLEM_MAX];
    uint64_t steps; /* fewer were taken, or just so many */
    size_t memory;  /* most bytes at a time */
};

struct script;

/* Compiles the text, runs its top level once, and looks whether it made a function check. `path` stands in problems.
 * NULL with the sentence in `problem`. */
MUST_USE struct script *script_new(const char *path, struct span text, const struct script_limits *limits,
                                   const struct script_printer *printer, struct buf *problem);
void script_free(struct script *script);
void script_set_limits(struct script *script, const struct script_limits *limits);

/* Calls check(mail) with these facts. `now` is mail.time, seconds since 1970-01-01 UTC. Whatever the script does,
 * *outcome is filled in. */
void script_check(const struct script *script, const struct facts *facts, const struct recipient_facts *r, int64_t now,
                  const struct script_printer *printer, struct script_outcome *outcome);

#endif
