#include "proc/supervisor.h"

#include "base/log.h"
#include "dns/service.h"
#include "proc/data_directory.h"
#include "proc/remote_key.h"
#include "proc/supervisor_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sysexits.h>
#include <unistd.h>

#include <linux/close_range.h>

#define PEM_MAX (32u << 10)
#define PASSWORD_MAX 1024
#define HOUSEKEEPING NANOSECONDS
/* How long the others wait for the first gate, which they would only take the processors from. */
#define GATE_SECONDS 1
/* What each stage may take to end, beside the grace that the first one has. */
static const uint64_t stage_seconds[STOP_STAGES] = {15, 30, 120};

/* ---- The end ---- */

static bool stage_runs(const struct supervisor *s, unsigned stage)
{
    for (size_t i = 0; i < s->process_count; i++)
        if (s->processes[i].row->stop_stage == stage && s->processes[i].pid)
            return true;
    return false;
}

static void kill_all(struct supervisor *s)
{
    for (size_t i = 0; i < s->process_count; i++)
        process_kill(&s->processes[i], SIGKILL);
}

static void stop_stage(struct fiber *self, struct supervisor *s, unsigned stage)
{
    uint64_t grace = stage == 0 ? s->settings->processes.stop_grace : stage_seconds[stage] / 2;
    struct control_frame stop = {.kind = CONTROL_STOP, .number = grace};
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *p = &s->processes[i];
        /* One that was never ready has nothing in hand, and may be stuck. */
        if (p->row->stop_stage == stage && p->pid && (!p->ready || control_send(p->control, &stop)))
            process_kill(p, SIGKILL);
    }
    uint64_t deadline = clock_in_seconds(grace + stage_seconds[stage]);
    int error = 0;
    while (!error && stage_runs(s, stage))
        error = condition_wait(self, &s->changed, deadline);
    for (size_t i = 0; error && i < s->process_count; i++) {
        struct process *p = &s->processes[i];
        if (p->row->stop_stage != stage || !p->pid)
            continue;
        log_write(LOG_PROBLEM, "supervisor", NULL, "a process did not end in time and is killed role=%s instance=%u",
                  role_name(p->row->role), p->instance);
        process_kill(p, SIGKILL);
    }
}

static void run_stop(struct fiber *self, void *argument)
{
    struct supervisor *s = argument;
    log_write(LOG_LOW, "supervisor", NULL, "stopping");
    /* Whoever waits to be started again need not wait any more. */
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *p = &s->processes[i];
        if (!p->fiber)
            process_begin_anew(p); /* it will not: nobody is to wait for what is only prepared */
        else if (!p->pid)
            fiber_cancel(p->fiber);
    }
    /* Nobody is let in any more, also while gates finish. */
    listeners_close(&s->listeners);
    for (unsigned stage = 0; stage < STOP_STAGES; stage++)
        stop_stage(self, s, stage);
    /* The fibers left wait for the killed, or for signals and the clock. */
    for (size_t i = 0; i < s->process_count; i++)
        while (s->processes[i].fiber && !condition_wait(self, &s->changed, CLOCK_NEVER))
            ;
    loop_cancel_all(s->loop, self);
    while (loop_fiber_count(s->loop) > 1 && !fiber_yield(self))
        ;
    loop_stop(s->loop);
}

static void begin_stop(struct supervisor *s)
{
    s->stopping = true;
    if (s->is_ending)
        return;
    s->is_ending = true;
    if (!fiber_start(s->loop, "stop", run_stop, s)) {
        log_write(LOG_CRASH, "supervisor", NULL, "no memory to stop in order, stopping at once");
        kill_all(s);
        loop_stop(s->loop);
    }
}

/* ---- The fibers ---- */

static void handle_signal(struct supervisor *s, uint32_t number)
{
    if (number == SIGHUP && !s->stopping)
        supervisor_reload(s);
    else if (number == SIGUSR1)
        supervisor_want_blacklist(s);
    else if (number == SIGINT && s->is_ending)
        kill_all(s);
    else if (number == SIGINT || number == SIGTERM)
        begin_stop(s);
}

