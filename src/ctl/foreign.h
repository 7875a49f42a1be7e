/* What strangers wrote, on its way to a terminal: it must not command it. */
#ifndef CTL_FOREIGN_H
#define CTL_FOREIGN_H

#include "base/buf.h"

/* Appends the text with "?" for control characters, those of ISO 6429's upper half (U+0080 to U+009F) among them, and
 * for all octets above 127 where it is no UTF-8. Line ends and tabs stay when `has_lines`; CR is left out. */
void foreign_write(struct span text, bool has_lines, struct buf *out);

#endif
