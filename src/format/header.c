#include "format/header.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The bytes of the first line, its line end included. */
static size_t line_size(struct span s, bool *has_end)
{
    const char *end = s.size ? memchr(s.data, '\n', s.size) : NULL;
    *has_end = end != NULL;
    return end ? (size_t)(end - s.data) + 1 : s.size;
}

static struct span without_line_end(struct span line)
{
    if (line.size && line.data[line.size - 1] == '\n') {
        line.size--;
        if (line.size && line.data[line.size - 1] == '\r')
            line.size--;
    }
    return line;
}

/* RFC 5322 3.6.8: printable ASCII but the colon; 4.5.3 allows blanks before the colon. Empty when it is no name. */
static struct span field_name(struct span before_colon)
{
    while (before_colon.size && is_blank(before_colon.data[before_colon.size - 1]))
        before_colon.size--;
    for (size_t i = 0; i < before_colon.size; i++)
        if (before_colon.data[i] < 33 || before_colon.data[i] > 126)
            return (struct span){NULL, 0};
    return before_colon;
}

bool header_next(struct span *rest, struct header_field *field)
{
    bool has_end;
    size_t first = line_size(*rest, &has_end);
    if (first == 0)
        return false;
    if (has_end && (first == 1 || (first == 2 && rest->data[0] == '\r'))) {
        *rest = span_skip(*rest, first);
        return false;
    }
    size_t size = first, lines = has_end;
    while (has_end && size < rest->size && is_blank(rest->data[size])) {
        size += line_size(span_skip(*rest, size), &has_end);
        lines += has_end;
    }
    field->raw = span_head(*rest, size);
    field->lines = lines;
    *rest = span_skip(*rest, size);

    struct span line = span_head(field->raw, first);
    size_t colon = span_find(line, ':');
    field->value = without_line_end(field->raw);
    field->name = (struct span){NULL, 0};
    if (colon < line.size)
        field->name = field_name(span_head(line, colon));
    if (field->name.size)
        field->value = span_skip(field->value, colon + 1);
    return true;
}

bool header_find(struct span header, struct span name, struct header_field *field)
{
    struct header_field next;
    while (header_next(&header, &next))
        if (span_equal_nocase(next.name, name)) {
            *field = next;
            return true;
        }
    return false;
}

/* Writes at most value.size bytes. */
static size_t unfold(struct span value, char *to)
{
    size_t n = 0;
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (c == '\r' || c == '\n' || c == '\0' || (n == 0 && is_blank(c)))
            continue;
        to[n++] = c;
    }
    while (n && is_blank(to[n - 1]))
        n--;
    return n;
}

void header_unfold(struct span value, struct buf *out)
{
    char *to = value.size ? buf_reserve(out, value.size) : NULL;
    if (to)
        out->size += unfold(value, to);
}

struct span header_text(struct span value, struct arena *arena)
{
    value = span_trim(value);
    if (value.size == 0)
        return (struct span){"", 0};
    if (!memchr(value.data, '\n', value.size) && !memchr(value.data, '\r', value.size) &&
        !memchr(value.data, '\0', value.size))
        return value;
    char *to = arena_alloc(arena, value.size);
    return (struct span){to, to ? unfold(value, to) : 0};
}
