#include "proc/child.h"

#include "base/log.h"
#include "ipc/services.h"
#include "policy/poison.h"
#include "proc/clock_keeper.h"
#include "proc/escape_test.h"
#include "proc/remote_key.h"
#include "script/engine.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define AUTHORITIES_MAX (1u << 20)
#define AUTHORITIES_STEP (64u << 10)

static const struct child_part *const parts[ROLE_COUNT] = {
    [ROLE_GATE] = &gate_part,       [ROLE_DESK] = &desk_part,     [ROLE_AUTH] = &auth_part,
    [ROLE_WRITER] = &writer_part,   [ROLE_READER] = &reader_part, [ROLE_RESOLVER] = &resolver_part,
    [ROLE_COURIER] = &courier_part, [ROLE_SCRIPT] = &script_part,
};

/* The contract that a server role speaks. */
static const struct service *const services[ROLE_COUNT] = {
    [ROLE_AUTH] = &auth_service,         [ROLE_WRITER] = &store_write_service, [ROLE_READER] = &store_read_service,
    [ROLE_RESOLVER] = &resolver_service, [ROLE_COURIER] = &courier_service,    [ROLE_SCRIPT] = &script_service,
};

/* ---- What frames bring ---- */

static int take_settings(struct child *child, struct span text, struct buf *problem)
{
    if (!text.size)
        return 0;
    struct settings *settings = settings_parse(text, problem);
    if (!settings)
        return -EINVAL;
    settings->data_directory = child->inside; /* a string that outlives them */
    settings_unref(child->settings);
    child->settings = settings;
    log_set_level(settings->log.level);
    return 0;
}

static int take_tls(struct child *child, const struct control_frame *frame, struct buf *problem)
{
    if (!child->row->has_tls || !frame->settings.size)
        return 0;
    struct tls_context *tls = NULL;
    if (frame->certificate.size) {
        tls = tls_context_new(frame->certificate, frame->key, (int)child->settings->tls.oldest, problem);
        if (!tls)
            return -EINVAL;
    }
    tls_context_unref(child->tls);
    child->tls = tls;
    return 0;
}

/* They come with settings, and none is a word, too. */
static int take_anchors(struct child *child, const struct control_frame *frame)
{
    if (!child->row->has_trust_anchors || !frame->settings.size)
        return 0;
    buf_release(&child->trust_anchors);
    buf_init(&child->trust_anchors, CONTROL_FRAME_MAX);
    buf_add_span(&child->trust_anchors, frame->trust_anchors);
    return buf_failed(&child->trust_anchors) ? -ENOMEM : 0;
}

static int read_whole(int fd, struct buf *out)
{
    for (;;) {
        char *place = buf_reserve(out, AUTHORITIES_STEP);
        ssize_t n = place ? pread(fd, place, AUTHORITIES_STEP, (off_t)out->size) : -1;
        if (!place || n < 0)
            return place ? -errno : -ENOMEM;
        if (!n)
            return 0;
        out->size += (size_t)n;
    }
}

static int take_courier_files(struct child *child, struct control_frame *frame)
{
    int error = 0;
    for (size_t i = 0; i < frame->descriptor_count && !error; i++) {
        const struct control_descriptor *d = &frame->descriptors[i];
        if (d->fd < 0)
            continue;
        if (d->use == CONTROL_FD_AUTHORITIES)
            error = read_whole(d->fd, &child->authorities);
        else if (d->use == CONTROL_FD_REMOTE_AUTHORITIES)
            error = read_whole(d->fd, &child->remote_authorities);
        else if (d->use == CONTROL_FD_REMOTE_KEY)
            error = remote_key_read(d->fd, child->remote_key);
    }
    return error;
}

/* What the courier needs towards a smart host and the providers of remote accounts. It comes with settings, and that
 * there is none is a word, too. */
static int take_password(struct child *child, struct control_frame *frame)
{
    if (!child->row->has_password || !frame->settings.size)
        return 0;
    if (child->password.data)
        explicit_bzero(child->password.data, child->password.size);
    buf_release(&child->password);
    buf_release(&child->authorities);
    buf_init(&child->password, CONTROL_FRAME_MAX);
    buf_release(&child->remote_authorities);
    buf_init(&child->authorities, AUTHORITIES_MAX);
    buf_init(&child->remote_authorities, AUTHORITIES_MAX);
    child->has_courier_files = true;
    buf_add_span(&child->password, frame->password);
    int error = take_courier_files(child, frame);
    return error ? error : buf_failed(&child->password) ? -ENOMEM : 0;
}

