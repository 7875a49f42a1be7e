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

struct channel *peers_wait(struct fiber *self, struct peers *peers, enum role role, uint64_t deadline)
{
    struct channel *c = peers_get(peers, role);
    if (!c && !peers->attached.waiters.next)
        condition_init(&peers->attached);
    while (!c && !condition_wait(self, &peers->attached, deadline))
        c = peers_get(peers, role);
    return c;
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
    if (channel && peers->attached.waiters.next)
        condition_wake_all(&peers->attached);
}

uint64_t peers_missing_since(const struct peers *peers)
{
    uint64_t since = CLOCK_NEVER;
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        for (unsigned i = 0; i < peers->room[role] && role != ROLE_SCRIPT; i++) {
            const struct channel *c = peers->channels[role][i];
            if (c && !channel_is_open(c) && channel_closed_at(c) < since)
                since = channel_closed_at(c);
        }
    return since;
}

void peers_release(struct peers *peers)
{
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        for (unsigned i = 0; i < PEERS_MAX; i++)
            peers_set(peers, role, i, NULL);
}
