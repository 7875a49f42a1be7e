/* The desk's my.sock: people of this machine look after their own door (ipc/my.proto). Everybody may connect, so
 * whoever is at the other end is a stranger until auth has accepted their password, by the same Step as any login, with
 * its counting and its delays. Then their calls are passed on to the writer and the courier with the grant of that
 * login in them; nothing else is read out of them, and who may do what is decided there.
 *
 * A session has one call in hand at a time, and lasts MY_SESSION_SECONDS at most. Users of the machine (SO_PEERCRED)
 * share the seats (my/seats.h), and their failed logins count by user.
 */
#ifndef MY_SERVICE_H
#define MY_SERVICE_H

#include "config/settings.h"
#include "ipc/peers.h"
#include "run/fiber.h"
#include "run/loop.h"

#define MY_SESSION_SECONDS 900
#define MY_IDLE_SECONDS 300

struct my_service;

/* `peers` and `remote_key`, the public key that people seal the passwords of remote accounts with, outlive it. NULL
 * when there is no memory. */
MUST_USE struct my_service *my_service_new(struct loop *loop, struct settings *settings, struct peers *peers,
                                           struct span remote_key);
/* For sessions that begin from now on. */
void my_service_set_settings(struct my_service *m, struct settings *settings);
/* A new connection; takes fd. 0; -EMFILE where there are too many of that user, or of all and nobody has more than that
 * user would; or -ENOMEM. */
MUST_USE int my_service_attach(struct my_service *m, int fd);
/* Ends idle sessions, waits for calls in hand until the deadline, and cancels what is left. */
void my_service_stop(struct fiber *self, struct my_service *m, uint64_t deadline);

#endif