/* The site's script comes with settings; that there is none, as its file can't be read, is a word, too. */
static int take_script(struct child *child, const struct control_frame *frame)
{
    int error = 0;
    if (!child->row->has_script || !frame->settings.size)
        return 0;
    buf_release(&child->script);
    buf_init(&child->script, SCRIPT_SOURCE_MAX + AUTHORITIES_STEP); /* which reading asks for at a time */
    child->has_script = false;
    for (size_t i = 0; i < frame->descriptor_count && !error; i++)
        if (frame->descriptors[i].use == CONTROL_FD_SCRIPT && frame->descriptors[i].fd >= 0) {
            error = read_whole(frame->descriptors[i].fd, &child->script);
            child->has_script = !error;
        }
    return error;
}

static bool is_client_of(const struct child *child, enum role peer)
{
    for (size_t i = 0; i < role_pair_count; i++)
        if (role_pairs[i].client == child->row->role && role_pairs[i].server == peer)
            return true;
    return false;
}

/* ---- Channels that are lost ---- */

/* Longer than a server that died needs to come back, which brings a new channel at once. */
#define CHANNEL_PATIENCE (BACK_OFF_LAST + NANOSECONDS)

/* Each has its time, however often others are lost meanwhile. */
static void wait_for_peers(struct child *child)
{
    uint64_t since = peers_missing_since(&child->peers);
    if (since == CLOCK_NEVER || !child->follower)
        return;
    if (timer_start(child->loop, &child->lost, since + CHANNEL_PATIENCE) != 0)
        fiber_cancel(child->follower);
}

static void give_up_channel(struct timer *timer)
{
    struct child *child = container_of(timer, struct child, lost);
    uint64_t since = peers_missing_since(&child->peers), now = clock_monotonic();
    if (!child->follower || since > now || now - since < CHANNEL_PATIENCE) {
        wait_for_peers(child);
        return;
    }
    log_write(LOG_CRASH, role_name(child->row->role), NULL,
              "a channel to another process is lost and nobody brings a new one; the process begins anew");
    fiber_cancel(child->follower);
}

/* Whoever is at the other end has died, or has closed the channel and lives on: without memory, or as what it read made
 * no sense to it. The supervisor knows of the first only. */
static void peer_lost(void *context, struct channel *channel)
{
    wait_for_peers(context);
}

static const struct channel_events peer_events = {.closed = peer_lost};

/* Takes the descriptor. */
static int take_peer(struct child *child, struct control_descriptor *d)
{
    int fd = d->fd;
    enum role peer = (enum role)d->what;
    d->fd = -1;
    if (is_client_of(child, peer) && d->instance < PEERS_MAX) {
        struct channel *channel = channel_new(child->loop, fd, services[peer], peer, &peer_events, child);
        peers_set(&child->peers, peer, d->instance, channel);
        return channel ? 0 : -ENOMEM;
    }
    if (child->does->attach)
        return child->does->attach(child, fd, peer);
    close(fd);
    return -EINVAL;
}

static void take_log(struct child *child, struct control_descriptor *d)
{
    if (d->fd < 0)
        return; /* the boot frame's was taken before the sandbox */
    log_open((enum log_target)d->what, d->fd);
    if (child->log_fd > STDERR_FILENO)
        close(child->log_fd);
    child->log_fd = d->fd;
    d->fd = -1;
}

/* Whoever looks into the list does so between two waits, so the old one can go at once. */
static int take_blacklist(struct child *child, const struct control_descriptor *d)
{
    errno = 0;
    struct blacklist *list = child->row->has_blacklist ? blacklist_map(d->fd) : NULL;
    if (!list)
        return errno == ENOMEM ? -ENOMEM : -EINVAL; /* the one before stays */
    struct blacklist *before = child->blacklist;
    child->blacklist = list;
    if (child->does->update)
        child->does->update(child);
    blacklist_close(before);
    return 0;
}

static int take_poison(const struct control_frame *frame)
{
    const struct control_descriptor *places = NULL, *list = NULL;
    for (size_t i = 0; i < frame->descriptor_count; i++) {
        if (frame->descriptors[i].use == CONTROL_FD_PARSING)
            places = &frame->descriptors[i];
        if (frame->descriptors[i].use == CONTROL_FD_POISON)
            list = &frame->descriptors[i];
    }
    return places && list ? poison_attach(places->fd, list->fd, places->instance) : 0;
}