static void run_signals(struct fiber *self, void *argument)
{
    struct supervisor *s = argument;
    struct watch watch;
    int error = watch_start(&watch, s->loop, s->signals, 0);
    if (error) {
        log_write(LOG_CRASH, "supervisor", NULL, "signals can't be waited for error=%s", strerror(-error));
        begin_stop(s);
        return;
    }
    while (!error) {
        struct signalfd_siginfo signal;
        ssize_t n = read(s->signals, &signal, sizeof signal);
        if (n == sizeof signal)
            handle_signal(s, signal.ssi_signo);
        else
            error = watch_wait_readable(self, &watch, CLOCK_NEVER);
    }
    watch_stop(&watch);
}

static void write_away(int64_t nanoseconds, char text[40])
{
    uint64_t seconds = (uint64_t)(nanoseconds < 0 ? -nanoseconds : nanoseconds) / NANOSECONDS;
    snprintf(text, 40, "%llu s %s", (unsigned long long)seconds, nanoseconds < 0 ? "behind" : "ahead");
}

/* What the resolver remembers has its end on the wall clock. */
static void keep_clock(struct supervisor *s)
{
    const struct clock_readings now = clock_read_all();
    int64_t nanoseconds;
    char away[40];
    enum clock_change change = clock_keeper_look(&s->clock, &now, &nanoseconds);
    write_away(nanoseconds, away);
    if (change == CLOCK_JUMPED)
        log_write(LOG_MAJOR, "supervisor", NULL,
                  "the machine's clock was set: it is %s now; the queue and all ages go on by the old one until it has "
                  "stayed there for an hour",
                  away);
    else if (change == CLOCK_RETURNED)
        log_write(LOG_LOW, "supervisor", NULL, "the machine's clock is back");
    else if (change == CLOCK_BELIEVED)
        log_write(
            LOG_MAJOR, "supervisor", NULL,
            "the machine's clock has been %s for an hour and is believed; for a day nothing is deleted by its age",
            away);
    else if (change == CLOCK_MENDED)
        log_write(
            LOG_MAJOR, "supervisor", NULL,
            "the machine's clock was set: it is %s now, where it can be right, and is believed; for a day nothing "
            "is deleted by its age",
            away);
    if (change == CLOCK_JUMPED || change == CLOCK_RETURNED || change == CLOCK_MENDED)
        process_replace(s, ROLE_RESOLVER);
}

static void run_housekeeping(struct fiber *self, void *argument)
{
    struct supervisor *s = argument;
    while (!fiber_sleep(self, clock_monotonic() + HOUSEKEEPING)) {
        keep_clock(s);
        if (!log_file_rotate(&s->log, clock_steady()))
            continue;
        struct control_frame frame = {.kind = CONTROL_UPDATE};
        if (!control_add(&frame, CONTROL_FD_LOG, s->log.target, 0, s->log.fd))
            process_tell_all(s, &frame);
    }
}

static int start_process(struct process *p)
{
    p->fiber = fiber_start(p->supervisor->loop, role_name(p->row->role), process_live, p);
    return p->fiber ? 0 : -ENOMEM;
}

static struct process *first_of(struct supervisor *s, enum role role)
{
    for (size_t i = 0; i < s->process_count; i++)
        if (s->processes[i].row->role == role)
            return &s->processes[i];
    return NULL;
}

/* Or until the deadline, or the end. 0 or -ECANCELED. */
static int wait_until_ready(struct fiber *self, const struct process *p, uint64_t deadline)
{
    struct supervisor *s = p->supervisor;
    int error = 0;
    while (!error && !p->ready && !s->stopping)
        error = condition_wait(self, &s->changed, deadline);
    return error == -ETIMEDOUT ? 0 : error;
}

/* All that are not there yet, nor about to be. */
static void prepare_all(struct supervisor *s)
{
    for (size_t i = 0; i < s->process_count; i++) {
        struct process *p = &s->processes[i];
        int error = p->is_wanted && p->control < 0 && !p->fiber ? process_prepare(p) : 0;
        if (error)
            log_write(LOG_PROBLEM, "supervisor", NULL,
                      "process can't be prepared, which is tried again when it is started role=%s error=%s",
                      role_name(p->row->role), strerror(-error));
    }
}

/* Whoever begins from now on is given the listeners when it does; all others now. */
static void open_doors(struct supervisor *s)
{
    struct control_frame frame = {.kind = CONTROL_UPDATE, .replaces_listeners = true};
    s->is_open = true;
    process_tell_all(s, &frame);
}

