/* Takes connections in for gates and desks: the accept loops on the shared listeners, the limits, a fiber a connection,
 * and the end of them all.
 *
 * Limits: settings.processes.connections in this process, and connections_per_address by address over all processes of
 * the role. Who is over a limit gets one line that says so and is closed; on a port where TLS comes first there is
 * nobody to say it to.
 *
 * In a full house a newcomer gets the place of a client that has kept us waiting, for CROWD_OUT_FROM or longer in all,
 * and without having logged in: else whoever holds many connections open, and sends a byte now and then, would keep all
 * others out.
 */
#ifndef PROC_ACCEPTOR_H
#define PROC_ACCEPTOR_H

#include "format/ip_address.h"
#include "policy/connection_table.h"
#include "policy/session_board.h"
#include "proc/child.h"
#include "run/stream.h"

struct acceptor;

/* One connection, for the session that runs on it. */
struct connection {
    struct acceptor *acceptor;
    struct list_node node;
    enum service_kind service;
    struct ip_address ip;
    char session[32]; /* its id in the log: this process's random number and a count */
    bool in_hand;     /* the session is doing what must be finished: an end of the process waits for it */
    bool leaving;     /* it was crowded out */
    int fd;           /* until the stream has it */
    struct stream *stream;
    struct connection_ticket ticket;
    struct session_slot *board; /* where the session notes what happens; may be NULL */
    struct fiber *fiber;
};

enum refusal { REFUSE_BUSY, REFUSE_ADDRESS };

#define CROWD_OUT_FROM (2 * NANOSECONDS)

struct acceptor_events {
    /* The whole session. Waits; `stream` is freed by the acceptor. */
    void (*run)(struct fiber *self, struct stream *stream, struct connection *connection, void *context);
    /* The line for whom no session is run, "" for none. */
    const char *(*refuse)(enum service_kind service, enum refusal why);
};

MUST_USE struct acceptor *acceptor_new(struct child *child, const struct acceptor_events *events, void *context);
/* Takes the listeners and the table out of the frame: a new set of listeners replaces the one before. 0 or a negative
 * errno. */
MUST_USE int acceptor_adopt(struct acceptor *a, struct control_frame *frame);
/* Points to a bool that is true once the process is to end. */
const bool *acceptor_stopping(const struct acceptor *a);
/* No new connections; cancels the idle sessions at once, the others when the deadline comes, and waits until all are
 * gone. */
void acceptor_stop(struct fiber *self, struct acceptor *a, uint64_t deadline);

#endif