static int take_descriptors(struct child *child, struct control_frame *frame)
{
    int error = take_poison(frame);
    for (size_t i = 0; i < frame->descriptor_count; i++) {
        struct control_descriptor *d = &frame->descriptors[i];
        if (d->use == CONTROL_FD_PEER) {
            int failure = take_peer(child, d);
            error = failure ? failure : error;
        } else if (d->use == CONTROL_FD_LOG && d->fd >= 0) { /* the boot frame's is taken already */
            take_log(child, d);
        } else if (d->use == CONTROL_FD_CLOCK) {
            int failure = clock_keeper_follow(d->fd);
            error = failure ? failure : error;
        } else if (d->use == CONTROL_FD_BLACKLIST) {
            int failure = take_blacklist(child, d);
            error = failure ? failure : error;
        }
    }
    if (child->does->adopt) {
        int failure = child->does->adopt(child, frame);
        error = failure ? failure : error;
    }
    return error;
}

/* ---- Running ---- */

/* False: it could not be taken, and another try may do better: there was no memory, or no descriptor. What the
 * supervisor has said once it does not say again, so the process has to begin anew. */
static bool handle_update(struct child *child, struct control_frame *frame)
{
    struct buf problem;
    buf_init(&problem, 1000);
    int error = take_settings(child, frame->settings, &problem);
    if (!error)
        error = take_tls(child, frame, &problem);
    if (!error)
        error = take_anchors(child, frame);
    if (!error)
        error = take_password(child, frame);
    if (!error)
        error = take_script(child, frame);
    if (!error && frame->settings.size && child->does->update)
        child->does->update(child);
    int failure = take_descriptors(child, frame);
    if (error || failure)
        log_write(LOG_PROBLEM, role_name(child->row->role), NULL, "an update could not be taken whole error=%s what=%s",
                  strerror(error ? -error : -failure), log_quote(buf_span(&problem)));
    buf_release(&problem);
    return error != -ENOMEM && (!failure || failure == -EINVAL);
}

/* The supervisor's word, until it says stop or is gone. Returns the seconds of grace. */
static uint64_t follow_supervisor(struct fiber *self, struct child *child)
{
    for (;;) {
        struct control_frame frame;
        int error = control_receive(child->control.fd, &child->packet, &frame);
        if (error == -EAGAIN)
            error = watch_wait_readable(self, &child->control, CLOCK_NEVER);
        else if (!error && frame.kind == CONTROL_STOP)
            return frame.number;
        else if (!error && !handle_update(child, &frame))
            error = -ENOMEM;
        control_close(&frame);
        /* A frame may hold the private key. */
        explicit_bzero(child->packet.data, child->packet.size);
        if (error)
            return 0;
    }
}

static void run_control(struct fiber *self, void *argument)
{
    struct child *child = argument;
    struct control_frame ready = {.kind = CONTROL_READY};
    if (!control_send(child->control.fd, &ready)) {
        child->follower = self;
        uint64_t grace = follow_supervisor(self, child);
        child->follower = NULL;
        timer_stop(child->loop, &child->lost);
        child->does->stop(self, child, clock_in_seconds(grace));
    }
    loop_stop(child->loop);
}

/* ---- Starting ---- */

/* While the server starts somebody sits there and reads; later the log is the place. Returns the exit status: what
 * another try does not change is EX_CONFIG or EX_CANTCREAT. */
static int boot_failed(const struct child *child, const struct control_frame *frame, struct buf *problem, int error)
{
    if (!problem->size)
        buf_printf(problem, "the %s process can't start: %s", role_name(child->row->role), strerror(-error));
    if (frame->at_start)
        fprintf(stderr, "ostiary: %.*s\n", SPAN_ARG(buf_span(problem)));
    else
        log_write(LOG_CRASH, role_name(child->row->role), NULL, "can't start problem=%s", log_quote(buf_span(problem)));
    log_flush();
    return error == -EINVAL ? EX_CONFIG : error == -ENOMEM ? EX_OSERR : EX_CANTCREAT;
}

