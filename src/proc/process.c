/* One child's life: the boot frame, the wait, the crash record, the back-off. */
#include "proc/supervisor_internal.h"

#include "base/log.h"
#include "proc/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define SETTINGS_TEXT_MAX (96u << 10)
/* How long a process whose control channel is closed may still take to be gone. */
#define END_SECONDS 10
/* What one that is no longer wanted may take to end what is in hand. */
#define DISMISS_SECONDS 5

/* ---- What a process is given ---- */

static int add_listeners(const struct supervisor *s, const struct role_row *row, struct control_frame *frame)
{
    int error = 0;
    for (size_t i = 0; !error && s->is_open && i < s->listeners.count; i++)
        if (row->services & 1u << s->listeners.rows[i].service)
            error = control_add(frame, CONTROL_FD_LISTENER, s->listeners.rows[i].service, 0, s->listeners.rows[i].fd);
    return error;
}

/* Gives the two ends of a fresh channel to `p` (into its boot frame, where the descriptor stays open until it is sent)
 * and, at once, to `other`. */
static int connect_pair(struct process *p, struct process *other, struct control_frame *boot)
{
    int fds[2];
    int error = channel_pair(fds);
    if (error)
        return error;
    struct control_frame update = {.kind = CONTROL_UPDATE};
    error = control_add(&update, CONTROL_FD_PEER, p->row->role, p->instance, fds[1]);
    if (!error)
        error = control_add(boot, CONTROL_FD_PEER, other->row->role, other->instance, fds[0]);
    if (error)
        close(fds[0]);
    else if (control_send(other->control, &update)) {
        /* It does not read what it is told: it begins anew, and the end that p has is dead, as if it had died before.
         */
        log_write(LOG_PROBLEM, "supervisor", NULL, "a process does not listen role=%s instance=%u",
                  role_name(other->row->role), other->instance);
        process_begin_anew(other);
    }
    close(fds[1]);
    return error;
}

static bool is_pair(enum role a, enum role b)
{
    for (size_t i = 0; i < role_pair_count; i++)
        if ((role_pairs[i].client == a && role_pairs[i].server == b) ||
            (role_pairs[i].client == b && role_pairs[i].server == a))
            return true;
    return false;
}

static int add_password(const struct supervisor *s, const struct role_row *row, struct control_frame *frame)
{
    if (!row->has_password)
        return 0;
    frame->password = buf_span(&s->password);
    int error = control_add(frame, CONTROL_FD_REMOTE_KEY, 0, 0, s->remote_key);
    if (!error && s->authorities >= 0)
        error = control_add(frame, CONTROL_FD_AUTHORITIES, 0, 0, s->authorities);
    if (!error && s->remote_authorities >= 0)
        error = control_add(frame, CONTROL_FD_REMOTE_AUTHORITIES, 0, 0, s->remote_authorities);
    return error;
}

static int add_script(const struct supervisor *s, const struct role_row *row, struct control_frame *frame)
{
    return row->has_script && s->script >= 0 ? control_add(frame, CONTROL_FD_SCRIPT, 0, 0, s->script) : 0;
}

static int add_peers(struct process *p, struct control_frame *frame)
{
    struct supervisor *s = p->supervisor;
    int error = 0;
    for (size_t i = 0; !error && i < s->process_count; i++) {
        struct process *other = &s->processes[i];
        if (other != p && other->control >= 0 && is_pair(p->row->role, other->row->role))
            error = connect_pair(p, other, frame);
    }
    return error;
}

/* Its own board to whom takes connections, all of them to auth, which shows them. */
static int add_boards(const struct process *p, struct control_frame *frame)
{
    int error = 0;
    for (size_t role = 0; !error && role < ROLE_COUNT; role++) {
        const struct counted_role *counted = &p->supervisor->counted[role];
        if (counted->board && (p->row->sees_boards || role == p->row->role))
            error = control_add(frame, CONTROL_FD_BOARD, (unsigned)role, counted->columns, counted->board_fd);
    }
    return error;
}

/* Its place among those that parse mail, and the list of what is not to be parsed. */
static int add_poison(const struct process *p, struct control_frame *frame)
{
    const struct supervisor *s = p->supervisor;
    if (!p->row->parses_mail)
        return 0;
    int error =
        control_add(frame, CONTROL_FD_PARSING, 0, (unsigned)(p - s->processes), poison_register_places(s->poison));
    return error ? error : control_add(frame, CONTROL_FD_POISON, 0, 0, poison_register_list(s->poison));
}

