/* An SMTP session, from greeting to close: RFC 5321, for strangers on port 25 and for members on the submission ports
 * (RFC 6409, 8314). */
#ifndef SMTP_SESSION_H
#define SMTP_SESSION_H

#include "config/settings.h"
#include "format/ip_address.h"
#include "ipc/peers.h"
#include "policy/session_board.h"
#include "run/fiber.h"
#include "run/stream.h"

struct blacklist;
struct facts_sources;
struct intake_route_cache;
struct ledger;

/* What all sessions of a process share. The session takes its own references to settings and tls. */
struct smtp_context {
    struct settings *settings;
    struct peers *peers;
    struct tls_context *tls;           /* NULL: STARTTLS is not offered */
    const bool *stopping;              /* true: the process is to end; sessions say 421 before their next command */
    struct intake_route_cache *routes; /* where recently asked addresses lead; NULL: each is asked for */
    const struct blacklist *blacklist; /* our own; NULL: it is empty */
    const struct facts_sources *facts; /* facts/gather.h */
    struct ledger *ledger;             /* facts/ledger.h; NULL: refusals are not noted */
};

struct smtp_peer {
    enum service_kind
        service; /* SERVICE_SMTP, _SUBMISSION or _SUBMISSIONS (whose TLS handshake is the session's first act) */
    struct ip_address ip;
    const char *session; /* its id in the log and in Received: */
    bool *in_hand; /* set while a transaction's data is being taken or stored: a process that ends lets it finish. May
                      be NULL */
    struct session_slot *board; /* where what happens is noted for `ostiary watch`; may be NULL */
};

/* Runs the session on `stream` (borrowed) until it is over, the closing handshake included. Waits. */
void smtp_session_run(struct fiber *self, struct stream *stream, const struct smtp_context *context,
                      const struct smtp_peer *peer);

/* The one line for a client that gets no session ("421 4.7.0 Too many connections from your address …"), with its CRLF.
 */
const char *smtp_refusal_too_many_from_address(void);
const char *smtp_refusal_busy(void);

#endif
