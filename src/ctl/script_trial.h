/* A site's script, tried from the command line: the engine of the script process, in a child process with the same
 * limits and without privileges. */
#ifndef CTL_SCRIPT_TRIAL_H
#define CTL_SCRIPT_TRIAL_H

#include "config/settings.h"
#include "script/engine.h"

#define SCRIPT_TRIAL_STAGES 2
#define SCRIPT_TRIAL_LINES (SCRIPT_PRINTED_MAX * (SCRIPT_TRIAL_STAGES + 1))

/* One call of check(mail). */
struct script_trial_call {
    const struct facts *facts;
    const struct recipient_facts *r;
};

/* What came of it. Whoever has it releases it with script_trial_free(). */
struct script_trial {
    bool is_loaded;                   /* else `problem` says why */
    bool was_killed;                  /* past script.seconds; `problem` says so */
    char problem[SCRIPT_PROBLEM_MAX]; /* of the file; those of calls are in their outcomes */
    size_t count;                     /* calls that came back */
    struct script_outcome outcomes[SCRIPT_TRIAL_STAGES];
    size_t line_count;
    struct {
        size_t size;
        char text[SCRIPT_LINE_MAX];
    } lines[SCRIPT_TRIAL_LINES]; /* that it printed */
};

/* Loads the script and makes the calls, none of them too: at most SCRIPT_TRIAL_STAGES. Each of them, and the loading,
 * has the limits of `settings`. Blocks until the child has ended. NULL where there is no memory or no process to be
 * had. */
MUST_USE struct script_trial *script_trial_run(const struct settings *settings, const char *path, struct span text,
                                               const struct script_trial_call *calls, size_t count, int64_t now);
void script_trial_free(struct script_trial *trial);

/* Reads the file that script.file names and loads it. 0 where it is good, there is none, or the user may not read it;
 * else EX_CONFIG with the sentence in `problem`. */
MUST_USE int script_trial_load(const struct settings *settings, struct buf *problem);

#endif