/* The writer first: it makes or mends the database that the readers open. A gate, which opens nothing, begins beside
 * it, so that the first greeting need not wait for the crowd of all others. They are prepared before it: what it asks
 * one of them, by itself or for somebody, waits in their channel until it has begun, too. Nobody is let in before the
 * writer is there and the black list was read. */
static void run_start(struct fiber *self, void *argument)
{
    struct supervisor *s = argument;
    struct process *writer = first_of(s, ROLE_WRITER), *gate = first_of(s, ROLE_GATE);
    prepare_all(s);
    int error = start_process(writer);
    if (!error && gate)
        error = start_process(gate);
    if (!error && !fiber_start(s->loop, "black list", blacklist_live, s))
        error = -ENOMEM;
    if (!error)
        error = wait_until_ready(self, writer, CLOCK_NEVER);
    if (!error && gate)
        error = wait_until_ready(self, gate, clock_in_seconds(GATE_SECONDS));
    if (!error && !s->stopping)
        blacklist_wait_first(self, s);
    if (!error && !s->stopping) {
        prepare_all(s); /* those that could not be, or that were told too much meanwhile */
        open_doors(s);
    }
    for (size_t i = 0; !error && !s->stopping && i < s->process_count; i++)
        if (!s->processes[i].fiber)
            error = start_process(&s->processes[i]);
    if (error && error != -ECANCELED) {
        log_write(LOG_CRASH, "supervisor", NULL, "no memory to start the processes");
        s->status = EX_OSERR;
        begin_stop(s);
    }
}

/* ---- Setting up ---- */

static int list_processes(struct supervisor *s)
{
    for (size_t i = 0; i < role_row_count; i++) {
        unsigned wanted = role_rows[i].count(s->settings);
        unsigned count = role_rows[i].places ? role_rows[i].places : wanted;
        if (count > INSTANCES_MAX || s->process_count + count > PROCESSES_MAX)
            return -E2BIG;
        for (unsigned instance = 0; instance < count; instance++) {
            struct process *p = &s->processes[s->process_count++];
            *p = (struct process){.supervisor = s,
                                  .row = &role_rows[i],
                                  .instance = instance,
                                  .control = -1,
                                  .child_end = -1,
                                  .is_wanted = instance < wanted};
            condition_init(&p->due);
        }
    }
    return 0;
}

/* A table and a board for each role that takes connections from the network. */
static int make_tables(struct supervisor *s)
{
    for (size_t i = 0; i < role_row_count; i++) {
        struct counted_role *c = &s->counted[role_rows[i].role];
        if (!role_rows[i].services)
            continue;
        c->columns = role_rows[i].count(s->settings);
        if (getrandom(&c->seed, sizeof c->seed, 0) != sizeof c->seed)
            return -errno;
        c->fd = connection_table_create(c->columns);
        if (c->fd < 0)
            return c->fd;
        c->table = connection_table_map(c->fd, c->columns, c->seed);
        c->board_fd = session_board_create(c->columns, s->settings->processes.connections);
        if (c->board_fd < 0)
            return c->board_fd;
        c->board = session_board_map(c->board_fd, c->columns, 0);
        if (!c->table || !c->board)
            return -ENOMEM;
    }
    return 0;
}

static int take_signals(struct supervisor *s)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaddset(&set, numbers[i]);
        signal(numbers[i], SIG_DFL); /* one that whoever started us ignores would not reach the descriptor */
    }
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return s->signals < 0 ? -errno : 0;
}

static int make_loop(struct supervisor *s)
{
    s->loop = loop_new();
    if (!s->loop)
        return -ENOMEM;
    int error = list_processes(s);
    s->poison = error ? NULL : poison_register_new((unsigned)s->process_count);
    if (!error && !s->poison)
        error = -ENOMEM;
    if (!error)
        error = make_tables(s);
    if (!error)
        error = take_signals(s);
    if (!error && getrandom(s->grant_key, sizeof s->grant_key, 0) != sizeof s->grant_key)
        error = -errno;
    return error;
}

/* Who holds files is the user that they belong to. The others can each have one of their own, so that one that was
 * taken over finds no process it may touch. */
