/* What WHOIS servers send, made fit to be shown and searched. */
#include "format/utf8.h"
#include "format/whois.h"

static size_t sequence_size(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* C1 controls, and what turns a line around or hides in it (U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F,
 * U+FEFF). */
static bool is_hidden(struct span sequence)
{
    const unsigned char *b = (const unsigned char *)sequence.data;
    if (sequence.size == 2)
        return b[0] == 0xc2 && b[1] < 0xa0;
    if (sequence.size != 3)
        return false;
    return (b[0] == 0xe2 && ((b[1] == 0x80 && ((b[2] >= 0x8b && b[2] <= 0x8f) || (b[2] >= 0xa8 && b[2] <= 0xae))) ||
                             (b[1] == 0x81 && b[2] >= 0xa0 && b[2] <= 0xaf))) ||
           (b[0] == 0xef && b[1] == 0xbb && b[2] == 0xbf);
}

/* One character of the input as `out`; how many bytes of the input it was. */
static size_t clean_one(struct span rest, char out[4], size_t *size)
{
    unsigned char first = (unsigned char)rest.data[0];
    size_t taken = sequence_size(first);
    *size = 1;
    out[0] = '?';
    if (first == '\n' || first == '\t' || (first >= ' ' && first < 127)) {
        out[0] = (char)first;
        return 1;
    }
    if (first < 0x80)
        return 1;
    if (taken <= rest.size && utf8_is_valid(span_head(rest, taken))) {
        if (!is_hidden(span_head(rest, taken))) {
            memcpy(out, rest.data, taken);
            *size = taken;
        }
        return taken;
    }
    if (first >= 0xa0) { /* Latin-1 */
        out[0] = (char)(0xc0 | first >> 6);
        out[1] = (char)(0x80 | (first & 0x3f));
        *size = 2;
    }
    return 1;
}

void whois_clean(struct span raw, size_t room, struct buf *out)
{
    size_t start = out->size, size;
    while (raw.size) {
        char character[4];
        if (raw.data[0] == '\r' && (raw.size == 1 || raw.data[1] == '\n' || raw.data[1] == '\r')) {
            raw = span_skip(raw, 1);
            continue;
        }
        size_t taken = clean_one(raw, character, &size);
        if (out->size - start + size > room)
            return;
        buf_add(out, character, size);
        raw = span_skip(raw, taken);
    }
}
