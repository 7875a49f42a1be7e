#include "format/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void write_group(const unsigned char *bytes, size_t count, char *out)
{
    unsigned group = (unsigned)bytes[0] << 16;

    if (count > 1)
        group |= (unsigned)bytes[1] << 8;
    if (count > 2)
        group |= bytes[2];
    out[0] = alphabet[group >> 18];
    out[1] = alphabet[group >> 12 & 63];
    out[2] = count > 1 ? alphabet[group >> 6 & 63] : '=';
    out[3] = count > 2 ? alphabet[group & 63] : '=';
}

void base64_write(struct span bytes, struct buf *out)
{
    const unsigned char *data = (const unsigned char *)bytes.data;

    for (size_t i = 0; i < bytes.size; i += 3) {
        char *place = buf_reserve(out, 4);
        if (!place)
            return;
        write_group(data + i, bytes.size - i < 3 ? bytes.size - i : 3, place);
        out->size += 4;
    }
}

/* The value of a digit, 64 for what is none. */
static unsigned digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* The bytes in a group of four; 0 when it is no group. Unused bits must be zero, or one password would have many
 * spellings. */
static size_t parse_group(const char *text, bool is_last, unsigned char bytes[3])
{
    size_t digits = 4;
    unsigned group = 0;

    if (is_last && text[3] == '=')
        digits = text[2] == '=' ? 2 : 3;
    for (size_t i = 0; i < 4; i++) {
        unsigned value = i < digits ? digit_value(text[i]) : 0;
        if (value > 63)
            return 0;
        group = group << 6 | value;
    }
    bytes[0] = (unsigned char)(group >> 16);
    bytes[1] = (unsigned char)(group >> 8);
    bytes[2] = (unsigned char)group;
    if ((digits < 4 && bytes[2]) || (digits < 3 && bytes[1]))
        return 0;
    return digits - 1;
}

bool base64_parse(struct span text, struct buf *out)
{
    if (text.size % 4)
        return false;
    for (size_t i = 0; i < text.size; i += 4) {
        unsigned char bytes[3];
        size_t count = parse_group(text.data + i, i + 4 == text.size, bytes);
        if (!count)
            return false;
        buf_add(out, bytes, count);
    }
    return !buf_failed(out);
}
