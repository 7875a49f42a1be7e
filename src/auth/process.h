/* The auth process from the inside: for the files of this folder only. */
#ifndef AUTH_PROCESS_H
#define AUTH_PROCESS_H

#include "auth/exchanges.h"
#include "auth/penalties.h"
#include "auth/recent.h"
#include "auth/service.h"
#include "auth/turnstile.h"
#include "ipc/grant.h"

struct auth_process {
    struct loop *loop;
    struct settings *settings;
    struct peers *peers;
    unsigned char grant_key[GRANT_KEY_SIZE];
    unsigned char fake_key[SHA256_SIZE]; /* for the salts of unknown names */
    struct buf dummy_hash;               /* compared where there is no hash, for the time it takes */
    struct penalties penalties;
    struct recent recent;
    struct turnstile turnstile;
    struct exchanges exchanges;
    struct timer sweep;
    struct list_node clients;
    size_t steps;   /* fibers that are at work */
    size_t changes; /* those of them that change a password */
};

/* A channel of somebody who asks us. */
struct auth_client {
    struct auth_process *process;
    struct channel *channel;
    struct exchange_owner exchanges;
    struct list_node node;
};

/* NULL when that channel is gone. */
struct auth_client *auth_client_get(struct auth_process *a, uint64_t channel_id);

/* Starts the fiber that answers the call; takes the call. */
void auth_step_start(struct auth_process *a, struct call *call);
/* The same for a new password: checks the grant and the rules for passwords, makes the credentials, and has the writer
 * store them. */
void auth_change_start(struct auth_process *a, struct call *call);

#endif
