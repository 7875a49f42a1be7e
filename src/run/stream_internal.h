/* What the parts of the stream know of one another. Private to run/. */
#ifndef RUN_STREAM_INTERNAL_H
#define RUN_STREAM_INTERNAL_H

#include "run/internal.h"
#include "run/stream.h"

#include <openssl/ssl.h>
#include <sys/types.h>

struct stream {
    struct watch watch;
    char *input; /* a block of STREAM_INPUT_MAX bytes, NULL while nothing is buffered and the stream waits */
    size_t start, end;
    size_t scanned;      /* bytes from start on that hold no LF */
    unsigned streak;     /* reads and writes since the fiber last let the others run */
    bool dropping;       /* in a line that is too long */
    bool overhears;      /* it is not the peer's turn: the wait is ours */
    bool closes;         /* what is written now is followed by the end of the connection at once */
    bool drained;        /* the socket has no more input until the next edge: reading it would be a call in vain */
    bool hung_up;        /* the socket's end of input was read */
    bool ended;          /* the end of the peer's input: the socket's, or TLS close_notify */
    bool wants_write;    /* what the last try is waiting for */
    bool flushed;        /* since there was input */
    bool undelayed;      /* TCP_NODELAY is on */
    bool crowded_out;    /* see stream_crowd_out */
    bool heard_out;      /* behind `error` there may be lines to read: see stream_hear_out */
    uint64_t waits_from; /* for the peer; 0: it does not wait */
    uint64_t behind;     /* ns, before that: see stream_kept_waiting */
    int error;           /* sticky */
    int socket_error;    /* of the last try, 0 when it was another kind */
    struct buf output;
    struct buf problem;
    SSL *ssl;
    struct tls_context *tls;
};

/* Records what ended the connection and returns it. */
int stream_fail(struct stream *s, int error, const char *text);

/* ---- stream_io.c: one try each. Bytes moved, or -EAGAIN (then stream_wait), or an error that was recorded ---- */

ssize_t stream_try_read(struct stream *s, char *to, size_t size);
ssize_t stream_try_write(struct stream *s, const char *from, size_t size);
/* Waits for what the last try lacked, and counts for how long. */
MUST_USE int stream_wait(struct fiber *self, struct stream *s, uint64_t deadline);
/* The same for waits that are one of many under the same deadline: in a wait what comes in time and the deadline race,
 * and a peer that sends a byte every turn of the loop would win each race. */
MUST_USE int stream_wait_strictly(struct fiber *self, struct stream *s, uint64_t deadline);
/* The peer moved so many bytes, which pay for some of the time. */
void stream_note_progress(struct stream *s, size_t bytes);
/* To be called after each success: lets the others run now and then, so that a fast peer can't keep the loop for
 * itself. 0, -ECANCELED, -ETIMEDOUT. */
MUST_USE int stream_take_turns(struct fiber *self, struct stream *s, uint64_t deadline);
/* Small writes leave at once. */
void stream_undelay(struct stream *s);

/* The socket itself: bytes, 0 at the end of input, or a negative errno. */
ssize_t socket_read(struct stream *s, char *to, size_t size);
ssize_t socket_write(struct stream *s, const char *from, size_t size);

/* ---- stream_tls.c ---- */

ssize_t stream_tls_read(struct stream *s, char *to, size_t size);
ssize_t stream_tls_write(struct stream *s, const char *from, size_t size);
/* Sends close_notify if it can be sent now. */
void stream_tls_close(struct stream *s);

/* ---- tls.c ---- */

/* A fresh session of the context, NULL on lack of memory. */
SSL *tls_session_new(struct tls_context *tls);

#endif
