/* The script process's service (ipc/script.proto): one call of check(mail) after the other.
 *
 * Each call, and the loading of a file, has a timer (ITIMER_REAL) whose signal has its default action: it ends the
 * process, and the supervisor starts another. Nothing milder stops a function of Lua's library that computes for years.
 * Calls that wait meanwhile fail with -EPIPE, too. Scripts run on the loop's own stack, from a timer of the loop, one a
 * turn: what earlier calls were answered is on its way by then. */
#ifndef SCRIPT_SERVICE_H
#define SCRIPT_SERVICE_H

#include "config/settings.h"
#include "ipc/role.h"
#include "run/loop.h"

#define SCRIPT_CALLS_MAX 1024 /* that wait at a time; more are refused (-EAGAIN) */

/* A call that waited longer than script.seconds and so many more is not made (-ETIMEDOUT):
 * by then its caller has given up. */
#define SCRIPT_LATE_SECONDS 10

struct script_service;

/* `text` is copied: the file's; data NULL: it could not be read. It is compiled in the loop, behind READY: a file that
 * computes for ever must not keep the server from starting. NULL with a sentence. */
MUST_USE struct script_service *script_service_new(struct loop *loop, const struct settings *settings, struct span text,
                                                   struct buf *problem);
/* Takes fd. 0 or a negative errno. */
MUST_USE int script_service_attach(struct script_service *s, int fd, enum role peer);
/* New settings, and the file's text anew. 0 or -ENOMEM; then the old ones stay. */
MUST_USE int script_service_update(struct script_service *s, const struct settings *settings, struct span text);
/* Calls that wait fail. NULL-safe. */
void script_service_free(struct script_service *s);

/* Arms the timer that ends this process, or with 0 seconds disarms it. Also for the command line's own child. */
void script_alarm(unsigned seconds);

#endif
