/* The structure of a message (RFC 2045, 2046; embedded messages RFC 5322, 6532), found in one pass.
 *
 * mime_parse never fails on bad mail: whatever is there has a structure. It takes time linear in the message and memory
 * from the arena only, bounded by the caps below. Strings are spans into the message, or into the arena where a fold or
 * quote was undone; both must outlive the tree.
 *
 * Offsets count bytes from the start of the message. A part's header is [offset, offset + header_size), its empty line
 * included; its body the body_size bytes behind that, without the line end that belongs to the next boundary (nor has a
 * header that one, when a boundary ended it). For IMAP: BODY[n.MIME] is the header of part n; for a message part,
 * BODY[n.HEADER] and BODY[n.TEXT] are header and body of its only child.
 */
#ifndef FORMAT_MIME_H
#define FORMAT_MIME_H

#include "format/address_list.h"
#include "format/content_type.h"

/* Containers inside one another; a deeper one is a leaf of type application/octet-stream. */
#define MIME_DEPTH_MAX 64
/* Parts of a message; later ones are not listed. */
#define MIME_PARTS_MAX 1000
/* A longer boundary (RFC 2046 allows 70) counts as none. */
#define MIME_BOUNDARY_MAX 256

enum mime_kind {
    MIME_LEAF,
    MIME_MULTIPART, /* one child or more */
    MIME_MESSAGE,   /* message/rfc822 or message/global: exactly one child, which has an envelope */
};

/* What the header of a message says: values on one line, not decoded, first of each name; empty when missing. */
struct message_envelope {
    struct span date, subject, message_id, in_reply_to;
    struct address_list from, sender, reply_to;
    struct address_list to, cc, bcc; /* of all such fields together */
};

struct mime_part {
    struct mime_part *parent, *first_child, *next;
    enum mime_kind kind;
    uint64_t offset, header_size, body_size; /* bytes */
    uint64_t lines;                          /* of the body; a last line without line end counts */
    /* Never empty: without a usable field it is text/plain; charset=us-ascii (in a multipart/digest message/rfc822).
     * A multipart without a single part in it is text/plain too, so that its text can be read. */
    struct content_type type;
    struct content_disposition disposition; /* kind is empty when missing */
    struct span encoding;                   /* Content-Transfer-Encoding; empty means 7bit */
    struct span id, description, md5, location;
    struct span language;              /* tags separated by commas */
    struct message_envelope *envelope; /* of the whole message and of a message part's child; else NULL */
};

/* The tree, whose root is the whole message (offset 0, with envelope), in the arena. *truncated (never cleared) is set
 * when a cap or the arena's limit cost parts, levels or addresses. NULL when not even the root could be allocated. */
MUST_USE struct mime_part *mime_parse(struct span message, struct arena *arena, bool *truncated);

/* The next part in the order of their offsets (children before siblings), NULL behind the last. */
struct mime_part *mime_next(const struct mime_part *part);

#endif
