/* The channels of a service: each peer has one, a dead one is freed. */
#ifndef IPC_ATTACHMENTS_H
#define IPC_ATTACHMENTS_H

#include "ipc/channel.h"

#define ATTACHMENTS_MAX 256

struct attachments {
    struct loop *loop;
    const struct service *service;
    struct channel_events events;
    void *context;
    bool paused; /* so is who comes next */
    struct channel *channels[ATTACHMENTS_MAX];
};

void attachments_init(struct attachments *a, struct loop *loop, const struct service *service,
                      void (*called)(void *, struct call *), void *context);
/* Takes fd. 0, -EMFILE or -ENOMEM. */
MUST_USE int attachments_add(struct attachments *a, int fd, enum role peer);
void attachments_release(struct attachments *a);
void attachments_pause(struct attachments *a, bool paused);

#endif
