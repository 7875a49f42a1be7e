/* From the many ways of mail to write text to UTF-8: encoded words (RFC 2047) and charsets.
 *
 * What can't be decoded is shown, never an error: an encoded word with broken contents stays as it is; bytes that are
 * not of their charset, or of a charset we don't convert, become U+FFFD. Output ends where the buf's limit ends.
 */
#ifndef FORMAT_ENCODED_WORD_H
#define FORMAT_ENCODED_WORD_H

#include "base/buf.h"

/* Appends `text` (a header value on one line, as from header_text) with its encoded words decoded. The white space
 * between two encoded words disappears (RFC 2047 6.2); a character split over two words of one charset is put together
 * again. The result is valid UTF-8. It may hold control characters and line ends when those were encoded: whoever
 * writes it into a line-based protocol or a log must quote it. */
void encoded_word_decode(struct span text, struct buf *out);

/* Appends `bytes` of the charset named `charset` (an empty name: UTF-8) as valid UTF-8. UTF-8, US-ASCII and
 * ISO-8859-1 are converted here; others by the C library's iconv, if they are on the list of those that mail uses (the
 * rare converters have had memory faults) and the process can load them: in an empty chroot it can't, and each byte
 * above 127 becomes U+FFFD. */
void charset_to_utf8(struct span charset, struct span bytes, struct buf *out);

#endif