static int add_descriptors(struct process *p, struct control_frame *frame)
{
    struct supervisor *s = p->supervisor;
    const struct counted_role *counted = &s->counted[p->row->role];
    int error = control_add(frame, CONTROL_FD_LOG, s->log.target, 0, s->log.fd);
    if (!error && p->row->has_blacklist && s->blacklist.fd >= 0)
        error = control_add(frame, CONTROL_FD_BLACKLIST, 0, 0, s->blacklist.fd);
    if (!error && s->admin[p->row->role] >= 0)
        error = control_add(frame, CONTROL_FD_ADMIN, 0, 0, s->admin[p->row->role]);
    if (!error && counted->table) {
        error = control_add(frame, CONTROL_FD_TABLE, 0, counted->columns, counted->fd);
        frame->number = counted->seed;
    }
    if (!error)
        error = add_boards(p, frame);
    if (!error)
        error = add_poison(p, frame);
    if (!error)
        error = control_add(frame, CONTROL_FD_CLOCK, 0, 0, s->clock.fd);
    if (!error)
        error = add_listeners(s, p->row, frame);
    return error ? error : add_peers(p, frame);
}

static int send_boot(struct process *p)
{
    struct supervisor *s = p->supervisor;
    struct buf text;
    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_write(s->settings, &text);
    struct control_frame *frame = calloc(1, sizeof *frame);
    int error = frame && !buf_failed(&text) ? 0 : -ENOMEM;
    if (!error) {
        *frame = (struct control_frame){.kind = CONTROL_BOOT,
                                        .role = p->row->role,
                                        .instance = p->instance,
                                        .uid = s->users[p->row->role].uid,
                                        .gid = s->users[p->row->role].gid,
                                        .owner = s->owner,
                                        .at_start = !s->told_ready,
                                        .settings = buf_span(&text)};
        if (p->row->has_tls) {
            frame->certificate = buf_span(&s->certificate);
            frame->key = buf_span(&s->key);
        }
        if (p->row->has_trust_anchors)
            frame->trust_anchors = buf_span(&s->trust_anchors);
        if (p->row->has_my_socket)
            frame->remote_public = span_from(s->remote_public, sizeof s->remote_public);
        error = add_password(s, p->row, frame);
        if (!error)
            error = add_script(s, p->row, frame);
        if (p->row->has_grant_key)
            frame->grant_key = span_from(s->grant_key, sizeof s->grant_key);
        if (!error)
            error = add_descriptors(p, frame);
        if (!error)
            error = control_send(p->control, frame);
        for (size_t i = 0; i < frame->descriptor_count; i++)
            if (frame->descriptors[i].use == CONTROL_FD_PEER)
                close(frame->descriptors[i].fd);
    }
    free(frame);
    buf_release(&text);
    return error;
}

/* ---- Starting ---- */

#define ENVIRONMENT_MAX 12

/* Nothing of our environment is theirs, but for what steers a test build. */
static void make_environment(char *environment[ENVIRONMENT_MAX])
{
    /* The last ones: libraries that stand before the C library (torture/), and what they share with their owner. */
    static const char *const kept[] = {
        "ASAN_OPTIONS", "UBSAN_OPTIONS",  "LSAN_OPTIONS",      "OSTIARY_ESCAPE_TEST", "OSTIARY_TEST_POISON",
        "LD_PRELOAD",   "OSTIARY_FAULTS", "OSTIARY_RECORDING", "OSTIARY_CLOCK",
    };
    static_assert(sizeof kept / sizeof *kept < ENVIRONMENT_MAX, "there is room for the NULL");
    size_t count = 0;
#ifdef OSTIARY_TEST_BUILD
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *value = getenv(kept[i]);
        if (value && asprintf(&environment[count], "%s=%s", kept[i], value) > 0)
            count++;
    }
#else
    (void)kept;
#endif
    environment[count] = NULL;
}

static int add_actions(posix_spawn_file_actions_t *actions, const int *fds, size_t fd_count)
{
    int error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (size_t i = 0; !error && i < fd_count; i++)
        error = posix_spawn_file_actions_adddup2(actions, fds[i], CHILD_CONTROL_FD + (int)i);
    return error;
}

int process_spawn(char *const arguments[], const int *fds, size_t fd_count, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    char *environment[ENVIRONMENT_MAX];
    sigemptyset(&none);
    if (posix_spawn_file_actions_init(&actions))
        return -ENOMEM;
    if (posix_spawnattr_init(&attributes)) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    make_environment(environment);
    int error = add_actions(&actions, fds, fd_count);
    if (!error)
        error = posix_spawnattr_setsigmask(&attributes, &none);
    if (!error)
        error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    /* The program that we are, also when its file was replaced meanwhile. */
    if (!error)
        error = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, arguments, environment);
    for (size_t i = 0; environment[i]; i++)
        free(environment[i]);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

