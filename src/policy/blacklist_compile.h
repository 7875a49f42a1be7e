/* Builds the flat form of a black list (policy/blacklist.h) from entries. Overlapping ranges are made disjoint: an
 * exception wins over every listing, else the entry that was added first. Nothing here waits or reads files. */
#ifndef POLICY_BLACKLIST_COMPILE_H
#define POLICY_BLACKLIST_COMPILE_H

#include "policy/blacklist_text.h"

#define BLACKLIST_ENTRIES_MAX 4000000u
#define BLACKLIST_FILES_MAX 1000u
/* Of an entry's reason; longer ones are cut. */
#define BLACKLIST_REASON_MAX 200
/* Bytes of a compiled list. */
#define BLACKLIST_BLOB_MAX (512u << 20)

struct blacklist_builder {
    struct buf entries, ranges, names, files, text; /* arrays of what blacklist_compile.c says */
    struct blob_reason_seen {
        uint32_t offset, size;
    } last_reason; /* lists repeat them line after line */
};

void blacklist_builder_init(struct blacklist_builder *b);
void blacklist_builder_release(struct blacklist_builder *b);

/* A file that entries stand in: its number, or -ENOSPC, -ENOMEM. */
MUST_USE int blacklist_add_file(struct blacklist_builder *b, struct span path);
/* An entry of a file (by its number) and line. `kind` is ADDRESSES or NAME. 0, -ENOSPC past BLACKLIST_ENTRIES_MAX, or
 * -ENOMEM; the builder is then only good for release. */
MUST_USE int blacklist_add(struct blacklist_builder *b, enum blacklist_line kind, const struct blacklist_entry *entry,
                           unsigned file, uint32_t line);
/* Appends the blob to `out` (its limit at least BLACKLIST_BLOB_MAX for lists of any size). *dropped: patterns that are
 * left out because too many others share their tail. 0, -EFBIG or -ENOMEM. */
MUST_USE int blacklist_compile(struct blacklist_builder *b, struct buf *out, size_t *dropped);

size_t blacklist_entry_count(const struct blacklist_builder *b);

#endif
