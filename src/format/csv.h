/* Comma-separated values: RFC 4180, as spreadsheets write them. Pure; no function waits.
 *
 * Deliberate readings: lines may end in LF; a byte order mark at the start of the text is passed over; lines without a
 * byte are no records. A quote inside a field that does not begin with one stands for itself, as most programs have it.
 */
#ifndef FORMAT_CSV_H
#define FORMAT_CSV_H

#include "base/arena.h"

#define CSV_FIELDS_MAX 64
#define CSV_RECORD_MAX (64u << 10) /* bytes */

struct csv {
    struct span rest;
    size_t line; /* of what comes next, from 1 */
};

struct csv_record {
    size_t line; /* where it begins */
    struct span fields[CSV_FIELDS_MAX];
    size_t count;
    const char
        *problem; /* NULL, or a short sentence in lower case that says why it can't be read; then without fields */
};

/* Over the whole text, which is borrowed. */
void csv_init(struct csv *csv, struct span text);
/* False at the end. Fields point into the text, or into the arena where quotes had to be undone. After a record with a
 * problem reading goes on at the line behind the one where that record begins. */
MUST_USE bool csv_next(struct csv *csv, struct arena *arena, struct csv_record *record);

#endif