static int find_role_users(struct supervisor *s, uid_t uid, gid_t gid, struct buf *problem)
{
    int error = 0;
    for (size_t i = 0; !error && i < role_row_count; i++) {
        enum role role = role_rows[i].role;
        s->users[role].uid = uid;
        s->users[role].gid = gid;
        if (role_rows[i].files == SANDBOX_NO_FILES)
            error =
                find_role_user(s->settings->user, role_name(role), &s->users[role].uid, &s->users[role].gid, problem);
    }
    return error;
}

/* NULL: the role has none. */
static const char *control_socket_name(const struct settings *settings, const struct role_row *row)
{
    return row->has_my_socket ? settings->my.socket : row->admin_socket;
}

/* 0 or a negative errno with a sentence. The writer's is the first: who finds it answering leaves the others alone. */
static int open_control_sockets(struct supervisor *s, gid_t gid, struct buf *problem)
{
    for (size_t i = 0; i < role_row_count; i++) {
        const struct role_row *row = &role_rows[i];
        const char *name = control_socket_name(s->settings, row);
        if (!name || !*name)
            continue;
        bool is_usual_place = row->has_my_socket && strcmp(name, SETTINGS_MY_SOCKET) == 0;
        int fd = is_usual_place ? public_directory_prepare(SETTINGS_MY_DIRECTORY) : 0;
        if (fd == 0)
            fd = control_socket_open(s->settings->data_directory, name, row->has_my_socket, s->owner, gid, problem);
        else
            buf_printf(problem, "can't make the directory " SETTINGS_MY_DIRECTORY " of my.socket: %s", strerror(-fd));
        if (fd < 0 && is_usual_place && geteuid() != 0 && fd != -EBUSY) {
            /* Nobody asked for it by name, and mail flows without. */
            log_write(LOG_PROBLEM, "supervisor", NULL, "there is no my.socket: %s", log_quote(buf_span(problem)));
            buf_reset(problem);
            continue;
        }
        if (fd < 0)
            return fd;
        s->admin[row->role] = fd;
    }
    return 0;
}

static void close_control_sockets(struct supervisor *s)
{
    char path[CONTROL_SOCKET_PATH_MAX];
    for (size_t i = 0; i < role_row_count; i++) {
        const struct role_row *row = &role_rows[i];
        if (s->admin[row->role] < 0)
            continue;
        control_socket_path(s->first_settings->data_directory, control_socket_name(s->first_settings, row), path,
                            sizeof path);
        unlink(path);
        close(s->admin[row->role]);
    }
}

static int begin_clock(struct supervisor *s, struct buf *problem)
{
    const struct clock_readings now = clock_read_all();
    bool in_doubt;
    int error = clock_keeper_init(&s->clock, &now, data_directory_last_used(s->settings->data_directory), &in_doubt);
    if (error)
        buf_printf(problem, "the clock can't be shared with the processes: %s", strerror(-error));
    else if (in_doubt)
        log_write(LOG_MAJOR, "supervisor", NULL,
                  "the server was away for more than a month, or the machine's clock is wrong: look at it; for a day "
                  "nothing is deleted by its age");
    return error;
}

/* Everything that may fail with a sentence, before any process is started. 0 or an exit status. */
static int set_up(struct supervisor *s, struct buf *problem)
{
    const struct settings *settings = s->settings;
    /* Whatever whoever started us left open is no business of the children's. */
    if (close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
        buf_printf(problem, "inherited descriptors can't be kept from the processes: %s", strerror(errno));
        return EX_OSERR;
    }
    uid_t uid;
    gid_t gid;
    int error;
    if (find_user(settings->user, &uid, &gid, problem) || find_role_users(s, uid, gid, problem))
        return EX_CONFIG;
    if (tls_files_read(settings, &s->certificate, &s->key, problem))
        return EX_CONFIG;
    trust_anchors_read(settings, &s->trust_anchors);
    script_file_read(settings, &s->script);
    if (courier_files_read(settings, &s->password, &s->authorities, problem))
        return EX_CONFIG;
    remote_authorities_open(settings, &s->remote_authorities);
    if (data_directory_prepare(settings->data_directory, uid, gid, problem))
        return EX_CANTCREAT;
    s->owner = uid;
    if (begin_clock(s, problem))
        return EX_OSERR;
    if (remote_key_prepare(settings->data_directory, uid, gid, &s->remote_key, s->remote_public, problem))
        return EX_CANTCREAT;
    error = open_control_sockets(s, gid, problem);
    if (error)
        return error == -EBUSY ? EX_UNAVAILABLE : EX_CANTCREAT;
    if (listeners_update(&s->listeners, settings, problem))
        return EX_UNAVAILABLE;
    if (log_file_open(&s->log, settings, problem))
        return EX_CANTCREAT;
    error = make_loop(s);
    if (error)
        buf_printf(problem, "the server can't start: %s", strerror(-error));
    return error ? EX_OSERR : 0;
}

