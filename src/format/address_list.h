/* The address lists of From, To and their like: RFC 5322 3.4 with the obsolete forms of 4.4 and the UTF-8 of RFC 6532,
 * taken apart as IMAP's ENVELOPE wants it (RFC 9051 7.5.2).
 *
 * Nothing is refused: what isn't an address becomes one with an empty mailbox or host. Linear in the input. Spans
 * point into the input where nothing had to be undone, else into the arena.
 */
#ifndef FORMAT_ADDRESS_LIST_H
#define FORMAT_ADDRESS_LIST_H

#include "base/arena.h"

/* Entries of one list beyond this are dropped and `truncated` is set. */
#define ADDRESS_LIST_MAX 2000

enum address_kind { ADDRESS_MAILBOX, ADDRESS_GROUP_START, ADDRESS_GROUP_END };

struct address {
    struct address *next;
    enum address_kind kind;
    struct span name;    /* display name (or the group's): unquoted, on one line, encoded words not decoded; or empty */
    struct span route;   /* obsolete source route, "@a,@b"; or empty */
    struct span mailbox; /* local part, unquoted */
    struct span host;    /* domain or domain literal; empty when it is missing */
};

struct address_list {
    struct address *first, *last;
    size_t count;
    bool truncated; /* too many, or the arena was full */
};

/* Appends the addresses of a header value (folds allowed) to *list, which starts zeroed. Every group start is followed
 * by its end, also when the text forgot it. */
void address_list_parse(struct span value, struct arena *arena, struct address_list *list);

#endif
