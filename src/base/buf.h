/* A buffer: bytes being built, owned, growing up to a limit.
 *
 * The error is sticky: once an append would pass the limit or memory runs out, `failed` is set, the append and all
 * later ones do nothing, and the caller looks once, at the end, with buf_failed(). What was appended before stays.
 * No function here waits.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/span.h"

#include <stdarg.h>

struct buf {
    char *data; /* NULL while nothing was appended */
    size_t size;
    size_t room;
    size_t limit; /* never more bytes than this */
    bool failed;
};

/* Without memory yet. `limit` in bytes; the cap on what a peer can make it grow to. */
void buf_init(struct buf *b, size_t limit);
/* Frees the memory; the buf is then as after buf_init. NULL-safe in its data. */
void buf_release(struct buf *b);
/* Empties it, keeps the memory, clears `failed`. */
void buf_reset(struct buf *b);

/* Makes room for n more bytes at data+size and returns that place, or NULL (and sets failed). The caller that writes
 * there adds to `size` itself. */
char *buf_reserve(struct buf *b, size_t n);

void buf_add(struct buf *b, const void *data, size_t size);
void buf_add_span(struct buf *b, struct span s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_add_u64(struct buf *b, uint64_t value); /* decimal */
/* While it prints it takes a byte more than the text has. */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Drops the first n bytes. */
void buf_drop(struct buf *b, size_t n);
/* Cuts it down to n bytes (n <= size). */
void buf_truncate(struct buf *b, size_t n);

static inline struct span buf_span(const struct buf *b)
{
    return (struct span){b->data, b->size};
}

MUST_USE static inline bool buf_failed(const struct buf *b)
{
    return b->failed;
}

#endif
