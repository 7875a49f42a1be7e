/* The bytes inside a volume's records: little-endian numbers and counted strings, written to a buf and read back
 * through a cursor with a sticky error: read on, and ask once at the end. No function here waits. */
#ifndef STORE_WIRE_H
#define STORE_WIRE_H

#include "base/buf.h"

struct wire {
    struct span rest;
    bool failed; /* something was missing or too long; every value since is zero or empty */
};

static inline void wire_put_number(char *place, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        place[i] = (char)(value >> (8 * i) & 0xff);
}

static inline uint64_t wire_get_number(const char *place, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)(unsigned char)place[i] << (8 * i);
    return value;
}

static inline void wire_write(struct buf *out, uint64_t value, unsigned size)
{
    char *place = buf_reserve(out, size);
    if (!place)
        return;
    wire_put_number(place, value, size);
    out->size += size;
}

static inline void wire_write_u32(struct buf *out, uint32_t value)
{
    wire_write(out, value, 4);
}

static inline void wire_write_u64(struct buf *out, uint64_t value)
{
    wire_write(out, value, 8);
}

static inline void wire_write_bytes(struct buf *out, struct span bytes)
{
    wire_write(out, bytes.size, 4);
    buf_add_span(out, bytes);
}

static inline uint64_t wire_read(struct wire *w, unsigned size)
{
    if (w->failed || w->rest.size < size) {
        w->failed = true;
        return 0;
    }
    uint64_t value = wire_get_number(w->rest.data, size);
    w->rest = span_skip(w->rest, size);
    return value;
}

static inline uint32_t wire_read_u32(struct wire *w)
{
    return (uint32_t)wire_read(w, 4);
}

static inline uint64_t wire_read_u64(struct wire *w)
{
    return wire_read(w, 8);
}

static inline struct span wire_read_bytes(struct wire *w)
{
    size_t size = wire_read_u32(w);
    if (w->failed || w->rest.size < size) {
        w->failed = true;
        return (struct span){NULL, 0};
    }
    struct span bytes = span_head(w->rest, size);
    w->rest = span_skip(w->rest, size);
    return bytes;
}

/* All was there, and nothing more. */
static inline bool wire_is_done(const struct wire *w)
{
    return !w->failed && w->rest.size == 0;
}

/* How many elements of at least `least` bytes each follow; a number that the rest can't hold is an error. */
static inline uint32_t wire_read_count(struct wire *w, size_t least)
{
    uint32_t count = wire_read_u32(w);
    if (count > w->rest.size / least) {
        w->failed = true;
        return 0;
    }
    return count;
}

#endif