static int spawn(struct process *p)
{
    char instance[16];
    char *const arguments[] = {(char *)"ostiary", (char *)CHILD_WORD, (char *)role_name(p->row->role), instance, NULL};
    snprintf(instance, sizeof instance, "%u", p->instance);
    return process_spawn(arguments, &p->child_end, 1, &p->pid);
}

/* Closes what a process was prepared with that was never executed. */
static void discard(struct process *p)
{
    if (p->child_end < 0)
        return;
    close(p->child_end);
    close(p->control);
    p->child_end = p->control = -1;
}

int process_prepare(struct process *p)
{
    int fds[2];
    int error = control_pair(fds);
    if (error)
        return error;
    p->control = fds[0];
    p->child_end = fds[1];
    error = send_boot(p);
    if (error)
        discard(p);
    return error;
}

static int start(struct process *p)
{
    int error = p->control < 0 ? process_prepare(p) : 0;
    if (!error)
        error = spawn(p);
    if (error) {
        discard(p);
    } else {
        close(p->child_end);
        p->child_end = -1;
    }
    return error;
}

void process_kill(struct process *p, int signal_number)
{
    if (p->pid > 0 && kill(p->pid, signal_number) < 0 && errno != ESRCH)
        log_write(LOG_PROBLEM, "supervisor", NULL, "a process can't be signalled pid=%d error=%s", (int)p->pid,
                  strerror(errno));
}

void process_begin_anew(struct process *p)
{
    if (p->pid)
        process_kill(p, SIGKILL);
    else
        discard(p);
}

/* ---- Its words, and its end ---- */

static bool all_are_ready(const struct supervisor *s)
{
    for (size_t i = 0; i < s->process_count; i++)
        if (s->processes[i].is_wanted && !s->processes[i].ready)
            return false;
    return true;
}

static void became_ready(struct process *p)
{
    struct supervisor *s = p->supervisor;
    p->ready = p->was_ready = true;
    log_write(LOG_ALL, "supervisor", NULL, "process serves role=%s instance=%u pid=%d", role_name(p->row->role),
              p->instance, (int)p->pid);
    condition_wake_all(&s->changed);
    if (!s->told_ready && all_are_ready(s)) {
        s->told_ready = true;
        log_write(LOG_LOW, "supervisor", NULL, "ready processes=%zu listeners=%zu", s->process_count,
                  s->listeners.count);
        log_flush();
        if (s->options.ready)
            s->options.ready(s->options.context);
    }
}

/* Until the channel closes, which the kernel does when the process ends. Anything but one READY closes it from our
 * side. */
static void follow(struct fiber *self, struct process *p)
{
    struct watch watch;
    struct buf packet;
    int error = watch_start(&watch, fiber_loop(self), p->control, 0);
    if (error)
        return;
    buf_init(&packet, CONTROL_FRAME_MAX);
    while (!error) {
        struct control_frame *frame = calloc(1, sizeof *frame);
        error = frame ? control_receive(p->control, &packet, frame) : -ENOMEM;
        if (error == -EAGAIN) {
            buf_release(&packet);
            error = watch_wait_readable(self, &watch, CLOCK_NEVER);
        } else if (!error && frame->kind == CONTROL_READY && !p->ready && !frame->descriptor_count) {
            became_ready(p);
        } else if (!error) {
            control_close(frame);
            log_write(LOG_CRASH, "supervisor", NULL, "a process said what it may not role=%s pid=%d",
                      role_name(p->row->role), (int)p->pid);
            error = -EPROTO;
        }
        free(frame);
    }
    buf_release(&packet);
    watch_stop(&watch);
}

/* Until it is gone or the deadline has come. */
static int wait_for_exit(struct fiber *self, pid_t pid, uint64_t deadline)
{
    int handle = (int)syscall(SYS_pidfd_open, pid, 0);
    struct watch watch = {.loop = NULL};
    int error = handle < 0 ? -errno : watch_start(&watch, fiber_loop(self), handle, 0);
    if (!error) {
        error = watch_wait_readable(self, &watch, deadline);
        watch_stop(&watch);
    }
    if (handle >= 0)
        close(handle);
    return error;
}

