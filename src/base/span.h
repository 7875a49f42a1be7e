/* A span: bytes that somebody else owns.
 *
 * What is parsed is a span into the input; nothing is copied and nothing is freed. A span stays good for as long
 * as the memory it points into. It is not NUL-terminated and may hold NUL bytes. An empty span may have data NULL.
 * No function here waits or fails.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_USE __attribute__((warn_unused_result))

struct span {
    const char *data;
    size_t size;
};

/* The span of a string literal, usable in a static initialiser. */
#define SPAN(literal)                  \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }
/* For printf's "%.*s". The precision is an int: spans in messages are cut to 4 KiB. */
#define SPAN_ARG(s) (int)((s).size > 4096 ? 4096 : (s).size), ((s).size ? (s).data : "")

static inline struct span span_from(const void *data, size_t size)
{
    return (struct span){(const char *)data, size};
}

/* NULL gives the empty span. */
static inline struct span span_text(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* ASCII letters fold, no others: protocol words, never people's words. */
bool span_equal_nocase(struct span a, struct span b);
bool span_starts_nocase(struct span s, struct span prefix);
bool span_ends_nocase(struct span s, struct span suffix);

static inline bool span_is(struct span s, const char *text)
{
    return span_equal(s, span_text(text));
}

static inline bool span_is_nocase(struct span s, const char *text)
{
    return span_equal_nocase(s, span_text(text));
}

/* s as a NUL-terminated text, cut to what fits in `room`, which is at least 1. */
static inline void span_write_text(struct span s, char *out, size_t room)
{
    size_t size = s.size < room ? s.size : room - 1;
    if (size)
        memcpy(out, s.data, size);
    out[size] = '\0';
}

/* Without the first n bytes (all of them when it has fewer). */
static inline struct span span_skip(struct span s, size_t n)
{
    n = n > s.size ? s.size : n;
    return (struct span){n ? s.data + n : s.data, s.size - n};
}

/* The first n bytes (all when it has fewer). */
static inline struct span span_head(struct span s, size_t n)
{
    return (struct span){s.data, n > s.size ? s.size : n};
}

/* The position of the first (last) such byte, or s.size when there is none. */
size_t span_find(struct span s, char c);
size_t span_find_last(struct span s, char c);

/* Cuts *rest at the first `separator`: returns what stood before it and leaves in *rest what stands behind.
 * Without a separator returns all and leaves *rest empty. */
struct span span_cut(struct span *rest, char separator);

/* Without spaces and tabs at both ends. */
struct span span_trim(struct span s);

/* A decimal number and nothing else, at most `max`. False leaves *value alone. */
MUST_USE bool span_parse_u64(struct span s, uint64_t max, uint64_t *value);

/* Compares in a time that depends on the sizes only: for secrets. */
bool span_equal_secret(struct span a, struct span b);

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

#endif
