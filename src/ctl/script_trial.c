#include "ctl/script_trial.h"

#include "ctl/privileges.h"
#include "script/service.h"
#include "script/source.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- The child ---- */

static void take_line(void *context, struct span line)
{
    struct script_trial *trial = context;
    if (trial->line_count == SCRIPT_TRIAL_LINES)
        return;
    line = span_head(line, SCRIPT_LINE_MAX);
    trial->lines[trial->line_count].size = line.size;
    if (line.size)
        memcpy(trial->lines[trial->line_count].text, line.data, line.size);
    trial->line_count++;
}

static struct script *load(struct script_trial *trial, const struct settings *settings, const char *path,
                           struct span text, const struct script_printer *printer)
{
    const struct script_limits limits = {settings->script.memory, settings->script.steps};
    struct buf problem;
    buf_init(&problem, SCRIPT_PROBLEM_MAX);
    struct script *script = script_new(path, text, &limits, printer, &problem);
    trial->is_loaded = script != NULL;
    if (!script)
        snprintf(trial->problem, sizeof trial->problem, "%.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    return script;
}

static _Noreturn void run_child(struct script_trial *trial, const struct settings *settings, const char *path,
                                struct span text, const struct script_trial_call *calls, size_t count, int64_t now)
{
    const struct script_printer printer = {take_line, trial};
    if (privileges_drop(settings) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(EX_OSERR);
    sigset_t none;
    sigemptyset(&none);
    signal(SIGALRM, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    script_alarm(settings->script.seconds);
    const struct script *script = load(trial, settings, path, text, &printer);
    for (size_t i = 0; script && i < count; i++) {
        script_alarm(settings->script.seconds);
        script_check(script, calls[i].facts, calls[i].r, now, &printer, &trial->outcomes[i]);
        trial->count = i + 1;
    }
    _exit(EX_OK);
}

/* ---- The parent ---- */

/* Brings into bounds what the child wrote: it ran somebody's script. It is gone, so nothing changes any more. */
static void check_bounds(struct script_trial *trial)
{
    trial->problem[sizeof trial->problem - 1] = 0;
    if (trial->count > SCRIPT_TRIAL_STAGES)
        trial->count = SCRIPT_TRIAL_STAGES;
    if (trial->line_count > SCRIPT_TRIAL_LINES)
        trial->line_count = SCRIPT_TRIAL_LINES;
    for (size_t i = 0; i < trial->line_count; i++)
        if (trial->lines[i].size > SCRIPT_LINE_MAX)
            trial->lines[i].size = SCRIPT_LINE_MAX;
    for (size_t i = 0; i < trial->count; i++) {
        struct script_outcome *outcome = &trial->outcomes[i];
        outcome->problem[sizeof outcome->problem - 1] = 0;
        outcome->answer.text[sizeof outcome->answer.text - 1] = 0;
        outcome->answer.text_size = strlen(outcome->answer.text);
        if ((unsigned)outcome->answer.result > SCRIPT_FILE)
            outcome->answer.result = SCRIPT_NOTHING;
    }
}

static void read_end(struct script_trial *trial, const struct settings *settings, const char *path, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == EX_OK)
        return;
    trial->is_loaded = false;
    trial->was_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    if (trial->was_killed)
        snprintf(
            trial->problem, sizeof trial->problem,
            "%.300s: it took longer than script.seconds allows, %u s, and was killed; the server would have had no "
            "opinion of it",
            path, settings->script.seconds);
    else
        snprintf(trial->problem, sizeof trial->problem, "%.300s: the process that tried it ended with status %d", path,
                 status);
}

struct script_trial *script_trial_run(const struct settings *settings, const char *path, struct span text,
                                      const struct script_trial_call *calls, size_t count, int64_t now)
{
    struct script_trial *trial = mmap(NULL, sizeof *trial, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (trial == MAP_FAILED)
        return NULL;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run_child(trial, settings, path, text, calls, count < SCRIPT_TRIAL_STAGES ? count : SCRIPT_TRIAL_STAGES, now);
    if (pid < 0) {
        script_trial_free(trial);
        return NULL;
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    check_bounds(trial);
    read_end(trial, settings, path, status);
    return trial;
}

void script_trial_free(struct script_trial *trial)
{
    if (trial)
        munmap(trial, sizeof *trial);
}

int script_trial_load(const struct settings *settings, struct buf *problem)
{
    struct buf text;
    const char *path = settings->script.file;
    if (!path[0])
        return EX_OK;
    buf_init(&text, SCRIPT_SOURCE_ROOM);
    int error = script_source_read(path, &text, problem);
    bool is_others = error == -EACCES && geteuid() != 0;
    struct script_trial *trial = error ? NULL : script_trial_run(settings, path, buf_span(&text), NULL, 0, 0);
    buf_release(&text);
    if (is_others) {
        buf_reset(problem);
        return EX_OK;
    }
    if (!error && !trial)
        buf_add_text(problem, "no process can be made to try the script in");
    else if (!error && !trial->is_loaded)
        buf_add_text(problem, trial->problem);
    bool is_good = trial && trial->is_loaded;
    script_trial_free(trial);
    return is_good ? EX_OK : EX_CONFIG;
}
