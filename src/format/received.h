/* What one Received: line says (RFC 5321 section 4.4, and what servers really write). Pure, linear in the input; what
 * of it may be believed is origin.h's matter. */
#ifndef FORMAT_RECEIVED_H
#define FORMAT_RECEIVED_H

#include "base/arena.h"
#include "format/ip_address.h"

struct received {
    struct span from; /* the word behind "from" */
    struct span helo; /* what the client called itself; empty: not told */
    struct span ptr;  /* its name by DNS as the server looked it up; empty: unknown, or "may be forged" */
    bool has_ip;
    struct ip_address ip;                /* of the client */
    struct span by, with, id, recipient; /* recipient: behind "for", without brackets */
};

/* `value`: of one field, folds allowed. Spans are in the arena or the input. False where it says neither who it is from
 * nor who wrote it, or the arena is full. */
MUST_USE bool received_parse(struct span value, struct arena *arena, struct received *received);

/* Is `name` the domain or below it? Case does not matter. */
bool received_is_below(struct span name, struct span domain);

/* A host name with a dot in it, at most 255 bytes long; a last dot, as the DNS writes it, is taken off. No address. */
MUST_USE bool received_take_host_name(struct span word, struct span *name);

#endif
