/* A POP3 session: RFC 1939, 2449 (CAPA), 2595 (STLS), 3206 (AUTH-RESP-CODE), 5034 (AUTH), 6856 (UTF8, LANG), 8314
 * (POP3S).
 *
 * What a reader of those pages may want to know:
 * - DELE takes effect at QUIT and only there. A session that ends in any other way deletes nothing.
 * - There is no exclusive lock on a maildrop: pop3/maildrop.h says why that is safe.
 * - Passwords are taken over TLS, or from settings->trusted_networks. Elsewhere USER, PASS, APOP and AUTH are refused
 * with [AUTH] and not advertised.
 * - Messages are handed out as they are stored, byte for byte, with UTF8 and without: old clients show a header in
 * UTF-8 better than they show a refusal.
 * - A session that is cancelled while it waits for a command, as all are when the server stops, says so before it
 * closes. One that is cut off in the middle of a message says nothing: its words would be taken for the message's.
 * - When another process of ours is away the client gets -ERR [SYS/TEMP]. A message that can't be sent to its end
 * closes the connection: the final dot stands behind whole messages only.
 */
#ifndef POP3_SESSION_H
#define POP3_SESSION_H

#include "config/settings.h"
#include "intake/intake.h"
#include "ipc/peers.h"
#include "policy/session_board.h"
#include "run/stream.h"
#include "run/tls.h"

/* Since the process started. */
struct pop3_counters {
    uint64_t sessions, logins, refused_logins;
    uint64_t retrieved, deleted; /* messages */
    uint64_t octets;             /* of bodies sent */
};

struct pop3_context {
    struct settings *settings; /* a session takes a reference of its own */
    struct peers *peers;
    struct tls_context *tls;           /* NULL: no STLS; a handshake takes its own reference */
    struct intake_route_cache *routes; /* where recently asked addresses lead, for XTND XMIT; may be NULL */
    const struct facts_sources *facts; /* for XTND XMIT: facts/gather.h */
    struct ledger *ledger;             /* the same: facts/ledger.h; NULL: refusals are not noted */
    const bool *stopping;              /* true once the process is to end: no command is taken any more. May be NULL */
    struct pop3_counters counters;
};

struct pop3_peer {
    const char *address;             /* text, for the log and for auth */
    unsigned char address_bytes[16]; /* IPv4 mapped */
    const char *session_id;          /* in the log */
    bool implicit_tls;               /* POP3S: the handshake comes before the greeting */
    bool *in_hand; /* set while a message is being sent or QUIT deletes: a process that ends lets it finish. May be NULL
                    */
    struct session_slot *board; /* where what happens is noted for `ostiary watch`; may be NULL */
};

/* The whole session from the greeting to the close, log lines included. Waits. The stream stays the caller's to free.
 * `context` and `peer` outlive it; what settings and tls point to is read at the start (tls again at STLS), so a reload
 * may replace both. */
void pop3_session_run(struct fiber *self, struct stream *stream, struct pop3_context *context,
                      const struct pop3_peer *peer);

#endif
