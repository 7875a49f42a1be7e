/* The file of a site's script. */
#ifndef SCRIPT_SOURCE_H
#define SCRIPT_SOURCE_H

#include "base/buf.h"

/* What the buf should have room for. */
#define SCRIPT_SOURCE_ROOM ((1u << 20) + 8192)

/* Appends the file's text, at most SCRIPT_SOURCE_MAX bytes. 0, or a negative errno with a sentence that says what to
 * do. */
MUST_USE int script_source_read(const char *path, struct buf *text, struct buf *problem);

#endif
