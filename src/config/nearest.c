#include "config/nearest.h"

#define NEAREST_NAME_MAX 64
#define BEGINNING_LEAST 4

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t edit_distance(struct span a, struct span b)
{
    if (a.size > NEAREST_NAME_MAX || b.size > NEAREST_NAME_MAX)
        return SIZE_MAX;
    size_t rows[3][NEAREST_NAME_MAX + 1];
    for (size_t j = 0; j <= b.size; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            char x = ascii_lower(a.data[i - 1]), y = ascii_lower(b.data[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (x != y));
            bool swapped = i > 1 && j > 1 && x == ascii_lower(b.data[j - 2]) && y == ascii_lower(a.data[i - 2]);
            if (swapped)
                row[j] = least(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a.size % 3][b.size];
}

void nearest_init(struct nearest *n, struct span wanted)
{
    *n = (struct nearest){.wanted = wanted, .distance = SIZE_MAX};
}

void nearest_offer_as(struct nearest *n, const char *name, const char *called)
{
    size_t distance = edit_distance(n->wanted, span_text(name));
    /* A name that was cut short is as near as one slip: "listen" for "listeners". */
    bool is_beginning = n->wanted.size >= BEGINNING_LEAST && n->wanted.size < strlen(name) &&
                        span_starts_nocase(span_text(name), n->wanted);
    if (is_beginning && distance > 1)
        distance = 1;
    if (distance < n->distance) {
        n->distance = distance;
        n->best = called;
    }
}

void nearest_offer(struct nearest *n, const char *name)
{
    nearest_offer_as(n, name, name);
}

const char *nearest_get(const struct nearest *n)
{
    size_t allowed = n->wanted.size / 3;
    return n->best && n->distance <= (allowed ? allowed : 1) ? n->best : NULL;
}
