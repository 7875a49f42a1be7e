/* A PWD session (poppassd, usually port 106): people change their password over the net.
 *
 *     S: 200 mail.example.org Ostiary PWD ready
 *     C: user alice@example.org        S: 300 now the password
 *     C: pass the old one              S: 200 now the new password
 *     C: newpass the new one           S: 200 the password is changed
 *     C: quit                          S: 200 bye
 *
 * Every refusal is a 500 with its reason. What a reader may want to know:
 * - Only settings->pwd.networks, client_networks and trusted_networks are let in; everybody else hears 500 and is
 *   closed.
 * - Passwords are taken over TLS (STLS, or from the first byte), from trusted_networks, and, where settings->pwd.plain
 *   says so, from the two others.
 * - The change is durable before its 200: clients go away right behind it. The old password lets nobody in from then
 *   on.
 * - The login ends with the change; another one asks for the new password.
 * - When another process of ours is away nothing is changed. In the one case where that is not known, the writer's
 * death between commit and answer, the 500 says that, too.
 */
#ifndef PWD_SESSION_H
#define PWD_SESSION_H

#include "config/settings.h"
#include "ipc/peers.h"
#include "policy/session_board.h"
#include "run/stream.h"
#include "run/tls.h"

struct pwd_context {
    struct settings *settings; /* a session takes a reference of its own */
    struct peers *peers;
    struct tls_context *tls; /* NULL: no STLS; a handshake takes its own reference */
    const bool *stopping;    /* true once the process is to end: no command is taken any more. May be NULL */
};

struct pwd_peer {
    const char *address;             /* text, for the log and for auth */
    unsigned char address_bytes[16]; /* IPv4 mapped */
    const char *session_id;          /* in the log */
    bool implicit_tls;               /* PWDS: the handshake comes before the greeting */
    bool *in_hand; /* set while a password is being changed: a process that ends lets it finish. May be NULL */
    struct session_slot *board; /* where what happens is noted for `ostiary watch`; may be NULL */
};

/* The whole session from the greeting to the close, log lines included. Waits. The stream stays the caller's to free.
 * `context` and `peer` outlive it; what settings and tls point to is read at the start (tls again at STLS), so a reload
 * may replace both. */
void pwd_session_run(struct fiber *self, struct stream *stream, const struct pwd_context *context,
                     const struct pwd_peer *peer);

#endif
