/* The own black list, as the supervisor sees it: a descriptor that a helper filled, and that it hands on unread. */
#include "proc/supervisor_internal.h"

#include "base/log.h"
#include "policy/blacklist_compile.h"
#include "proc/blacklist_helper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* For four million entries on a slow machine. */
#define HELPER_SECONDS 120
/* The descriptors that it gets must not be among the numbers at which it gets them. */
#define FIRST_FREE_FD 10
#define FIXED_ARGUMENTS 7
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

void supervisor_want_blacklist(struct supervisor *s)
{
    s->blacklist.wanted = true;
    condition_wake_all(&s->blacklist.changed);
}

void blacklist_wait_first(struct fiber *self, struct supervisor *s)
{
    while (!s->blacklist.tries && !s->stopping && !condition_wait(self, &s->blacklist.changed, CLOCK_NEVER))
        ;
}

/* ---- The helper ---- */

struct helper_words {
    char uid[16], gid[16], level[16], target[16];
};

/* Whoever has the data directory reads them: the writer's user. The strings are the settings' and `words`'. Freed by
 * the caller. */
static char **make_arguments(const struct supervisor *s, struct helper_words *words)
{
    const struct word_list *files = &s->settings->blacklist.files;
    char **arguments = calloc(FIXED_ARGUMENTS + files->count + 1, sizeof *arguments);
    if (!arguments)
        return NULL;
    snprintf(words->uid, sizeof words->uid, "%u", (unsigned)s->users[ROLE_WRITER].uid);
    snprintf(words->gid, sizeof words->gid, "%u", (unsigned)s->users[ROLE_WRITER].gid);
    snprintf(words->level, sizeof words->level, "%d", (int)s->settings->log.level);
    snprintf(words->target, sizeof words->target, "%d", (int)s->log.target);
    char *const fixed[FIXED_ARGUMENTS] = {
        (char *)"ostiary", (char *)BLACKLIST_HELPER_WORD,      words->uid, words->gid, words->level,
        words->target,     (char *)s->settings->data_directory};
    memcpy(arguments, fixed, sizeof fixed);
    for (size_t i = 0; i < files->count; i++)
        arguments[FIXED_ARGUMENTS + i] = (char *)files->words[i];
    return arguments;
}

static int start_helper(struct supervisor *s, int out, pid_t *pid)
{
    struct helper_words words;
    char **arguments = make_arguments(s, &words);
    if (!arguments)
        return -ENOMEM;
    int fds[2] = {fcntl(out, F_DUPFD_CLOEXEC, FIRST_FREE_FD), fcntl(s->log.fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD)};
    int error = fds[0] < 0 || fds[1] < 0 ? -EMFILE : process_spawn(arguments, fds, 2, pid);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(arguments);
    return error;
}

/* Nothing of what it wrote is read here; it only has to be of a size that may be handed out, and to stay as it is. */
static int seal(int fd)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_size <= 0 || (uint64_t)status.st_size > BLACKLIST_BLOB_MAX)
        return -EFBIG;
    return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? -errno : 0;
}

/* A descriptor with the compiled list, or a negative errno; the helper has logged what it found wrong. */
static int compile(struct fiber *self, struct supervisor *s)
{
    pid_t pid = -1;
    int fd = memfd_create("ostiary-blacklist", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error = fd < 0 ? -errno : start_helper(s, fd, &pid);
    if (!error) {
        int status = process_wait(self, pid, clock_in_seconds(HELPER_SECONDS));
        /* Who is cancelled has ended it. */
        if (WIFSIGNALED(status) && !fiber_is_canceled(self))
            log_write(LOG_CRASH, "supervisor", NULL, "the reader of the black list died signal=%d", WTERMSIG(status));
        error = WIFEXITED(status) && WEXITSTATUS(status) == 0 ? seal(fd) : -EIO;
    }
    if (error && fd >= 0)
        close(fd);
    return error ? error : fd;
}

/* Is there anything to read, or a list that may have to become an empty one? */
static bool is_needed(const struct supervisor *s)
{
    char own[PATH_MAX];
    struct stat status;
    if (s->blacklist.fd >= 0 || s->settings->blacklist.files.count)
        return true;
    int length = snprintf(own, sizeof own, "%s/" BLACKLIST_OWN_FILE, s->settings->data_directory);
    return (size_t)length >= sizeof own || lstat(own, &status) == 0 || errno != ENOENT;
}

/* ---- Handing it out ---- */

static void tell(struct process *p, int fd)
{
    struct control_frame frame = {.kind = CONTROL_UPDATE};
    int error = control_add(&frame, CONTROL_FD_BLACKLIST, 0, 0, fd);
    if (!error)
        error = control_send(p->control, &frame);
    if (!error)
        return;
    log_write(LOG_PROBLEM, "supervisor", NULL, "a process can't be given the black list role=%s error=%s",
              role_name(p->row->role), strerror(-error));
    process_begin_anew(p); /* with it */
}

static void replace(struct supervisor *s, int fd)
{
    if (s->blacklist.fd >= 0)
        close(s->blacklist.fd);
    s->blacklist.fd = fd;
    for (size_t i = 0; i < s->process_count; i++)
        if (s->processes[i].row->has_blacklist && s->processes[i].control >= 0)
            tell(&s->processes[i], fd);
}

static void read_again(struct fiber *self, struct supervisor *s)
{
    bool needed = is_needed(s);
    int fd = needed ? compile(self, s) : -ENOENT;
    if (fd >= 0)
        replace(s, fd);
    else if (!needed)
        log_write(LOG_LOW, "supervisor", NULL,
                  "there is no own black list: neither blacklist.files nor " BLACKLIST_OWN_FILE);
    else if (!s->stopping)
        log_write(LOG_MAJOR, "supervisor", NULL, "the black list can't be read, %s error=%s",
                  s->blacklist.fd >= 0 ? "the one before stays" : "there is none", strerror(-fd));
    s->blacklist.tries++;
    condition_wake_all(&s->blacklist.changed);
}

void blacklist_live(struct fiber *self, void *argument)
{
    struct supervisor *s = argument;
    int error = 0;
    s->blacklist.wanted = true;
    while (!error && !s->stopping) {
        if (s->blacklist.wanted) {
            s->blacklist.wanted = false;
            read_again(self, s);
        } else {
            error = condition_wait(self, &s->blacklist.changed, CLOCK_NEVER);
        }
        error = fiber_is_canceled(self) ? -ECANCELED : error;
    }
    s->blacklist.tries++;
    condition_wake_all(&s->blacklist.changed);
}
