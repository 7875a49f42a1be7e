/* Writes JSON (RFC 8259) into a buf: for --json. The caller says where values begin and end; commas are put in by
 * themselves. Depth is at most 15. */
#ifndef CTL_JSON_H
#define CTL_JSON_H

#include "base/buf.h"

struct json {
    struct buf *out;
    bool is_one_line; /* set it after json_init(): no line ends inside, for streams of values */
    unsigned depth;
    bool has_item[16];
};

void json_init(struct json *j, struct buf *out);
/* A value begins: `key` is NULL in lists and at the top. */
void json_object(struct json *j, const char *key);
void json_list(struct json *j, const char *key);
void json_end_object(struct json *j);
void json_end_list(struct json *j);
/* Bytes that are not UTF-8 become U+FFFD. */
void json_text(struct json *j, const char *key, struct span text);
void json_number(struct json *j, const char *key, uint64_t value);
void json_bool(struct json *j, const char *key, bool value);

struct json_count {
    const char *key;
    uint64_t value;
};
/* A whole document: one object of these, which a NULL key ends. */
void json_write_counts(struct buf *out, const struct json_count *counts);

#endif
