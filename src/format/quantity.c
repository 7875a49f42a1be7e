#include "format/quantity.h"

struct unit {
    char letter;
    uint64_t factor;
};

/* Rising, so that the largest that divides a number is the last. */
static const struct unit units[][5] = {
    [QUANTITY_NUMBER] = {{0, 1}},
    [QUANTITY_SIZE] = {{'K', 1ull << 10}, {'M', 1ull << 20}, {'G', 1ull << 30}, {'T', 1ull << 40}, {0, 1}},
    [QUANTITY_DURATION] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {0, 1}},
};

bool quantity_parse(enum quantity_kind kind, struct span text, uint64_t least, uint64_t most, uint64_t *value)
{
    uint64_t factor = 1, number;
    for (const struct unit *u = units[kind]; u->letter && text.size; u++) {
        if (ascii_lower(text.data[text.size - 1]) == ascii_lower(u->letter)) {
            factor = u->factor;
            text = span_head(text, text.size - 1);
            break;
        }
    }
    if (!span_parse_u64(text, most / factor, &number) || number * factor < least)
        return false;
    *value = number * factor;
    return true;
}

void quantity_write(enum quantity_kind kind, uint64_t value, struct buf *out)
{
    const struct unit *best = NULL;
    for (const struct unit *u = units[kind]; u->letter; u++)
        if (value && value % u->factor == 0)
            best = u;
    buf_add_u64(out, best ? value / best->factor : value);
    if (best)
        buf_add_char(out, best->letter);
}
