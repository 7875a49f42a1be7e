/* The message as a client sends it by DATA or BDAT: RFC 5321 sections 2.3.8 and 4.5.2, RFC 3030. An incremental writer:
 * the counterpart of format/smtp_data.h. Pure; may be copied and thrown away at any time.
 *
 * Every CR or LF that is not half of a CRLF becomes CRLF, and the last line gets its end: whatever the message is, a
 * server that takes a bare LF for a line end sees no other end of data than the one that was meant. How the input is
 * cut into pieces makes no difference.
 */
#ifndef FORMAT_SMTP_CONTENT_H
#define FORMAT_SMTP_CONTENT_H

#include "base/buf.h"

struct smtp_content {
    bool dots;     /* DATA: a dot at a line's start is doubled */
    bool mid_line; /* not at a line's start */
    bool after_cr;
};

void smtp_content_init(struct smtp_content *content, bool dots);
/* Appends at most 2 * input.size + 1 bytes. `out` failing is for the caller to see. Linear time. */
void smtp_content_write(struct smtp_content *content, struct span input, struct buf *out);
/* Behind the last piece: the last line's end where it lacks (at most 2 bytes). Nothing for a message of no octets. Not
 * the dot of DATA. */
void smtp_content_finish(struct smtp_content *content, struct buf *out);

#endif
