/* The auth service: answers ipc/auth.proto. It checks passwords with what a store reader tells it, gives out grants,
 * slows down those who guess, and has the store's writer put new passwords in the old ones' place.
 *
 * Each step of a login runs in a fiber of its own. An unknown name and a wrong password get the same answer after the
 * same work; that an account is closed is told only to whoever knows its password. When no store reader answers, the
 * step fails with -EAGAIN and the client is told to come back.
 */
#ifndef AUTH_SERVICE_H
#define AUTH_SERVICE_H

#include "config/settings.h"
#include "ipc/grant.h"
#include "ipc/peers.h"

#define GRANT_SECONDS (24 * 3600)

struct auth_process;

/* `settings` gets a reference; `peers` (where ROLE_READER and ROLE_WRITER are looked for) stays the caller's and
 * outlives the process. Makes one password hash, to have something to compare unknown names with. NULL with a sentence
 * in `problem`. */
MUST_USE struct auth_process *auth_process_new(struct loop *loop, struct settings *settings, struct peers *peers,
                                               const unsigned char grant_key[GRANT_KEY_SIZE], struct buf *problem);
/* After a reload. What is under way goes on with the new ones. On failure (negative errno, a sentence in `problem`) the
 * old ones stay. */
MUST_USE int auth_process_set_settings(struct auth_process *a, struct settings *settings, struct buf *problem);
/* Serves `peer` on fd, which is taken, also on failure. 0 or -ENOMEM. */
MUST_USE int auth_process_attach(struct auth_process *a, int fd, enum role peer);
/* Shows a role's board of sessions (policy/session_board.h) to those who watch. The descriptor stays the caller's. 0 or
 * a negative errno. */
MUST_USE int auth_process_show_board(struct auth_process *a, int fd, unsigned columns);
/* Steps not answered yet; each is a fiber. */
size_t auth_process_steps(const struct auth_process *a);
/* Closes its channels, wipes, frees. Every step must have ended (loop_cancel_all() and auth_process_steps()).
 * NULL-safe. */
void auth_process_free(struct auth_process *a);

#endif
