#include "ctl/store_client.h"

#include "ctl/control_socket.h"
#include "ctl/conversation.h"
#include "proc/data_directory.h"
#include "run/fiber.h"
#include "store/writer.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* A server that is alive answers at once; compaction of a large store takes its time. */
#define CALL_SECONDS 60
#define COMPACT_SECONDS (24 * 3600)
#define SENTENCE_MAX 4096

struct store_client {
    struct store_work *work;
    struct channel *channel;
    int fd;        /* to the store, until the channel has it */
    int status_fd; /* to the child: its sentence comes from there, and its end tells it to stop */
    pid_t child;   /* 0: a server runs */
};

/* ---- The running server ---- */

bool store_client_has_server(const struct settings *settings)
{
    int fd = control_socket_connect(settings, "control.sock");
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* ---- A writer of our own ---- */

static int become(const char *name, uid_t uid, gid_t gid, struct buf *problem)
{
    if (setgroups(0, NULL) == 0 && setgid(gid) == 0 && setuid(uid) == 0)
        return EX_OK;
    buf_printf(problem, "can't become the user %s: %s", name, strerror(errno));
    return EX_NOPERM;
}

/* A private directory above may keep the user from what is theirs: the server gets in by a chroot that it enters as
 * root. */
static bool can_enter(const char *path, uid_t uid, gid_t gid)
{
    bool can = setegid(gid) == 0 && seteuid(uid) == 0 && faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) == 0;
    /* Whoever can't come back from this must not go on as somebody else. */
    if (seteuid(0) != 0 || setegid(0) != 0)
        abort();
    return can;
}

int store_client_enter(const struct settings *settings, struct buf *problem)
{
    uid_t uid = 0;
    gid_t gid = 0;
    if (find_user(settings->user, &uid, &gid, problem) != 0)
        return EX_CONFIG;
    if (data_directory_prepare(settings->data_directory, uid, gid, problem) != 0)
        return EX_CANTCREAT;
    return uid && can_enter(settings->data_directory, uid, gid) ? become(settings->user, uid, gid, problem) : EX_OK;
}

struct writer_child {
    struct loop *loop;
    struct store_writer *writer;
    int status_fd;
    struct buf problem;
};

/* Waits for the parent to close its end. */
static void watch_parent(struct fiber *self, void *argument)
{
    struct writer_child *child = argument;
    struct watch watch;
    if (watch_start(&watch, child->loop, child->status_fd, 0) == 0) {
        int error = 0;
        char byte;
        while (error == 0 && read(child->status_fd, &byte, 1) < 0 && errno == EAGAIN)
            error = watch_wait_readable(self, &watch, CLOCK_NEVER);
        watch_stop(&watch);
    }
    store_writer_stop(child->writer);
    loop_stop(child->loop);
}

/* 0 or an exit status with the sentence in child->problem. */
static int start_writer(struct writer_child *child, struct settings *settings, int fd)
{
    unsigned char key[GRANT_KEY_SIZE];
    int status = store_client_enter(settings, &child->problem);
    if (status)
        return status;
    if (getrandom(key, sizeof key, 0) != sizeof key || !(child->loop = loop_new())) {
        buf_add_text(&child->problem, "out of memory or descriptors");
        return EX_OSERR;
    }
    child->writer = store_writer_new(child->loop, settings, key, &child->problem);
    if (!child->writer)
        return EX_CANTCREAT;
    int error = store_writer_attach(child->writer, fd, ROLE_ADMIN);
    if (error == 0 && fiber_start(child->loop, "parent", watch_parent, child))
        return EX_OK;
    buf_printf(&child->problem, "the store can't be served: %s", strerror(error ? -error : ENOMEM));
    return EX_OSERR;
}

static _Noreturn void run_child(struct settings *settings, int fd, int status_fd)
{
    /* Ctrl-C goes to the whole foreground group; the parent's death is what ends this process, after its transaction.
     */
    signal(SIGINT, SIG_IGN);
    log_open(LOG_TO_FD, STDERR_FILENO);
    log_set_level(LOG_MAJOR);
    struct writer_child child = {.status_fd = status_fd};
    buf_init(&child.problem, SENTENCE_MAX);
    int status = start_writer(&child, settings, fd);
    char ready = (char)status;
    bool told = write(status_fd, &ready, 1) == 1;
    if (told && child.problem.size)
        told = write(status_fd, child.problem.data, child.problem.size) == (ssize_t)child.problem.size;
    if (status == EX_OK && told && loop_run(child.loop) != 0)
        status = EX_OSERR;
    log_flush();
    /* After a failed sync nothing more is to be written, not even on the way out. */
    if (child.writer && store_writer_is_broken(child.writer))
        _exit(EX_IOERR);
    store_writer_free(child.writer);
    _exit(told ? status : EX_IOERR);
}

