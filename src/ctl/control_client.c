#include "ctl/control_client.h"

#include "base/clock.h"
#include "ctl/control_socket.h"
#include "ctl/conversation.h"

#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

struct control_client {
    struct control_work *work;
    struct channel *channel;
};

static const struct {
    const char *socket;
    const struct service *service;
    enum role role;
} services[] = {
    [CONTROL_AUTH] = {"auth.sock", &auth_service, ROLE_AUTH},
    [CONTROL_COURIER] = {"courier.sock", &courier_service, ROLE_COURIER},
};

static int run_work(struct fiber *self, struct channel *channel, void *argument)
{
    struct control_client *client = argument;
    client->channel = channel;
    return client->work->run(self, client, client->work);
}

bool control_client_has_server(const struct settings *settings, enum control_service service)
{
    int fd = control_socket_connect(settings, services[service].socket);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int control_client_run(struct control_work *work, enum control_service service)
{
    struct control_client client = {.work = work};
    int fd = control_socket_connect(work->settings, services[service].socket);
    if (fd < 0)
        return control_socket_explain(work->ctl, work->settings, fd);
    return conversation_run(work->ctl, fd, services[service].service, services[service].role, run_work, &client);
}

int control_client_run_alone(struct control_work *work, enum control_service service)
{
    struct settings *settings = ctl_read_settings(work->ctl);
    if (!settings)
        return EX_CONFIG;
    work->settings = settings;
    int status = control_client_run(work, service);
    settings_unref(settings);
    work->settings = NULL;
    return status;
}

int control_client_call(struct fiber *self, struct control_client *client, size_t method,
                        const ProtobufCMessage *request, unsigned seconds, struct answer *answer)
{
    int error = channel_call(self, client->channel, method, request, (struct span){NULL, 0}, -1,
                             clock_in_seconds(seconds), answer);
    if (error == -ECANCELED)
        *answer = (struct answer){.fd = -1};
    return error == -ECANCELED ? EX_OK : conversation_explain(client->work->ctl, "the server", error);
}
