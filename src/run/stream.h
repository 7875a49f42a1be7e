/* A stream: buffered two-way bytes over a connected socket, plain or TLS, for one fiber.
 *
 * Reading sends pending output first when it has to wait for input, so replies to pipelined commands leave in one write
 * and no session ever waits for an answer to what it has not sent. Memory: an idle stream (nothing buffered either way)
 * holds no buffers.
 *
 * Errors of everything that may wait: -ETIMEDOUT, -ECANCELED, -ECONNRESET (also for TLS errors: see stream_problem()),
 * -EPIPE (the peer closed its reading side), -ENODATA (end of input; under TLS without its close_notify it is noted in
 * stream_problem()), -ENOMEM. After an error of the connection every later call returns the same error. After
 * -ETIMEDOUT and -ECANCELED a last reply may still be sent; after -ENODATA too, since a peer may close one direction
 * only. Input that was buffered before the end is there to be read.
 *
 * A peer that is always ready can't keep the loop: after 16 reads or writes without a wait the others run first.
 */
#ifndef RUN_STREAM_H
#define RUN_STREAM_H

#include "base/buf.h"
#include "run/loop.h"

struct tls_context;
struct stream;

/* Takes `fd` (a stream socket; closed by stream_free, also when this fails; whether it is non-blocking does not
 * matter). NULL on lack of memory or descriptors. */
MUST_USE struct stream *stream_new(struct loop *loop, int fd);
/* Closes at once, sending nothing more. NULL-safe. */
void stream_free(struct stream *s);
/* Flushes, sends TLS close_notify, shuts down for writing, reads and drops at most 64 KiB until end of input or the
 * deadline, so that the last reply is not lost to a reset. `is_last_word`: the peer said that it sends nothing more
 * (QUIT), so when nothing is left to read there is no waiting for its end. The stream is still to be freed. */
void stream_close(struct fiber *self, struct stream *s, bool is_last_word, uint64_t deadline);

/* As stream_fill, while it is not the peer's turn to speak: does it all the same? stream_kept_waiting does not count
 * the wait. */
MUST_USE int stream_overhear(struct fiber *self, struct stream *s, uint64_t deadline);

/* What was received and not consumed yet. Valid until the next call that reads. */
struct span stream_input(const struct stream *s);
void stream_consume(struct stream *s, size_t n);
/* Waits until more input is buffered than was before; at most STREAM_INPUT_MAX bytes are buffered at a time (-ENOBUFS
 * when full). */
#define STREAM_INPUT_MAX 65536
MUST_USE int stream_fill(struct fiber *self, struct stream *s, uint64_t deadline);

/* A line up to LF, without the LF or CRLF, consumed; valid until the next read. 0; -EMSGSIZE when it is longer than
 * `max` bytes (terminator not counted): then it has been dropped up to and including its LF, in bounded memory. max <=
 * STREAM_INPUT_MAX - 2. The deadline is for the whole line, so a byte every ten seconds buys nothing. NUL, CR and 8-bit
 * bytes inside are handed on. */
MUST_USE int stream_read_line(struct fiber *self, struct stream *s, size_t max, struct span *line, uint64_t deadline);
/* True when a whole line or at least one byte is buffered: pipelined input stands there. */
bool stream_has_input(const struct stream *s);
/* True when nothing came since the last read and the connection seems to stand: what must be so on an idle connection
 * where it is not the peer's turn. Does not wait; at most one system call. */
bool stream_is_quiet(struct stream *s);

/* The output being gathered: append to it with buf_*. Its limit is 256 KiB; call stream_flush before that. */
struct buf *stream_output(struct stream *s);
/* Sends what is gathered. */
MUST_USE int stream_flush(struct fiber *self, struct stream *s, uint64_t deadline);
/* After `error` of a write (-EPIPE, -ECONNRESET, -ETIMEDOUT): a peer that no longer listens may have said why. Takes
 * what came until now, as far as there is room for it, and does not wait. The connection is over; but stream_read_line
 * still gives each whole line of that before it returns the error. */
void stream_hear_out(struct stream *s, int error);
/* Appends to the output and flushes whenever more than 64 KiB are gathered. For bodies of any size. */
MUST_USE int stream_write(struct fiber *self, struct stream *s, struct span bytes, uint64_t deadline);

/* Sends pending output, throws away buffered input (commands injected before the handshake: RFC 3207 section 4.2), does
 * a server's handshake. After any error, also -ETIMEDOUT and -ECANCELED, the connection is lost. -EINVAL when there is
 * TLS already. */
MUST_USE int stream_accept_tls(struct fiber *self, struct stream *s, struct tls_context *tls, uint64_t deadline);
/* The same as a client, with a context of tls_client_context_new. `host` is the name (A-labels) or address that was
 * meant: a name is sent along (RFC 6066 section 3), and the certificate is checked against it (RFC 9525), in any case.
 * With `verify` a certificate that is not right ends the handshake; without it anybody's will do and
 * stream_tls_problem() tells. */
MUST_USE int stream_start_tls(struct fiber *self, struct stream *s, struct tls_context *tls, const char *host,
                              bool verify, uint64_t deadline);
/* What is wrong with the certificate of the server that stream_start_tls spoke with: "" when it is made out to the host
 * and an authority that we trust signed it; else a few words (static), also after a handshake that ended for it. */
const char *stream_tls_problem(const struct stream *s);
bool stream_is_tls(const struct stream *s);
/* "TLSv1.3", "TLS_AES_256_GCM_SHA384", the name the client asked for ("" when none). Empty on a plain stream. */
const char *stream_tls_version(const struct stream *s);
const char *stream_tls_cipher(const struct stream *s);
const char *stream_tls_server_name(const struct stream *s);
/* Channel binding data: RFC 5929 tls-server-end-point, RFC 9266 tls-exporter. The size written to out (64 bytes of
 * room), 0 when there is none. */
enum tls_binding { TLS_SERVER_END_POINT, TLS_EXPORTER };
size_t stream_tls_binding(const struct stream *s, enum tls_binding type, unsigned char out[64]);

/* ---- Peers that take their time ---- */

/* For how long (ns, at `now` of the monotonic clock) the fiber's peer has kept it waiting, all waits together, less
 * what its bytes pay for at STREAM_PACE bytes a second: neither a byte nor a NOOP now and then buys anything. 0 when it
 * is not the peer's turn. */
#define STREAM_PACE 1000
uint64_t stream_kept_waiting(const struct stream *s, uint64_t now);
/* It did what it came for: what it kept us waiting is forgotten. */
void stream_settle(struct stream *s);
/* Cancels its fiber, whose session then ends without waiting for the peer's end of the connection: somebody else is to
 * have its place. */
void stream_crowd_out(struct stream *s, struct fiber *fiber);
/* That happened: what the session tells its peer is not that the server stops. */
bool stream_is_crowded_out(const struct stream *s);

/* A sentence about the error that ended the connection, "" when there is none: for the log. */
const char *stream_problem(const struct stream *s);
int stream_fd(const struct stream *s);

#endif