static void close_all(struct supervisor *s)
{
    listeners_close(&s->listeners);
    close_control_sockets(s);
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        connection_table_unmap(s->counted[i].table);
        session_board_unmap(s->counted[i].board);
        if (s->counted[i].fd >= 0)
            close(s->counted[i].fd);
        if (s->counted[i].board_fd >= 0)
            close(s->counted[i].board_fd);
    }
    poison_register_free(s->poison);
    clock_keeper_release(&s->clock);
    if (s->signals >= 0)
        close(s->signals);
    if (s->blacklist.fd >= 0)
        close(s->blacklist.fd);
    log_file_close(&s->log);
    explicit_bzero(s->grant_key, sizeof s->grant_key);
    if (s->key.data)
        explicit_bzero(s->key.data, s->key.size);
    buf_release(&s->key);
    if (s->password.data)
        explicit_bzero(s->password.data, s->password.size);
    buf_release(&s->password);
    if (s->authorities >= 0)
        close(s->authorities);
    if (s->script >= 0)
        close(s->script);
    if (s->remote_authorities >= 0)
        close(s->remote_authorities);
    if (s->remote_key >= 0)
        close(s->remote_key);
    buf_release(&s->certificate);
    buf_release(&s->trust_anchors);
    settings_unref(s->settings);
    settings_unref(s->first_settings);
}

static struct supervisor *supervisor_new(const char *config_path, struct settings *settings,
                                         const struct supervisor_options *options)
{
    struct supervisor *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->config_path = config_path;
    s->settings = settings;
    s->first_settings = settings_ref(settings);
    if (options)
        s->options = *options;
    s->signals = s->authorities = s->remote_authorities = s->remote_key = s->script = s->blacklist.fd = s->clock.fd =
        -1;
    condition_init(&s->blacklist.changed);
    for (size_t i = 0; i < ROLE_COUNT; i++)
        s->admin[i] = s->counted[i].fd = s->counted[i].board_fd = -1;
    condition_init(&s->changed);
    listeners_init(&s->listeners);
    log_file_init(&s->log);
    buf_init(&s->certificate, PEM_MAX);
    buf_init(&s->key, PEM_MAX);
    buf_init(&s->password, PASSWORD_MAX);
    buf_init(&s->trust_anchors, RESOLVER_ANCHORS_MAX);
    return s;
}

static int serve(struct supervisor *s)
{
    if (!fiber_start(s->loop, "signals", run_signals, s) || !fiber_start(s->loop, "house", run_housekeeping, s) ||
        !fiber_start(s->loop, "start", run_start, s))
        return EX_OSERR;
    int error = loop_run(s->loop);
    if (error) {
        log_write(LOG_CRASH, "supervisor", NULL, "the loop ended error=%s", strerror(-error));
        kill_all(s);
        return EX_OSERR;
    }
    log_write(LOG_LOW, "supervisor", NULL, "stopped");
    loop_free(s->loop);
    return s->status;
}

int supervisor_run(const char *config_path, struct settings *settings, const struct supervisor_options *options)
{
    struct buf problem;
    buf_init(&problem, 2000);
    struct supervisor *s = supervisor_new(config_path, settings, options);
    if (!s) {
        settings_unref(settings);
        fprintf(stderr, "ostiary: out of memory\n");
        return EX_OSERR;
    }
    int status = set_up(s, &problem);
    if (status)
        fprintf(stderr, "ostiary: %.*s\n", SPAN_ARG(buf_span(&problem)));
    else
        status = serve(s);
    close_all(s);
    free(s);
    buf_release(&problem);
    return status;
}
