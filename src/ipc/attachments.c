#include "ipc/attachments.h"

#include <errno.h>
#include <unistd.h>

void attachments_init(struct attachments *a, struct loop *loop, const struct service *service,
                      void (*called)(void *, struct call *), void *context)
{
    *a = (struct attachments){.loop = loop, .service = service, .events = {.called = called}, .context = context};
}

/* Dead channels are freed when the next peer comes: never inside their own events. */
static struct channel **free_place(struct attachments *a)
{
    struct channel **place = NULL;
    for (size_t i = 0; i < ATTACHMENTS_MAX; i++) {
        if (a->channels[i] && !channel_is_open(a->channels[i])) {
            channel_free(a->channels[i]);
            a->channels[i] = NULL;
        }
        if (!a->channels[i] && !place)
            place = &a->channels[i];
    }
    return place;
}

int attachments_add(struct attachments *a, int fd, enum role peer)
{
    struct channel **place = free_place(a);
    if (!place) {
        close(fd);
        return -EMFILE;
    }
    *place = channel_new(a->loop, fd, a->service, peer, &a->events, a->context);
    if (!*place)
        return -ENOMEM;
    if (a->paused)
        channel_pause(*place, true);
    return 0;
}

void attachments_release(struct attachments *a)
{
    for (size_t i = 0; i < ATTACHMENTS_MAX; i++) {
        channel_free(a->channels[i]);
        a->channels[i] = NULL;
    }
}

void attachments_pause(struct attachments *a, bool paused)
{
    a->paused = paused;
    for (size_t i = 0; i < ATTACHMENTS_MAX; i++)
        if (a->channels[i] && channel_is_open(a->channels[i]))
            channel_pause(a->channels[i], paused);
}
