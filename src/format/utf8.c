#include "format/utf8.h"

#define HIGH_BITS 0x8080808080808080ull

/* The length of the ASCII prefix, rounded down to what is cheap to know. */
static size_t ascii_prefix(struct span s)
{
    size_t i = 0;
    uint64_t words[4];

    for (; i + sizeof(words) <= s.size; i += sizeof(words)) {
        memcpy(words, s.data + i, sizeof(words));
        if ((words[0] | words[1] | words[2] | words[3]) & HIGH_BITS)
            return i;
    }
    return i;
}

bool utf8_is_ascii(struct span s)
{
    for (size_t i = ascii_prefix(s); i < s.size; i++)
        if ((unsigned char)s.data[i] > 127)
            return false;
    return true;
}

/* RFC 3629 section 4: the second byte's range closes out overlong forms, surrogates and what is above U+10FFFF. */
static bool begin_character(struct utf8_check *check, unsigned char c)
{
    check->low = 0x80;
    check->high = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        check->missing = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        check->missing = 2;
        if (c == 0xe0)
            check->low = 0xa0;
        else if (c == 0xed)
            check->high = 0x9f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        check->missing = 3;
        if (c == 0xf0)
            check->low = 0x90;
        else if (c == 0xf4)
            check->high = 0x8f;
    } else {
        return false;
    }
    return true;
}

bool utf8_check_feed(struct utf8_check *check, struct span piece)
{
    size_t i = check->missing ? 0 : ascii_prefix(piece);

    for (; i < piece.size; i++) {
        unsigned char c = (unsigned char)piece.data[i];
        if (check->missing) {
            if (c < check->low || c > check->high)
                return false;
            check->low = 0x80;
            check->high = 0xbf;
            check->missing--;
        } else if (c > 127 && !begin_character(check, c)) {
            return false;
        }
    }
    return true;
}

bool utf8_is_valid(struct span s)
{
    struct utf8_check check = {0};

    return utf8_check_feed(&check, s) && utf8_check_is_complete(&check);
}
