#include "script.h"

#define STEPS_MAX 10000

static struct span without_line_end(struct span line)
{
    return line.size && line.data[line.size - 1] == '\r' ? span_head(line, line.size - 1) : line;
}

static size_t count_lines(struct span text)
{
    size_t n = 0;
    while (text.size) {
        (void)span_cut(&text, '\n');
        n++;
    }
    return n;
}

static struct step parse_step(struct span line, unsigned number)
{
    size_t end = 0;
    while (end < line.size && line.data[end] != ' ' && line.data[end] != ':')
        end++;
    struct step step = {.line = number, .keyword = span_head(line, end)};
    struct span rest = span_skip(line, end);
    if (rest.size && rest.data[0] == ':')
        rest = span_skip(rest, 1);
    step.argument = rest.size && rest.data[0] == ' ' ? span_skip(rest, 1) : rest;
    return step;
}

/* Gathers the "|" lines that *text begins with. */
static bool take_body(struct span *text, unsigned *number, struct arena *arena, struct span *body)
{
    struct buf lines;
    buf_init(&lines, 1u << 20);
    while (text->size && text->data[0] == '|') {
        struct span line = without_line_end(span_cut(text, '\n'));
        line = span_skip(line, line.size > 1 && line.data[1] == ' ' ? 2 : 1);
        buf_add_span(&lines, line);
        buf_add_text(&lines, "\r\n");
        ++*number;
    }
    *body = arena_copy(arena, buf_span(&lines));
    bool good = !buf_failed(&lines) && body->data;
    buf_release(&lines);
    return good;
}

bool script_parse(struct span text, struct arena *arena, struct script *script, struct buf *problem)
{
    size_t room = count_lines(text);
    *script = (struct script){arena_array(arena, room + 1, sizeof(struct step)), 0};
    if (!script->steps || room > STEPS_MAX) {
        buf_printf(problem, "the script is too long");
        return false;
    }
    for (unsigned number = 1; text.size; number++) {
        struct span line = without_line_end(span_cut(&text, '\n'));
        if (!span_trim(line).size || line.data[0] == '#')
            continue;
        if (line.data[0] == '|') {
            buf_printf(problem, "line %u: a '|' line without a step above it", number);
            return false;
        }
        struct step *step = &script->steps[script->count++];
        *step = parse_step(line, number);
        if (!take_body(&text, &number, arena, &step->body)) {
            buf_printf(problem, "line %u: the body is too long", number);
            return false;
        }
    }
    return true;
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `text` begins behind the backslash. The bytes it took, 0 when it is no escape. */
static size_t unescape_one(struct span text, struct buf *out)
{
    static const char names[] = "rnt\\", values[] = "\r\n\t\\";
    const char *at = text.size ? memchr(names, text.data[0], sizeof names - 1) : NULL;
    if (at) {
        buf_add_char(out, values[at - names]);
        return 1;
    }
    if (text.size < 3 || text.data[0] != 'x')
        return 0;
    int high = hex_digit(text.data[1]), low = hex_digit(text.data[2]);
    if (high < 0 || low < 0)
        return 0;
    buf_add_char(out, (char)(high << 4 | low));
    return 3;
}

bool script_unescape(struct span text, struct span (*lookup)(void *context, struct span name), void *context,
                     struct buf *out)
{
    while (text.size) {
        if (text.data[0] == '\\') {
            size_t n = unescape_one(span_skip(text, 1), out);
            if (!n)
                return false;
            text = span_skip(text, n + 1);
        } else if (text.size > 2 && text.data[0] == '$' && text.data[1] == '{') {
            struct span name = span_skip(text, 2);
            size_t end = span_find(name, '}');
            struct span value = lookup(context, span_head(name, end));
            if (end == name.size || !value.data)
                return false;
            buf_add_span(out, value);
            text = span_skip(text, end + 3);
        } else {
            buf_add_char(out, text.data[0]);
            text = span_skip(text, 1);
        }
    }
    return !buf_failed(out);
}
