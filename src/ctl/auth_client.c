#include "ctl/auth_client.h"

#include "base/clock.h"
#include "ctl/control_socket.h"
#include "ctl/conversation.h"

#include <errno.h>
#include <sysexits.h>

#define SOCKET_NAME "auth.sock"

struct auth_client {
    struct auth_work *work;
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
    struct auth_client *client = argument;
    client->channel = channel;
    return client->work->run(self, client, client->work);
}

int auth_client_run(struct auth_work *work)
{
    struct auth_client client = {.work = work};
    work->settings = ctl_read_settings(work->ctl);
    if (!work->settings)
        return EX_CONFIG;
    int fd = control_socket_connect(work->settings, SOCKET_NAME);
    int status = fd < 0 ? explain(work->ctl, work->settings, fd)
                        : conversation_run(work->ctl, fd, &auth_service, ROLE_AUTH, run_work, &client);
    settings_unref(work->settings);
    return status;
}

int auth_client_call(struct fiber *self, struct auth_client *client, size_t method, const ProtobufCMessage *request,
                     unsigned seconds, struct answer *answer)
{
    struct ctl *ctl = client->work->ctl;
    int error = channel_call(self, client->channel, method, request, (struct span){NULL, 0}, -1,
                             clock_in_seconds(seconds), answer);
    switch (error) {
    case 0:
        return EX_OK;
    case -ECANCELED:
        *answer = (struct answer){.fd = -1};
        return EX_OK;
    case -EPIPE:
        return ctl_fail(ctl, EX_TEMPFAIL, "the server went away");
    case -ETIMEDOUT:
        return ctl_fail(ctl, EX_TEMPFAIL, "the server does not answer; try again");
    default:
        return ctl_fail(ctl, EX_TEMPFAIL, "the server could not do it: %s", strerror(-error));
    }
}
