#include "ctl/courier_client.h"

#include "base/clock.h"
#include "ctl/control_socket.h"
#include "ctl/conversation.h"

#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

#define SOCKET_NAME "courier.sock"
#define ANSWER_SECONDS 60

struct courier_client {
    struct courier_work *work;
    struct channel *channel;
};

static int explain(struct ctl *ctl, const struct settings *settings, int error)
{
    if (error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR)
        return ctl_fail(ctl, EX_UNAVAILABLE,
                        "no server runs with the data directory %s; start one with 'ostiary serve'",
                        settings->data_directory);
    if (error == -EACCES || error == -EPERM)
        return ctl_fail(ctl, EX_NOPERM, "%s can't be entered: %s; try it as root or as the user %s",
                        settings->data_directory, strerror(-error), settings->user);
    return ctl_fail(ctl, EX_UNAVAILABLE, "the server's control socket can't be reached: %s", strerror(-error));
}

static int run_work(struct fiber *self, struct channel *channel, void *argument)
{
    struct courier_client *client = argument;
    client->channel = channel;
    return client->work->run(self, client, client->work);
}

bool courier_client_has_server(const struct settings *settings)
{
    int fd = control_socket_connect(settings, SOCKET_NAME);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int courier_client_run(struct courier_work *work)
{
    struct courier_client client = {.work = work};
    int fd = control_socket_connect(work->settings, SOCKET_NAME);
    return fd < 0 ? explain(work->ctl, work->settings, fd)
                  : conversation_run(work->ctl, fd, &courier_service, ROLE_COURIER, run_work, &client);
}

int courier_client_call(struct fiber *self, struct courier_client *client, size_t method,
                        const ProtobufCMessage *request, struct answer *answer)
{
    struct ctl *ctl = client->work->ctl;
    int error = channel_call(self, client->channel, method, request, (struct span){NULL, 0}, -1,
                             clock_in_seconds(ANSWER_SECONDS), answer);
    if (!error)
        return EX_OK;
    if (error == -EPIPE)
        return ctl_fail(ctl, EX_TEMPFAIL, "the server went away");
    if (error == -ETIMEDOUT)
        return ctl_fail(ctl, EX_TEMPFAIL, "the server does not answer; try again");
    return ctl_fail(ctl, EX_TEMPFAIL, "the server could not do it: %s", strerror(-error));
}
