#include "ctl/conversation.h"

#include "run/fiber.h"
#include "run/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

struct conversation {
    struct loop *loop;
    struct channel *channel;
    int (*work)(struct fiber *self, struct channel *channel, void *context);
    void *context;
    int status;
};

static void converse(struct fiber *self, void *argument)
{
    struct conversation *c = argument;
    c->status = c->work(self, c->channel, c->context);
    channel_free(c->channel);
    c->channel = NULL;
    loop_stop(c->loop);
}

int conversation_run(struct ctl *ctl, int fd, const struct service *service, enum role peer,
                     int (*work)(struct fiber *self, struct channel *channel, void *context), void *context)
{
    struct conversation c = {.work = work, .context = context, .status = EX_OSERR};
    int flags = fcntl(fd, F_GETFL);
    c.loop = flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? loop_new() : NULL;
    if (c.loop)
        c.channel = channel_new(c.loop, fd, service, peer, NULL, NULL);
    else
        close(fd);
    if (!c.channel || !fiber_start(c.loop, "command", converse, &c) || loop_run(c.loop) != 0)
        c.status = ctl_fail(ctl, EX_OSERR, "out of memory or descriptors");
    channel_free(c.channel);
    loop_free(c.loop);
    return c.status;
}

int conversation_explain(struct ctl *ctl, const char *whom, int error)
{
    switch (error) {
    case 0:
        return EX_OK;
    case -EPIPE:
        return ctl_fail(ctl, EX_TEMPFAIL, "%s went away; try again", whom);
    case -ETIMEDOUT:
        return ctl_fail(ctl, EX_TEMPFAIL, "%s does not answer; try again", whom);
    case -EACCES:
        return ctl_fail(ctl, EX_NOPERM, "%s does not allow this", whom);
    case -EAGAIN:
        return ctl_fail(ctl, EX_TEMPFAIL, "%s can't do it just now; try again", whom);
    default:
        return ctl_fail(ctl, EX_TEMPFAIL, "%s could not do it: %s", whom, strerror(-error));
    }
}
