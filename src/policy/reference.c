#include "policy/decide.h"

#define REFERENCE_DIGITS 8
#define REFERENCE_BITS 40

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* Crockford's: no I, L, O, U */

void reference_write(uint64_t reference, char out[10])
{
    size_t at = 0;
    for (unsigned i = 0; i < REFERENCE_DIGITS; i++) {
        if (i == REFERENCE_DIGITS / 2)
            out[at++] = '-';
        out[at++] = digits[(reference >> (REFERENCE_BITS - 5 * (i + 1))) & 31];
    }
    out[at] = '\0';
}

static bool digit_parse(char c, uint64_t *digit)
{
    char lower = ascii_lower(c);
    if (lower == 'o')
        lower = '0';
    if (lower == 'i' || lower == 'l')
        lower = '1';
    for (unsigned i = 0; digits[i]; i++) {
        if (ascii_lower(digits[i]) == lower) {
            *digit = i;
            return true;
        }
    }
    return false;
}

bool reference_parse(struct span text, uint64_t *reference)
{
    uint64_t value = 0, digit;
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '-' && i == REFERENCE_DIGITS / 2 && text.size == REFERENCE_DIGITS + 1)
            continue;
        if (count == REFERENCE_DIGITS || !digit_parse(text.data[i], &digit))
            return false;
        value = value << 5 | digit;
        count++;
    }
    if (count != REFERENCE_DIGITS)
        return false;
    *reference = value;
    return true;
}
