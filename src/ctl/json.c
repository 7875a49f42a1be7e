#include "ctl/json.h"

#include "format/utf8.h"

#include <stdlib.h>

void json_init(struct json *j, struct buf *out)
{
    *j = (struct json){.out = out};
}

static void write_text(struct json *j, struct span text)
{
    buf_add_char(j->out, '"');
    for (size_t i = 0; i < text.size;) {
        unsigned char c = (unsigned char)text.data[i];
        size_t size = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (c < ' ' || c == 127)
            buf_printf(j->out, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            buf_printf(j->out, "\\%c", c);
        else if (c == 0xc2 && i + 1 < text.size && ((unsigned char)text.data[i + 1] & 0xe0) == 0x80)
            buf_printf(j->out, "\\u%04x", (unsigned char)text.data[i + 1]); /* drives a terminal */
        else if (size <= text.size - i && utf8_is_valid(span_from(text.data + i, size)))
            buf_add(j->out, text.data + i, size);
        else {
            buf_add_text(j->out, "\\ufffd");
            size = 1;
        }
        i += size;
    }
    buf_add_char(j->out, '"');
}

static void begin_value(struct json *j, const char *key)
{
    if (j->has_item[j->depth])
        buf_add_text(j->out, j->is_one_line ? ", " : ",");
    j->has_item[j->depth] = true;
    if (j->depth && !j->is_one_line)
        buf_printf(j->out, "\n%*s", (int)(2 * j->depth), "");
    if (key) {
        write_text(j, span_text(key));
        buf_add_text(j->out, ": ");
    }
}

static void open_value(struct json *j, const char *key, char bracket)
{
    begin_value(j, key);
    buf_add_char(j->out, bracket);
    if (++j->depth >= sizeof j->has_item / sizeof *j->has_item)
        abort();
    j->has_item[j->depth] = false;
}

static void close_value(struct json *j, char bracket)
{
    bool had_item = j->has_item[j->depth];
    j->depth--;
    if (had_item && !j->is_one_line)
        buf_printf(j->out, "\n%*s", (int)(2 * j->depth), "");
    buf_add_char(j->out, bracket);
    if (j->depth == 0)
        buf_add_char(j->out, '\n');
}

void json_object(struct json *j, const char *key)
{
    open_value(j, key, '{');
}

void json_list(struct json *j, const char *key)
{
    open_value(j, key, '[');
}

void json_end_object(struct json *j)
{
    close_value(j, '}');
}

void json_end_list(struct json *j)
{
    close_value(j, ']');
}

void json_text(struct json *j, const char *key, struct span text)
{
    begin_value(j, key);
    write_text(j, text);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
    begin_value(j, key);
    buf_add_u64(j->out, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    begin_value(j, key);
    buf_add_text(j->out, value ? "true" : "false");
}

void json_write_counts(struct buf *out, const struct json_count *counts)
{
    struct json json;
    json_init(&json, out);
    json_object(&json, NULL);
    for (; counts->key; counts++)
        json_number(&json, counts->key, counts->value);
    json_end_object(&json);
}
