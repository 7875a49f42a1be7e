/* Accounts in the form of other programs: a table of comma-separated values with a header line, or Dovecot's
 * passwd-file. Pure: text in, rows out. All input is hostile. */
#ifndef CTL_IMPORT_ROWS_H
#define CTL_IMPORT_ROWS_H

#include "base/buf.h"
#include "format/csv.h"
#include "format/passwd_file.h"

enum import_format { IMPORT_CSV, IMPORT_PASSWD_FILE };

enum import_column {
    IMPORT_ADDRESS,
    IMPORT_NAME,
    IMPORT_PASSWORD, /* a plain text, or a hash with its {SCHEME} */
    IMPORT_HASH,     /* a hash, without a {SCHEME} one of crypt(5) */
    IMPORT_QUOTA,
    IMPORT_FORWARD, /* addresses with spaces, commas or semicolons between */
    IMPORT_KEEP,    /* "yes": the mailbox gets a copy of what is forwarded */
    IMPORT_COLUMNS
};

struct import_row {
    size_t line;
    const char *problem; /* NULL, or why the line can't be read: a short sentence in lower case */
    struct span address; /* with or without a domain */
    struct span name;
    struct span password;
    bool is_hash;           /* a password without a {SCHEME} is a hash of crypt(5), not a plain text */
    struct span quota_text; /* as it stands in the table, or empty */
    uint64_t quota;         /* bytes, of a passwd-file */
    bool has_quota;
    struct span forward;
    bool keep;
};

struct import_rows {
    enum import_format format;
    struct csv csv;
    struct span rest;
    size_t line;
    int places[IMPORT_COLUMNS]; /* of the columns in a line, -1: there is none */
};

/* Over the whole text, which is borrowed; reads the header line of a table. False with a sentence in `problem` when no
 * column tells the addresses. Names of columns that are not used are appended to `unused`, with ", " between. */
MUST_USE bool import_rows_begin(struct import_rows *rows, enum import_format format, struct span text,
                                struct arena *arena, struct buf *unused, struct buf *problem);
/* False at the end. Spans point into the text and the arena. */
MUST_USE bool import_rows_next(struct import_rows *rows, struct arena *arena, struct import_row *row);
/* Cuts the next address off a row's `forward`; empty at its end. */
struct span import_forward_next(struct span *forward);

#endif