static int collect(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

int process_wait(struct fiber *self, pid_t pid, uint64_t deadline)
{
    if (wait_for_exit(self, pid, deadline))
        kill(pid, SIGKILL);
    return collect(pid);
}

/* Waits until the process is gone, without blocking the others. Its wait status. */
static int wait_for_end(struct fiber *self, struct process *p)
{
    /* It closed its channel: it is at its end already, or has no business living. */
    process_kill(p, SIGKILL);
    if (wait_for_exit(self, p->pid, clock_in_seconds(END_SECONDS)) == -ETIMEDOUT)
        log_write(LOG_PROBLEM, "supervisor", NULL, "a process takes long to end pid=%d", (int)p->pid);
    return collect(p->pid);
}

/* Did its own timer end it? */
static bool is_alarm(const struct process *p, int status)
{
    return p->row->has_alarm && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
}

static void record_end(const struct process *p, int status)
{
    const char *role = role_name(p->row->role);
    if (p->is_replaced) {
        log_write(LOG_LOW, "supervisor", NULL, "process ended to be replaced role=%s", role);
    } else if (!p->is_wanted) {
        log_write(LOG_LOW, "supervisor", NULL, "process ended, the new settings need none role=%s", role);
    } else if (is_alarm(p, status)) {
        log_write(LOG_PROBLEM, "supervisor", NULL,
                  "the script took longer than script.seconds and was killed; it had no opinion file=%s seconds=%u",
                  log_quote(span_text(p->supervisor->settings->script.file)), p->supervisor->settings->script.seconds);
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && p->supervisor->stopping && !p->ready) {
        /* By us: it had nothing in hand, so it was not waited for. */
        log_write(LOG_LOW, "supervisor", NULL, "process ended while it was starting role=%s instance=%u", role,
                  p->instance);
    } else if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        log_write(LOG_CRASH, "supervisor", NULL, "process died role=%s instance=%u pid=%d signal=SIG%s%s", role,
                  p->instance, (int)p->pid, name ? name : "?",
                  WTERMSIG(status) == SIGSYS ? " reason=\"a system call that its sandbox forbids\"" : "");
    } else if (WEXITSTATUS(status) || !p->supervisor->stopping) {
        log_write(LOG_CRASH, "supervisor", NULL, "process died role=%s instance=%u pid=%d exit=%d", role, p->instance,
                  (int)p->pid, WEXITSTATUS(status));
    }
}

/* Was it a fault of its own, and not somebody who ended it? A sanitizer exits where others are killed. */
static bool died_by_itself(int status)
{
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status) != 0;
    int number = WTERMSIG(status);
    return number != SIGKILL && number != SIGTERM && number != SIGINT && number != SIGALRM;
}

/* A message whose parsing ends process after process is left alone. */
static void look_for_poison(struct process *p, int status)
{
    uint64_t fingerprint;
    unsigned place = (unsigned)(p - p->supervisor->processes);
    unsigned deaths = poison_register_died(p->supervisor->poison, place, died_by_itself(status), &fingerprint);
    if (deaths)
        log_write(LOG_CRASH, "supervisor", NULL,
                  "it died while it parsed a message role=%s fingerprint=%016llx deaths=%u", role_name(p->row->role),
                  (unsigned long long)fingerprint, deaths);
    if (deaths == POISON_DEATHS) {
        p->failures = 0; /* what it failed at is out of its way */
        log_write(LOG_CRASH, "supervisor", NULL,
                  "this message is held aside from now on: when it comes again it is stored unread in the "
                  "folder " POISON_FOLDER
                  " of whom it is for; please report it as a fault of the server fingerprint=%016llx",
                  (unsigned long long)fingerprint);
    }
}

static void forget(struct process *p)
{
    struct counted_role *counted = &p->supervisor->counted[p->row->role];
    close(p->control);
    p->control = -1;
    p->pid = 0;
    p->ready = false;
    if (counted->table)
        connection_table_clear_column(counted->table, p->instance);
    if (counted->board)
        session_board_clear_column(counted->board, p->instance);
    condition_wake_all(&p->supervisor->changed);
}

/* A process that can't even start the first time, for a reason that another try does not change: then the server can't.
 */
static bool is_hopeless(const struct process *p, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return !p->was_ready && !p->supervisor->told_ready && (code == EX_CONFIG || code == EX_CANTCREAT);
}

static void give_up(struct supervisor *s, int status)
{
    if (!s->stopping)
        s->status = WEXITSTATUS(status);
    s->stopping = true;
    kill(getpid(), SIGTERM); /* the one way to end, as if from outside */
}

