#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_ROOM 256

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_release(struct buf *b)
{
    free(b->data);
    buf_init(b, b->limit);
}

void buf_reset(struct buf *b)
{
    b->size = 0;
    b->failed = false;
}

static bool grow(struct buf *b, size_t needed)
{
    size_t room = b->room ? b->room : BUF_FIRST_ROOM;
    while (room < needed)
        room = room > SIZE_MAX / 2 ? needed : room * 2;
    if (room > b->limit)
        room = b->limit;
    char *data = realloc(b->data, room);
    if (!data)
        return false;
    b->data = data;
    b->room = room;
    return true;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->failed)
        return NULL;
    bool fits = n <= b->limit && b->size <= b->limit - n;
    if (!fits || (b->size + n > b->room && !grow(b, b->size + n))) {
        b->failed = true;
        return NULL;
    }
    if (!b->data && !grow(b, 1)) { /* n == 0 on an empty buf: still a valid place */
        b->failed = true;
        return NULL;
    }
    return b->data + b->size;
}

void buf_add(struct buf *b, const void *data, size_t size)
{
    if (size == 0)
        return;
    char *to = buf_reserve(b, size);
    if (!to)
        return;
    memcpy(to, data, size);
    b->size += size;
}

void buf_add_span(struct buf *b, struct span s)
{
    buf_add(b, s.data, s.size);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_add_u64(struct buf *b, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    buf_add(b, digits + at, sizeof digits - at);
}

#define PRINT_FIRST_ROOM 128 /* most prints fit at the first try */

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    /* vsnprintf ends with a NUL that is not counted. */
    size_t room = b->room - b->size;
    if (room < PRINT_FIRST_ROOM && !b->failed && b->limit - b->size >= PRINT_FIRST_ROOM &&
        buf_reserve(b, PRINT_FIRST_ROOM))
        room = b->room - b->size;
    int size = b->failed ? -1 : vsnprintf(room ? b->data + b->size : NULL, room, format, args);
    if (size >= 0 && (size_t)size >= room) {
        char *to = buf_reserve(b, (size_t)size + 1);
        size = to ? vsnprintf(to, (size_t)size + 1, format, again) : -1;
    }
    if (size >= 0)
        b->size += (size_t)size;
    else
        b->failed = true;
    va_end(again);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->size) {
        b->size = 0;
        return;
    }
    memmove(b->data, b->data + n, b->size - n);
    b->size -= n;
}

void buf_truncate(struct buf *b, size_t n)
{
    if (n < b->size)
        b->size = n;
}
