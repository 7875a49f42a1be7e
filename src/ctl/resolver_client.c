#include "ctl/resolver_client.h"

#include "ctl/privileges.h"
#include "dns/service.h"
#include "ipc/services.h"
#include "run/fiber.h"
#include "run/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

/* ---- The child ---- */

/* Ends with its parent: it is killed then. Its troubles are the parent's: the channel closes. */
static _Noreturn void run_child(const struct settings *settings, int fd)
{
    struct buf anchors, problem;
    buf_init(&anchors, RESOLVER_ANCHORS_MAX);
    buf_init(&problem, 1000);
    /* Without the trust anchors nothing is checked, which the server's log says, too. */
    if (resolver_read_anchors(settings, &anchors, &problem))
        buf_reset(&anchors);
    /* What comes from the DNS is read by nobody who may do harm. */
    if (privileges_drop(settings) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(EX_OSERR);
    struct loop *loop = loop_new();
    struct resolver *resolver = loop ? resolver_new(loop, settings, buf_span(&anchors), &problem) : NULL;
    if (!resolver || resolver_attach(resolver, fd, ROLE_ADMIN))
        _exit(EX_OSERR);
    _exit(loop_run(loop) ? EX_OSERR : EX_OK);
}

/* ---- The parent ---- */

struct client {
    struct resolver_work *work;
    struct loop *loop;
    struct peers peers;
};

static void run_work(struct fiber *self, void *argument)
{
    struct client *client = argument;
    client->work->run(self, &client->peers, client->work);
    peers_release(&client->peers);
    loop_stop(client->loop);
}

static int run_loop(struct client *client, int fd)
{
    int status = EX_OSERR;
    client->loop = loop_new();
    if (!client->loop) {
        close(fd);
        return status;
    }
    struct channel *channel = channel_new(client->loop, fd, &resolver_service, ROLE_RESOLVER, NULL, NULL);
    if (channel) {
        peers_set(&client->peers, ROLE_RESOLVER, 0, channel);
        if (fiber_start(client->loop, "command", run_work, client) && loop_run(client->loop) == 0)
            status = EX_OK;
        else
            peers_release(&client->peers);
    }
    loop_free(client->loop);
    return status;
}

int resolver_client_run(struct resolver_work *work)
{
    int fds[2];
    if (channel_pair(fds))
        return ctl_fail(work->ctl, EX_OSERR, "no descriptors are left");
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        run_child(work->settings, fds[1]);
    }
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return ctl_fail(work->ctl, EX_OSERR, "no process can be made: %s", strerror(errno));
    }
    struct client *client = calloc(1, sizeof *client);
    int status = EX_OSERR;
    if (client) {
        client->work = work;
        status = run_loop(client, fds[0]);
    } else {
        close(fds[0]);
    }
    free(client);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return status ? ctl_fail(work->ctl, status, "out of memory or descriptors") : EX_OK;
}
