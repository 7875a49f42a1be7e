/* The client's end of a connection in a dialogue: bytes over a socketpair, in the clear or over TLS. It never blocks
 * and never waits for readiness: it tries, and the player lets the others run in between. */
#ifndef DIALOGUE_CLIENT_H
#define DIALOGUE_CLIENT_H

#include "base/buf.h"

struct client;

/* Takes fd, also when there is no memory (NULL). */
MUST_USE struct client *client_new(int fd);
void client_free(struct client *client);

/* One step of the handshake. 0 when it is done, -EAGAIN, -EPROTO. */
MUST_USE int client_start_tls(struct client *client);
bool client_is_tls(const struct client *client);
/* Bytes taken, -EAGAIN, or a negative errno. */
MUST_USE long client_send(struct client *client, struct span bytes);
/* Appends what has come to client_input(). Bytes, 0 at the end of input (a reset counts as one), -EAGAIN. */
MUST_USE long client_receive(struct client *client);
struct buf *client_input(struct client *client);
/* Closes the sending side. */
void client_half_close(struct client *client);

#endif
