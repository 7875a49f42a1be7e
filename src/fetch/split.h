/* A provider's mailbox that holds the mail of a whole domain: for whom was a message? Pure. */
#ifndef FETCH_SPLIT_H
#define FETCH_SPLIT_H

#include "base/arena.h"

#define SPLIT_MAX 100 /* people that one message may name */
/* Fields that providers note the recipient of the envelope in, and then what the writer put. */
#define SPLIT_HEADERS "delivered-to x-original-to envelope-to x-envelope-to received to cc"

/* The addresses below `domain` that the header names, each once: those of the first field of `fields` (names with
 * blanks between them; empty: SPLIT_HEADERS) that names any. Of fields that a server adds at each hop only the topmost
 * counts. "received" means what stands behind "for"; "to" and "cc" are looked at together. local@domain, in the arena.
 * The number; 0: nobody is named. */
size_t split_find(struct span header, struct span fields, struct span domain, struct arena *arena,
                  struct span addresses[SPLIT_MAX]);

#endif