/* Starts it and waits for its end: its wait status. */
static int live_once(struct fiber *self, struct process *p)
{
    int failure = start(p);
    if (failure) {
        log_write(LOG_CRASH, "supervisor", NULL, "process can't be started role=%s instance=%u error=%s",
                  role_name(p->row->role), p->instance, strerror(-failure));
        return 0;
    }
    follow(self, p);
    int status = wait_for_end(self, p);
    if (is_hopeless(p, status))
        give_up(p->supervisor, status);
    else
        record_end(p, status);
    look_for_poison(p, status);
    forget(p);
    return status;
}

/* How long it waits before it is started again. */
static uint64_t choose_wait(struct process *p, int status, uint64_t begun)
{
    uint64_t now = clock_monotonic();
    if (p->is_replaced) { /* by us: it failed at nothing, and its successor is wanted at once */
        p->is_replaced = false;
        return 0;
    }
    if (is_alarm(p, status)) {
        if (!alarms_note(&p->alarms, now))
            return back_off(1);
        log_write(LOG_MAJOR, "supervisor", NULL,
                  "the script was killed %d times within a minute and is left alone for %d s; \"ostiary reload\" ends "
                  "that file=%s",
                  ALARMS_TO_REST, ALARM_REST_SECONDS, log_quote(span_text(p->supervisor->settings->script.file)));
        return ALARM_REST_SECONDS * NANOSECONDS;
    }
    p->failures = now - begun > BACK_OFF_HEALTHY_SECONDS * NANOSECONDS ? 1 : p->failures + 1;
    return back_off(p->failures);
}

/* Until `deadline`, or a reload that hurries it; and while it is not wanted. 0 or -ECANCELED. */
static int wait_for_turn(struct fiber *self, struct process *p, uint64_t deadline)
{
    int error = 0;
    while (error != -ECANCELED && !p->supervisor->stopping &&
           (!p->is_wanted || (!p->is_hurried && clock_monotonic() < deadline)))
        error = condition_wait(self, &p->due, p->is_wanted ? deadline : CLOCK_NEVER);
    p->is_hurried = false;
    return error == -ECANCELED ? error : 0;
}

void process_live(struct fiber *self, void *argument)
{
    struct process *p = argument;
    struct supervisor *s = p->supervisor;
    int error = wait_for_turn(self, p, 0);
    while (!error && !s->stopping) {
        uint64_t begun = clock_monotonic();
        int status = live_once(self, p);
        if (!s->stopping)
            error = wait_for_turn(self, p, clock_monotonic() + choose_wait(p, status, begun));
    }
    discard(p);
    p->fiber = NULL;
    condition_wake_all(&s->changed);
}

/* Tells it to end. One that was never ready may be stuck. */
static void dismiss(struct process *p)
{
    struct control_frame stop = {.kind = CONTROL_STOP, .number = DISMISS_SECONDS};
    if (!p->ready || control_send(p->control, &stop))
        process_begin_anew(p);
}

void process_replace(struct supervisor *s, enum role role)
{
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *p = &s->processes[i];
        if (p->row->role != role || !p->pid)
            continue;
        p->is_replaced = true;
        dismiss(p);
    }
}

void process_reconsider_all(struct supervisor *s)
{
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *p = &s->processes[i];
        if (!p->row->places)
            continue;
        bool was_wanted = p->is_wanted;
        p->is_wanted = p->instance < p->row->count(s->settings);
        if (was_wanted && !p->is_wanted)
            dismiss(p);
        p->is_hurried = p->is_wanted && !p->pid;
        p->alarms = (struct alarms){.next = 0};
        condition_wake_all(&p->due);
    }
}

void process_tell_all(struct supervisor *s, const struct control_frame *frame)
{
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *p = &s->processes[i];
        if (p->control < 0 || !p->is_wanted)
            continue;
        struct control_frame own = *frame;
        if (!p->row->has_tls)
            own.certificate = own.key = (struct span){0};
        if (!p->row->has_trust_anchors)
            own.trust_anchors = (struct span){0};
        int error = frame->replaces_listeners ? add_listeners(s, p->row, &own) : 0;
        if (!error && frame->settings.size)
            error = add_password(s, p->row, &own);
        if (!error && frame->settings.size)
            error = add_script(s, p->row, &own);
        if (!error)
            error = control_send(p->control, &own);
        if (error) {
            log_write(LOG_PROBLEM, "supervisor", NULL, "a process can't be told what changed role=%s error=%s",
                      role_name(p->row->role), strerror(-error));
            process_begin_anew(p); /* with what is new */
        }
    }
}
