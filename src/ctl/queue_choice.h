/* How a person names queue entries: "1a2b" is a message, "1a2b.3" one entry of it; "alice@example.org", "example.org"
 * and "@example.org" are what goes there or comes from there. Pure. */
#ifndef CTL_QUEUE_CHOICE_H
#define CTL_QUEUE_CHOICE_H

#include "base/span.h"

struct queue_name {
    uint64_t message_id; /* 0: `match` says which */
    uint32_t number;     /* 0: all of the message */
    struct span match;
};

/* False when the text is neither. */
MUST_USE bool queue_name_parse(struct span text, struct queue_name *name);

#endif
