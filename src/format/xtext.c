#include "format/xtext.h"

static bool is_plain(char c)
{
    return c >= '!' && c <= '~' && c != '+' && c != '=';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void xtext_write(struct span bytes, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        if (is_plain(bytes.data[i])) {
            buf_add_char(out, bytes.data[i]);
        } else {
            char encoded[3] = {'+', digits[c >> 4], digits[c & 15]};
            buf_add(out, encoded, sizeof(encoded));
        }
    }
}

/* The encoded character at text[i], or -1. */
static int encoded_value(struct span text, size_t i)
{
    if (text.size - i < 3)
        return -1;
    int high = hex_value(text.data[i + 1]);
    int low = hex_value(text.data[i + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

bool xtext_is_valid(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (is_plain(text.data[i]))
            continue;
        if (text.data[i] != '+' || encoded_value(text, i) < 0)
            return false;
        i += 2;
    }
    return true;
}

bool xtext_parse(struct span text, struct arena *arena, struct span *bytes)
{
    char *decoded;
    size_t size = 0;

    if (!xtext_is_valid(text))
        return false;
    if (span_find(text, '+') == text.size) {
        *bytes = text;
        return true;
    }
    decoded = arena_alloc(arena, text.size);
    if (!decoded)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '+') {
            decoded[size++] = (char)encoded_value(text, i);
            i += 2;
        } else {
            decoded[size++] = text.data[i];
        }
    }
    *bytes = span_from(decoded, size);
    return true;
}
