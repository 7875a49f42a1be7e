#include "base/span.h"

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i]))
            return false;
    return true;
}

bool span_starts_nocase(struct span s, struct span prefix)
{
    return s.size >= prefix.size && span_equal_nocase(span_head(s, prefix.size), prefix);
}

bool span_ends_nocase(struct span s, struct span suffix)
{
    return s.size >= suffix.size && span_equal_nocase(span_skip(s, s.size - suffix.size), suffix);
}

size_t span_find(struct span s, char c)
{
    const char *at = s.size ? memchr(s.data, c, s.size) : NULL;
    return at ? (size_t)(at - s.data) : s.size;
}

size_t span_find_last(struct span s, char c)
{
    const char *at = s.size ? memrchr(s.data, c, s.size) : NULL;
    return at ? (size_t)(at - s.data) : s.size;
}

struct span span_cut(struct span *rest, char separator)
{
    size_t at = span_find(*rest, separator);
    struct span before = span_head(*rest, at);
    *rest = span_skip(*rest, at + 1);
    return before;
}

struct span span_trim(struct span s)
{
    while (s.size && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = span_skip(s, 1);
    while (s.size && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t'))
        s.size--;
    return s;
}

bool span_parse_u64(struct span s, uint64_t max, uint64_t *value)
{
    uint64_t n = 0;
    if (s.size == 0)
        return false;
    for (size_t i = 0; i < s.size; i++) {
        unsigned digit = (unsigned)(unsigned char)s.data[i] - '0';
        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (n > max)
        return false;
    *value = n;
    return true;
}

bool span_equal_secret(struct span a, struct span b)
{
    unsigned char difference = a.size != b.size;
    size_t n = a.size < b.size ? a.size : b.size;
    for (size_t i = 0; i < n; i++)
        difference |= (unsigned char)(a.data[i] ^ b.data[i]);
    /* Keeps the compiler from leaving the loop early. */
    __asm__ volatile("" : "+r"(difference));
    return difference == 0;
}
