/* A scripted SMTP server at the other end of a socketpair, on a fiber of its own.
 *
 * A script is lines:
 *   S: text    sends the line with CRLF
 *   R: text    sends the octets at once and as they are; \r and \n are written so
 *   C: text    the client's next line must be this
 *   N: number  reads so many octets, whatever they are
 *   P:         nothing more may have come so far
 *   T:         does the server's side of a TLS handshake
 *   F:         the same; it must fail
 *   X:         closes
 *   E: text    sends the line again and again, one in 50 seconds, until the client is gone
 *   W:         waits for the client's end
 * What the server sends leaves when it waits for the client next. A server that is `slow` lets each octet leave alone.
 */
#ifndef TEST_DELIVER_PEER_H
#define TEST_DELIVER_PEER_H

#include "run/stream.h"

struct peer {
    struct stream *stream;
    const char *script;
    struct tls_context *tls;
    bool slow;
    unsigned patience_seconds;
    char problem[400]; /* "" when all went by the script */
};

void peer_main(struct fiber *self, void *argument);

#endif
