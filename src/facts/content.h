/* The facts of a message that has come in whole. */
#ifndef FACTS_CONTENT_H
#define FACTS_CONTENT_H

#include "policy/facts.h"

#define CONTENT_HEADER_MAX (96u << 10) /* bytes of a header that scripts see */
#define CONTENT_TEXT_MAX 1000          /* of one text, and of an attachment's name */

/* Fills in *content from the message, whose first trace_size bytes we wrote ourselves: they are no part of it, and from
 * its summary (format/summary.h); is_automatic: format/automatic.h's word on its header; with_header: a script is to
 * see the header. Copies go to `arena`, what is only needed meanwhile to a scratch arena of its own. -ENOMEM; -EPROTO
 * where the summary is none: *content is empty then. Pure but for its memory. */
MUST_USE int facts_fill_content(struct content_fact *content, struct span message, size_t trace_size,
                                struct span summary, bool is_automatic, bool with_header, struct arena *arena);

#endif
