/* A message's summary: what IMAP, POP3 and the ledger ask of it, parsed once, at delivery, and kept beside it.
 *
 * The bytes are compact and versioned: sizes as variable-length numbers, strings with their length, parts in the order
 * of their offsets. They may come back damaged from a disk: summary_parse believes nothing. Pure functions.
 */
#ifndef FORMAT_SUMMARY_H
#define FORMAT_SUMMARY_H

#include "base/arena.h"
#include "base/buf.h"
#include "format/mime.h"

/* Never larger. A message that needs more is cut short, see the flags. */
#define SUMMARY_SIZE_MAX ((size_t)256 * 1024)
/* What an arena for summary_make or summary_parse should allow: enough for every message within the caps of mime.h;
 * with less, parts are dropped (make) or the summary is refused (parse). */
#define SUMMARY_ARENA_MAX ((size_t)8 * 1024 * 1024)

enum summary_flag {
    SUMMARY_TRUNCATED = 1,     /* parts or addresses beyond the caps of mime.h and address_list.h are missing */
    SUMMARY_STRINGS_CUT = 2,   /* long strings and lists were cut to make it fit */
    SUMMARY_PARTS_DROPPED = 4, /* the structure did not fit at all: the message is handed out as one text/plain */
};

struct summary {
    unsigned flags; /* enum summary_flag */
    bool has_date;
    int64_t date_seconds;  /* Date: since 1970-01-01 UTC, when has_date */
    uint64_t message_size; /* bytes; every part lies within */
    struct mime_part
        *root; /* its envelope is the message's; its header_size the message's header with the empty line */
};

/* Parses the message and appends its summary to *out. Bad mail is no failure. 0; -ENOMEM when the arena or *out has no
 * room even for the smallest summary, and then *out is as before but failed. The arena holds scratch only: nothing in
 * *out points into it. */
MUST_USE int summary_make(struct span message, struct arena *arena, struct buf *out);

/* Appends the summary of a message of that size which nobody has looked into: one text/plain without a header, and
 * SUMMARY_PARTS_DROPPED. 0 or -ENOMEM. */
MUST_USE int summary_make_unread(uint64_t message_size, struct buf *out);

/* False when the bytes are not a summary that summary_make could have written, or the arena is full. Strings of
 * *summary point into `bytes`, the rest is in the arena. A true result keeps every promise of mime.h, and all offsets
 * lie within message_size and within the parent's body. */
MUST_USE bool summary_parse(struct span bytes, struct arena *arena, struct summary *summary);

/* IMAP's ENVELOPE in brackets (RFC 9051 7.5.2): strings quoted, or literals where they hold other than printable ASCII;
 * Sender and Reply-To default to From. Appends to *out, whose limit bounds it. */
void summary_write_envelope(const struct summary *summary, struct buf *out);

/* IMAP's BODYSTRUCTURE (`extended`) or BODY in brackets (RFC 9051 7.5.2). */
void summary_write_bodystructure(const struct summary *summary, bool extended, struct buf *out);

/* The part that IMAP numbers n1.n2.n3 (RFC 9051 6.4.5.1), NULL when there is none. `count` 0 is the message itself. */
const struct mime_part *summary_find_part(const struct summary *summary, const uint32_t *numbers, size_t count);

#endif
