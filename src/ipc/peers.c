#include "ipc/peers.h"

struct channel *peers_get(struct peers *peers, enum role role)
{
    for (unsigned tried = 0; tried < peers->room[role]; tried++) {
        struct channel *c = peers->channels[role][peers->turn[role]++ % peers->room[role]];
        if (c && channel_is_open(c))
            return c;
    }
    return NULL;
}

void peers_set(struct peers *peers, enum role role, unsigned instance, struct channel *channel)
{
    if (instance >= PEERS_MAX) {
        channel_free(channel);
        return;
    }
    channel_free(peers->channels[role][instance]);
    if (instance >= peers->room[role])
        peers->room[role] = instance + 1;
    peers->channels[role][instance] = channel;
}

void peers_release(struct peers *peers)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        for (unsigned i = 0; i < PEERS_MAX; i++)
            peers_set(peers, role, i, NULL);
}
