#include "policy/pattern.h"

bool pattern_matches(struct span pattern, struct span text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.size &&
                   (pattern.data[p] == '?' || ascii_lower(pattern.data[p]) == ascii_lower(text.data[t]))) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            /* Only the last star is tried again: what stood before it has matched as early as it can. */
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

struct span words_next(struct span *rest)
{
    struct span word = {NULL, 0};
    while (rest->size && word.size == 0)
        word = span_cut(rest, ' ');
    return word;
}

bool words_have(struct span words, struct span word)
{
    for (struct span next = words_next(&words); next.size; next = words_next(&words))
        if (span_equal_nocase(next, word))
            return true;
    return false;
}

struct span words_match(struct span words, struct span text)
{
    struct span next = words_next(&words);
    while (next.size && !pattern_matches(next, text))
        next = words_next(&words);
    return next;
}
