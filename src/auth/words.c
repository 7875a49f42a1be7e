#include "auth/words.h"

#include "format/utf8.h"

/* The size of the space other than U+0020 (Unicode's general category Zs) at the head of valid UTF-8, or 0. */
static size_t other_space(struct span s)
{
    static const struct span alone[] = {SPAN("\xc2\xa0"), SPAN("\xe1\x9a\x80"), SPAN("\xe2\x80\xaf"),
                                        SPAN("\xe2\x81\x9f"), SPAN("\xe3\x80\x80")};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
        if (span_equal(span_head(s, alone[i].size), alone[i]))
            return alone[i].size;
    /* U+2000 to U+200A */
    bool quad = s.size >= 3 && memcmp(s.data, "\xe2\x80", 2) == 0 && (s.data[2] & 0x7f) <= 0x0a;
    return quad ? 3 : 0;
}

bool password_parse(struct span given, struct password *out)
{
    out->size = 0;
    out->text[0] = '\0';
    if (!given.data || given.size == 0 || given.size > PASSWORD_MAX || !utf8_is_valid(given) ||
        span_find(given, '\0') != given.size)
        return false;
    size_t size = 0;
    for (size_t at = 0; at < given.size; size++) {
        size_t space = other_space(span_skip(given, at));
        out->text[size] = space ? ' ' : given.data[at];
        at += space ? space : 1;
    }
    out->text[size] = '\0';
    out->size = size;
    return true;
}

void password_wipe(struct password *password)
{
    explicit_bzero(password, sizeof *password);
}

struct span password_span(const struct password *password)
{
    return span_from(password->text, password->size);
}

bool login_parse(struct span given, struct login *out)
{
    out->size = 0;
    out->text[0] = '\0';
    if (given.size == 0 || given.size > LOGIN_MAX || !utf8_is_valid(given))
        return false;
    for (size_t i = 0; i < given.size; i++) {
        unsigned char c = (unsigned char)given.data[i];
        if (c < ' ' || c == 0x7f) {
            out->text[0] = '\0';
            return false;
        }
        out->text[i] = ascii_lower((char)c);
    }
    out->text[given.size] = '\0';
    out->size = given.size;
    return true;
}

struct span login_span(const struct login *login)
{
    return span_from(login->text, login->size);
}
