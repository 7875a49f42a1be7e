/* Names of the DNS: their wire form (RFC 1035 section 3.1) and their text form. Pure.
 *
 * As wire form only the uncompressed one in lower case is kept; the text form has no last dot. The only characters that
 * names may have here are letters, digits, hyphen and underscore: hosts and lists have no others, and what has some is
 * refused rather than shown to anybody.
 */
#ifndef DNS_NAME_H
#define DNS_NAME_H

#include "base/arena.h"

#define DNS_NAME_MAX 253 /* bytes of text */
#define DNS_WIRE_MAX 255 /* bytes of wire form */

struct dns_wire_name {
    unsigned char data[DNS_WIRE_MAX];
    size_t size; /* the root's empty label at the end included */
};

/* The text form of a name that can be asked for: at least one label, each of 1 to 63 of the characters above. */
bool dns_name_is_valid(struct span text);
/* Reads a name at *at of a message, following compression pointers, which have to point backwards, and moves *at behind
 * it. False when it runs over the end, is too long, or goes round. */
MUST_USE bool dns_name_read(struct span message, size_t *at, struct dns_wire_name *name);
/* The text form in `memory`. False for the root, for other characters, and without memory. */
MUST_USE bool dns_name_text(const struct dns_wire_name *name, struct arena *memory, struct span *text);
/* From the text form. False where dns_name_is_valid is false. */
MUST_USE bool dns_name_parse(struct span text, struct dns_wire_name *name);
bool dns_name_equal(const struct dns_wire_name *a, const struct dns_wire_name *b);

#endif
