/* The channels of this process to the others, filled by what the supervisor sends. A process that died leaves a gap
 * until its successor is attached. */
#ifndef IPC_PEERS_H
#define IPC_PEERS_H

#include "ipc/channel.h"

#define PEERS_MAX 64 /* instances of one role */

struct peers {
    struct channel *channels[ROLE_COUNT][PEERS_MAX];
    unsigned room[ROLE_COUNT]; /* instances ever seen: the places to look at */
    unsigned turn[ROLE_COUNT];
    struct condition attached; /* made by the first who waits */
};

/* An open channel to some instance of the role, each in its turn; NULL when there is none now (channel_call then says
 * -EPIPE). */
struct channel *peers_get(struct peers *peers, enum role role);
/* The same, but where there is none one is waited for: the supervisor starts what died anew. NULL: the deadline passed,
 * or the fiber was cancelled. */
struct channel *peers_wait(struct fiber *self, struct peers *peers, enum role role, uint64_t deadline);
/* Replaces (and frees) the channel to that instance. */
void peers_set(struct peers *peers, enum role role, unsigned instance, struct channel *channel);
/* When the channel was closed that has been so for longest (monotonic clock); CLOCK_NEVER: all are open. That to the
 * script's process does not count: it may rest for long. */
uint64_t peers_missing_since(const struct peers *peers);
void peers_release(struct peers *peers);

#endif
