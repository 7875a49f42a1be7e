/* Base64 (RFC 4648 section 4) as authentication exchanges use it: one line, strict. Pure. */
#ifndef FORMAT_BASE64_H
#define FORMAT_BASE64_H

#include "base/buf.h"

void base64_write(struct span bytes, struct buf *out);
/* Appends the bytes. Only the canonical form: whole groups of four, padding where it must be, unused bits zero, no
 * white space. False when it is anything else or `out` failed (its limit is the limit); what was appended until then
 * stays. An empty text is no bytes. */
MUST_USE bool base64_parse(struct span text, struct buf *out);

#endif
