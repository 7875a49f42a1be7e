/* xtext: RFC 3461 section 4. Printable ASCII with "+" and "=" and all else as "+" and two upper-case hex digits. Pure.
 */
#ifndef FORMAT_XTEXT_H
#define FORMAT_XTEXT_H

#include "base/arena.h"
#include "base/buf.h"

void xtext_write(struct span bytes, struct buf *out);
/* True when `text` is xtext. Hex digits in lower case are let through: they are seen in the wild. */
MUST_USE bool xtext_is_valid(struct span text);
/* Decodes into the arena, or returns the input where nothing is encoded. False when it is no xtext or the arena is
 * full. The bytes may be anything, NUL included. */
MUST_USE bool xtext_parse(struct span text, struct arena *arena, struct span *bytes);

#endif
