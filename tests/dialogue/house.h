/* The house: real services, a store's writer and reader and auth, in a temporary directory and on one loop, with the
 * clock standing still. Sentences about what went wrong go into `problem`. */
#ifndef DIALOGUE_HOUSE_H
#define DIALOGUE_HOUSE_H

#include "config/settings.h"
#include "ipc/grant.h"
#include "ipc/peers.h"
#include "run/tls.h"

struct auth_process;
struct store_reader;
struct store_writer;

struct house {
    struct loop *loop;
    struct settings *settings;
    char directory[72];
    unsigned char grant_key[GRANT_KEY_SIZE];
    struct store_writer *writer;
    struct store_reader *reader;
    struct auth_process *auth;
    struct channel *admin;   /* to the writer, for accounts */
    struct peers gate, desk; /* what a session of each kind may call */
    struct peers auth_peers; /* what auth may call */
    struct tls_context *tls; /* NULL when the script says NO-TLS */
    char log_path[80];
    int log_fd;
};

/* `overrides`: lines "name=value". NULL with a sentence. */
MUST_USE struct house *house_new(struct fiber *self, struct span overrides, bool with_tls, struct buf *problem);
/* Stops the services, waits until `self` is the last fiber, removes the directory. Every session has ended. NULL-safe.
 */
void house_free(struct fiber *self, struct house *house);

MUST_USE bool house_add_account(struct fiber *self, struct house *house, struct span address, struct span password,
                                struct buf *problem);
/* Opens or closes the account. */
MUST_USE bool house_enable_account(struct fiber *self, struct house *house, struct span address, bool enabled,
                                   struct buf *problem);
MUST_USE bool house_deliver(struct fiber *self, struct house *house, struct span address, struct span body,
                            struct buf *problem);

/* Takes the sessions' channels to a service away, as if its process had died, and gives them back. False: no such
 * service ("reader", "writer", "auth"). */
MUST_USE bool house_break(struct house *house, struct span name);
MUST_USE bool house_mend(struct house *house, struct span name);

/* Everything logged since the last call with forget set. */
void house_read_log(struct house *house, struct buf *out, bool forget);

#endif
