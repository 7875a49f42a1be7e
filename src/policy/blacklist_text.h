/* The text form of the own black list, one entry a line:
 *
 *   12.34.56.78                    an address; leading zeros are decimal ("012" is 12, never octal)
 *   2001:db8::/32                  a network
 *   12.34.50.01-12.34.59.99        a range, both ends in it
 *   mail.example.com               a host by the checked name of its address
 *   .example.org                   that domain and all below it
 *   *.dialup.example.net           all below it; "*" stands for any characters, dots too: host-*.example.com
 *   !12.34.56.78                   an exception: wins over every listing
 *   include other.txt              that file's lines, too
 *
 * Behind white space an entry's reason may follow ("spam source, 2026-10-02"). ";" and "#" begin a comment that goes on
 * to the end of the line. Pure: files are read by policy/blacklist_files.h.
 */
#ifndef POLICY_BLACKLIST_TEXT_H
#define POLICY_BLACKLIST_TEXT_H

#include "base/buf.h"
#include "format/ip_address.h"

/* Longer lines are bad. */
#define BLACKLIST_LINE_MAX 2000
#define BLACKLIST_NAME_MAX 253
/* Stars in one pattern. */
#define BLACKLIST_STARS_MAX 8

enum blacklist_line {
    BLACKLIST_LINE_EMPTY, /* nothing, or a comment */
    BLACKLIST_LINE_ADDRESSES,
    BLACKLIST_LINE_NAME,
    BLACKLIST_LINE_INCLUDE,
    BLACKLIST_LINE_BAD
};

enum blacklist_name_kind {
    BLACKLIST_NAME_EXACT,  /* the name itself */
    BLACKLIST_NAME_DOMAIN, /* ".example.org": itself and all below */
    BLACKLIST_NAME_BELOW,  /* "*.example.org": all below */
    BLACKLIST_NAME_PATTERN /* any other with stars */
};

struct blacklist_entry {
    bool is_exception;
    struct ip_address first, last;      /* ADDRESSES: both ends, of one family */
    enum blacklist_name_kind name_kind; /* NAME */
    struct span name;                   /* NAME: without the leading "." or "*." that its kind says, without a last dot,
                                           in the case of the line; a PATTERN whole. INCLUDE: the path */
    struct span reason;                 /* trimmed, no control characters; may be empty */
    struct span text;                   /* the entry as it was written, without exclamation mark and reason */
};

/* Reads one line without its line feed (a CR at its end is ignored). Spans point into it. With BLACKLIST_LINE_BAD a
 * sentence is in *problem: what is wrong and what to do, without the place. */
enum blacklist_line blacklist_line_parse(struct span line, struct blacklist_entry *entry, struct buf *problem);

/* An IPv4 address (leading zeros decimal), IPv6 address, network or range. False: *problem says why. */
MUST_USE bool blacklist_addresses_parse(struct span text, struct ip_address *first, struct ip_address *last,
                                        struct buf *problem);

/* The one form in which two entries that mean the same are equal: numbers without zeros in front, ranges that are
 * networks as networks, names in lower case; "!" in front of exceptions. For entries only. */
void blacklist_entry_write(enum blacklist_line kind, const struct blacklist_entry *entry, struct buf *out);

#endif