/* Blocks: before the sandbox there is nothing else to do. */
static int receive_boot(struct child *child, struct control_frame *frame)
{
    struct pollfd wait = {.fd = CHILD_CONTROL_FD, .events = POLLIN};
    if (poll(&wait, 1, -1) < 0)
        return -errno;
    int error = control_receive(CHILD_CONTROL_FD, &child->packet, frame);
    if (error)
        return error;
    child->row = role_row_get(frame->role);
    if (frame->kind != CONTROL_BOOT || !child->row || !parts[frame->role] || !frame->settings.size)
        return -EPROTO;
    child->does = parts[frame->role];
    child->instance = frame->instance;
    child->seed = frame->number;
    child->owner = frame->owner ? (uid_t)frame->owner : geteuid();
    if (frame->grant_key.size == GRANT_KEY_SIZE)
        memcpy(child->grant_key, frame->grant_key.data, GRANT_KEY_SIZE);
    if (child->row->has_my_socket && frame->remote_public.size == SEALED_KEY_SIZE)
        memcpy(child->remote_key, frame->remote_public.data, SEALED_KEY_SIZE);
    for (size_t i = 0; i < frame->descriptor_count; i++)
        if (frame->descriptors[i].use == CONTROL_FD_LOG)
            take_log(child, &frame->descriptors[i]);
    return 0;
}

static int enter_sandbox(struct child *child, const struct control_frame *frame, struct buf *problem)
{
    struct settings *settings = settings_parse(frame->settings, problem);
    if (!settings)
        return -EINVAL;
    struct sandbox_profile profile = {
        .files = child->row->files,
        .directory = settings->data_directory,
        .also_writes = child->row->also_writes,
        .may_accept = child->row->may_accept,
        .may_connect = child->row->may_connect,
        .may_ask = child->row->may_ask,
        .has_alarm = child->row->has_alarm,
        .uid = (uid_t)frame->uid,
        .gid = (gid_t)frame->gid,
        .descriptors = child->row->descriptors + settings->processes.connections,
    };
    log_set_level(settings->log.level);
    child->inside = strdup(sandbox_path(&profile));
    /* OpenSSL reads its configuration once, here, where it still can. */
    OPENSSL_init_ssl(0, NULL);
    int error = child->inside ? sandbox_enter(&profile, problem) : -ENOMEM;
    settings_unref(settings);
    return error;
}

static int start(struct child *child, struct control_frame *frame, struct buf *problem)
{
    int error = enter_sandbox(child, frame, problem);
    if (error)
        return error;
    escape_test_run(child->row, child->inside);
    child->loop = loop_new();
    if (!child->loop)
        return -ENOMEM;
    error = take_settings(child, frame->settings, problem);
    if (!error)
        error = take_tls(child, frame, problem);
    if (!error)
        error = take_anchors(child, frame);
    if (!error)
        error = take_password(child, frame);
    if (!error)
        error = take_script(child, frame);
    if (!error)
        error = child->does->start(child, problem);
    if (!error)
        error = take_descriptors(child, frame);
    if (!error)
        error = watch_start(&child->control, child->loop, CHILD_CONTROL_FD, 0);
    if (!error && !fiber_start(child->loop, "control", run_control, child))
        error = -ENOMEM;
    return error;
}

void child_name(const char *what)
{
    char name[16]; /* what the kernel keeps of it */
    snprintf(name, sizeof name, "ostiary-%.7s", what);
    prctl(PR_SET_NAME, name);
}

int child_main(int argc, char **argv)
{
    static struct child child;
    struct control_frame frame = {.number = 0};
    struct buf problem;
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(CHILD_CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET) {
        fprintf(stderr, "ostiary: '" CHILD_WORD "' is for the server's own use; see 'ostiary help'\n");
        return EX_USAGE;
    }
    child_name(argc > 2 ? argv[2] : CHILD_WORD);
    /* Should the supervisor die before the sandbox sets this: without it nobody would end us. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    /* A Ctrl-C on the terminal and a service manager's signal go to all of us; in which order we end is the
     * supervisor's to say. */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    buf_init(&problem, 2000);
    buf_init(&child.packet, CONTROL_FRAME_MAX);
    int error = receive_boot(&child, &frame);
    if (error)
        return EX_PROTOCOL;
    child.lost.fire = give_up_channel;
    error = start(&child, &frame, &problem);
    control_close(&frame);
    explicit_bzero(child.packet.data, child.packet.size);
    if (error)
        _exit(boot_failed(&child, &frame, &problem, error));
    error = loop_run(child.loop);
    log_flush();
    /* Without atexit handlers: the sandbox leaves them nothing to do, and the memory goes with the process. */
    _exit(error ? EX_OSERR : EX_OK);
}
