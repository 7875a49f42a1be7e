#include "format/csv.h"

void csv_init(struct csv *csv, struct span text)
{
    static const struct span mark = SPAN("\xef\xbb\xbf");
    *csv = (struct csv){.rest = span_equal(span_head(text, mark.size), mark) ? span_skip(text, mark.size) : text,
                        .line = 1};
}

static bool is_line_end(struct span s)
{
    return s.size == 0 || s.data[0] == '\n' || (s.data[0] == '\r' && s.size > 1 && s.data[1] == '\n');
}

/* Behind the line end at which s begins. */
static struct span skip_line_end(struct span s)
{
    return span_skip(s, s.size && s.data[0] == '\r' ? 2 : 1);
}

static struct span take_plain(struct span *rest)
{
    size_t size = 0;
    while (size < rest->size && rest->data[size] != ',' && !is_line_end(span_skip(*rest, size)))
        size++;
    struct span field = span_head(*rest, size);
    *rest = span_skip(*rest, size);
    return field;
}

/* The text between the quotes, doubled ones made single. */
static const char *take_quoted(struct span *rest, struct arena *arena, size_t limit, struct span *field, size_t *lines)
{
    size_t end = 1, doubled = 0;
    for (;; end++) {
        if (end >= rest->size || end > limit)
            return "a quote that opens a field and is never closed";
        *lines += rest->data[end] == '\n';
        if (rest->data[end] != '"')
            continue;
        if (end + 1 >= rest->size || rest->data[end + 1] != '"')
            break;
        doubled++;
        end++;
    }
    struct span inside = span_from(rest->data + 1, end - 1);
    *rest = span_skip(*rest, end + 1);
    *field = inside;
    if (rest->size && rest->data[0] != ',' && !is_line_end(*rest))
        return "text between a closing quote and the next comma";
    if (doubled == 0)
        return NULL;
    char *text = arena_alloc(arena, inside.size);
    if (!text)
        return "too long";
    size_t size = 0;
    for (size_t i = 0; i < inside.size; i++) {
        text[size++] = inside.data[i];
        i += inside.data[i] == '"';
    }
    *field = span_from(text, size);
    return NULL;
}

static const char *take_fields(struct span *rest, struct arena *arena, struct csv_record *record, size_t *lines)
{
    size_t whole = rest->size;
    for (;;) {
        if (record->count == CSV_FIELDS_MAX)
            return "too many fields";
        struct span *field = &record->fields[record->count++];
        const char *problem = NULL;
        if (rest->size && rest->data[0] == '"')
            problem = take_quoted(rest, arena, CSV_RECORD_MAX, field, lines);
        else
            *field = take_plain(rest);
        if (!problem && whole - rest->size > CSV_RECORD_MAX)
            problem = "too long";
        if (problem)
            return problem;
        if (is_line_end(*rest))
            return NULL;
        *rest = span_skip(*rest, 1); /* its comma */
    }
}

bool csv_next(struct csv *csv, struct arena *arena, struct csv_record *record)
{
    while (csv->rest.size && is_line_end(csv->rest)) {
        csv->rest = skip_line_end(csv->rest);
        csv->line++;
    }
    record->line = csv->line;
    record->count = 0;
    record->problem = NULL;
    if (csv->rest.size == 0)
        return false;
    struct span rest = csv->rest;
    size_t lines = 0;
    record->problem = take_fields(&rest, arena, record, &lines);
    if (record->problem) {
        record->count = 0;
        lines = 0;
        rest = span_skip(csv->rest, span_find(csv->rest, '\n'));
    }
    csv->rest = rest.size ? skip_line_end(rest) : rest;
    csv->line += lines + 1;
    return true;
}
