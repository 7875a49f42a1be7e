/* A message on its way to a POP3 client: dot-stuffing and what TOP cuts off. Pure: no I/O, any chunking of the input
 * gives the same output. Time is linear in the bytes; text without dots is copied in one piece.
 */
#ifndef POP3_BODY_H
#define POP3_BODY_H

#include "base/buf.h"

/* The dot-stuffing of a multi-line reply: RFC 1939 section 3. Starts as {0}. */
struct pop3_body {
    bool in_line; /* the last byte was not a LF */
};

/* Appends `bytes`, with a dot before every line that begins with one; at most twice as many bytes as given. A bare LF
 * begins a line too: a client that takes it for a line's end must not see the end of the message behind it. */
void pop3_body_write(struct pop3_body *body, struct span bytes, struct buf *out);
/* Appends what ends the reply: CRLF when the last line has none, then ".CRLF". Only for a message that is whole. */
void pop3_body_end(struct pop3_body *body, struct buf *out);

/* What TOP sends: the header, the blank line and the first `lines` lines of the body. RFC 1939 section 7. */
struct pop3_top {
    uint64_t lines;               /* of the body, still to be sent */
    bool in_body, in_line, at_cr; /* at_cr: the line so far is one CR */
};

void pop3_top_init(struct pop3_top *top, uint64_t lines);
/* The part of `bytes` that belongs to it. *done is set when nothing more does. */
struct span pop3_top_cut(struct pop3_top *top, struct span bytes, bool *done);

#endif
