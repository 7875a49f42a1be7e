/* The auth process from the inside: for the files of this folder only. */
#ifndef AUTH_PROCESS_H
#define AUTH_PROCESS_H

#include "auth/events.h"
#include "auth/exchanges.h"
#include "auth/failures.h"
#include "auth/greylist.h"
#include "auth/guesses.h"
#include "auth/recent.h"
#include "auth/service.h"
#include "auth/turnstile.h"
#include "auth/windows.h"
#include "ipc/grant.h"
#include "policy/session_board.h"

#define BOARDS_MAX 4 /* roles that take connections */

struct auth_process {
    struct loop *loop;
    struct settings *settings;
    struct peers *peers;
    unsigned char grant_key[GRANT_KEY_SIZE];
    unsigned char fake_key[SHA256_SIZE]; /* for the salts of unknown names */
    struct buf dummy_hash;               /* compared where there is no hash, for the time it takes */
    struct failures logins, harvest, passcodes;
    struct guesses guesses; /* of passcodes */
    struct greylist greylist;
    struct windows windows;
    struct events events;
    struct condition happened; /* there is a new event */
    struct session_board *boards[BOARDS_MAX];
    size_t board_count;
    struct recent recent;
    struct turnstile turnstile;
    struct exchanges exchanges;
    struct timer sweep;
    struct list_node clients;
    size_t steps;   /* fibers that are at work */
    size_t changes; /* those of them that change a password */
    size_t watches; /* those of them that wait for events */
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
/* These answer at once (report.c). */
void auth_report(struct auth_process *a, struct call *call);
void auth_window(struct auth_process *a, struct call *call);
void auth_guess(struct auth_process *a, struct call *call);
void auth_greylist(struct auth_process *a, struct call *call);
/* This one, too (watch.c). */
void auth_clients(struct auth_process *a, struct call *call);
/* Starts the fiber that answers when something happened; takes the call. */
void auth_watch_start(struct auth_process *a, struct call *call);

#endif
