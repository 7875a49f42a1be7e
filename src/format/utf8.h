/* UTF-8 (RFC 3629): is it? No overlong forms, no surrogates, nothing above U+10FFFF. NUL is valid UTF-8; who minds
 * looks for it. */
#ifndef FORMAT_UTF8_H
#define FORMAT_UTF8_H

#include "base/span.h"

MUST_USE bool utf8_is_valid(struct span s);
/* No byte above 127. */
MUST_USE bool utf8_is_ascii(struct span s);

/* The same check over text that comes in pieces. All zeros is the start state and the state between two characters. */
struct utf8_check {
    unsigned char missing;   /* continuation bytes that the current character still needs */
    unsigned char low, high; /* what the next of them may be */
};

/* False from the first wrong byte of this piece; the state is then of no use. */
MUST_USE bool utf8_check_feed(struct utf8_check *check, struct span piece);
/* True between two characters. */
static inline bool utf8_check_is_complete(const struct utf8_check *check)
{
    return check->missing == 0;
}

#endif
