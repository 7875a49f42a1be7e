/* What the parsers and writers of settings share among themselves. No function waits. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/schema.h"

#define DOMAIN_MAX 253
#define WORD_MAX 1024

/* One parser and one writer for each type; `place` is the field. */
struct value_type {
    bool (*parse)(const struct setting *setting, struct span text, void *place, struct arena *memory);
    void (*write)(const struct setting *setting, const void *place, struct buf *out);
    void (*write_lua)(const struct setting *setting, const void *place, struct buf *out);
};

bool value_parse_networks(const struct setting *setting, struct span text, void *place, struct arena *memory);
void value_write_networks(const struct setting *setting, const void *place, struct buf *out);
void value_write_networks_lua(const struct setting *setting, const void *place, struct buf *out);
bool value_parse_words(const struct setting *setting, struct span text, void *place, struct arena *memory);
void value_write_words(const struct setting *setting, const void *place, struct buf *out);
void value_write_words_lua(const struct setting *setting, const void *place, struct buf *out);
bool value_parse_records(const struct setting *setting, struct span text, void *place, struct arena *memory);
void value_write_records(const struct setting *setting, const void *place, struct buf *out);
void value_write_records_lua(const struct setting *setting, const void *place, struct buf *out);

/* No control characters. */
bool value_is_printable(struct span text);
/* RFC 952, RFC 1123 section 2.1, with a dot, no address. */
bool value_is_domain(struct span text);
/* With the quotes that Lua wants. */
void value_write_quoted(struct span text, struct buf *out);

#endif
