/* The header of a message or of a MIME part: fields over raw bytes (RFC 5322 sections 2.2 and 3.6.8, RFC 6532).
 *
 * Tolerant, because the reader is served best by what can be saved: lines end in LF or CRLF, names may be followed by
 * blanks, a line without a name ("From " of an mbox, broken folding, noise) is a field with an empty name. Only an
 * empty line, or the end of the input, ends a header. Every byte belongs to exactly one field or to that empty line.
 * Pure functions, linear in the bytes they pass over; nothing is copied unless the function says so.
 */
#ifndef FORMAT_HEADER_H
#define FORMAT_HEADER_H

#include "base/arena.h"
#include "base/buf.h"

struct header_field {
    struct span raw;   /* the whole field, with its last line end */
    struct span name;  /* printable ASCII without the colon; empty when the line has none */
    struct span value; /* behind the colon (all of it when there is no name), folds kept, without the last line end */
    size_t lines;      /* line ends in raw: 1, and 1 more for each fold; the last line of a message may have none */
};

/* Takes the next field off *rest. False at the end of the header: *rest is then the body, the empty line taken off
 * (and empty when the input ended first). */
bool header_next(struct span *rest, struct header_field *field);

/* The first field of that name (case does not matter) in a header, with or without a body behind it; false when there
 * is none. */
bool header_find(struct span header, struct span name, struct header_field *field);

/* Appends the value on one line: folds undone (RFC 5322 2.2.3), trimmed, NUL bytes and stray CRs dropped. */
void header_unfold(struct span value, struct buf *out);

/* The same as a span: into the input itself when there is nothing to undo, else into the arena. {NULL, 0} when the
 * arena is full. */
struct span header_text(struct span value, struct arena *arena);

#endif
