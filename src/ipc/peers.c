#include "ipc/peers.h"

struct channel *peers_get(struct peers *peers, enum role role)
{
    for (unsigned tried = 0; tried < PEERS_MAX; tried++) {
        unsigned at = peers->turn[role]++ % PEERS_MAX;
        /* The turn goes back to the first as soon as the instances end, so the common case looks at one or two places.
         */
        if (!peers->channels[role][at]) {
            peers->turn[role] = 0;
            if (at == 0 && !peers->channels[role][1])
                return NULL;
            continue;
        }
        if (channel_is_open(peers->channels[role][at]))
            return peers->channels[role][at];
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
    peers->channels[role][instance] = channel;
}

void peers_release(struct peers *peers)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        for (unsigned i = 0; i < PEERS_MAX; i++)
            peers_set(peers, role, i, NULL);
}
