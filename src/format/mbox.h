/* mbox files (RFC 4155 and its relatives): messages behind lines "From sender date", with any line ends. Content-Length
 * is not believed. Pure. */
#ifndef FORMAT_MBOX_H
#define FORMAT_MBOX_H

#include "base/buf.h"

/* What other programs' stores say of a message; the numbers are those of store/volume_record.h. */
enum mail_mark { MAIL_SEEN = 1, MAIL_ANSWERED = 2, MAIL_FLAGGED = 4, MAIL_DELETED = 8, MAIL_DRAFT = 16 };

struct mbox_message {
    struct span from; /* its "From " line, without that word and the line's end */
    struct span text; /* header and body, the empty line before the next message not in it */
};

/* Takes the next message off *rest. False at the end, and when *rest does not begin with a "From " line. A "From " line
 * begins a message at the start of the text and behind an empty line. Linear over all calls. */
MUST_USE bool mbox_next(struct span *rest, struct mbox_message *message);
/* The sender and the date of its From line; either may be missing: an empty span, false. */
struct span mbox_from_sender(struct span from);
MUST_USE bool mbox_from_seconds(struct span from, int64_t *seconds);
/* Appends the message with CRLF line ends, and in mbox's form (`quoted`) without Status: and X-Status:, which are the
 * mbox's own, and with one ">" taken from lines ">From ",
 * ">>From " and so on. */
void mbox_write_plain(struct span text, bool quoted, struct buf *out);
/* The marks of Status: and X-Status: in the header. */
unsigned mbox_marks(struct span text);
/* Appends the message in mbox's form (mboxrd): LF line ends, a ">" before such lines, an empty line behind. */
void mbox_write(struct span sender, uint64_t seconds, unsigned marks, struct span text, struct buf *out);

#endif