/* Forks the writer and waits until it has opened the store or said why not. */
static int start_child(struct store_client *client)
{
    int data[2] = {-1, -1}, status[2] = {-1, -1};
    struct ctl *ctl = client->work->ctl;
    if (channel_pair(data) != 0 || channel_pair(status) != 0)
        return ctl_fail(ctl, EX_OSERR, "no descriptors are left");
    pid_t pid = fork();
    if (pid == 0) {
        close(data[0]);
        close(status[0]);
        run_child(client->work->settings, data[1], status[1]);
    }
    close(data[1]);
    close(status[1]);
    client->fd = data[0];
    client->status_fd = status[0];
    if (pid < 0)
        return ctl_fail(ctl, EX_OSERR, "no process can be made: %s", strerror(errno));
    client->child = pid;
    return EX_OK;
}

/* The first byte is the child's status; behind it stands its sentence. Waits: the loop does not run yet. */
static int hear_child(struct store_client *client)
{
    struct ctl *ctl = client->work->ctl;
    char text[SENTENCE_MAX + 1];
    size_t size = 0;
    int flags = fcntl(client->status_fd, F_GETFL);
    fcntl(client->status_fd, F_SETFL, flags & ~O_NONBLOCK);
    while (size < sizeof text) {
        ssize_t n = read(client->status_fd, text + size, sizeof text - size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        size += (size_t)n;
        if (text[0] == EX_OK)
            return EX_OK;
    }
    if (size == 0)
        return ctl_fail(ctl, EX_SOFTWARE, "the store's process ended before it had opened the store");
    return ctl_fail(ctl, text[0], "%.*s", (int)size - 1, text + 1);
}

static int end_child(struct store_client *client)
{
    int status = 0;
    if (client->status_fd >= 0)
        close(client->status_fd);
    if (!client->child)
        return EX_OK;
    while (waitpid(client->child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return EX_OK;
    return EX_IOERR;
}

/* ---- Both ---- */

static int connect_client(struct store_client *client)
{
    struct store_work *work = client->work;
    client->fd = control_socket_connect(work->settings, "control.sock");
    if (client->fd >= 0)
        return EX_OK;
    if (client->fd == -ENOENT || client->fd == -ECONNREFUSED || client->fd == -ENOTDIR) {
        int status = start_child(client);
        return status ? status : hear_child(client);
    }
    return control_socket_explain(work->ctl, work->settings, client->fd);
}

static int run_work(struct fiber *self, struct channel *channel, void *argument)
{
    struct store_client *client = argument;
    client->channel = channel;
    return client->work->run(self, client, client->work);
}

int store_client_run(struct store_work *work)
{
    struct store_client client = {.work = work, .fd = -1, .status_fd = -1};
    int status = connect_client(&client);
    if (status == EX_OK) {
        status = conversation_run(work->ctl, client.fd, &store_write_service, ROLE_WRITER, run_work, &client);
        client.fd = -1;
    }
    if (client.fd >= 0)
        close(client.fd);
    int ended = end_child(&client);
    if (status == EX_OK && ended)
        return ctl_fail(work->ctl, ended, "the store was not closed properly; 'ostiary store check' tells more");
    return status;
}

int store_client_call(struct fiber *self, struct store_client *client, size_t method, const ProtobufCMessage *request,
                      struct answer *answer)
{
    return store_client_send(self, client, method, request, (struct span){NULL, 0}, -1, answer);
}

int store_client_send(struct fiber *self, struct store_client *client, size_t method, const ProtobufCMessage *request,
                      struct span attachment, int fd, struct answer *answer)
{
    uint64_t deadline = clock_in_seconds(method == STORE_WRITE_COMPACT ? COMPACT_SECONDS : CALL_SECONDS);
    int error = channel_call(self, client->channel, method, request, attachment, fd, deadline, answer);
    return conversation_explain(client->work->ctl, "the store", error);
}

int store_client_change(struct fiber *self, struct store_client *client, const ProtobufCMessage *request, uint64_t *id)
{
    struct answer answer;
    int status = store_client_call(self, client, STORE_WRITE_CHANGE, request, &answer);
    if (status)
        return status;
    const StoreWrite__ChangeReply *reply = (const StoreWrite__ChangeReply *)answer.message;
    if (reply->problem && *reply->problem)
        status = ctl_fail(client->work->ctl, EX_DATAERR, "%s", reply->problem);
    else if (id)
        *id = reply->id;
    answer_release(&answer);
    return status;
}
