/* The text form that travels between our processes: a line "name=value" for each setting. */
#include "config/build.h"

static const char file_key[] = "file";

void settings_write(const struct settings *settings, struct buf *out)
{
    buf_printf(out, "%s=%s\n", file_key, settings->file);
    for (size_t i = 0; i < schema_count; i++) {
        buf_printf(out, "%s=", schema[i].name);
        setting_write(&schema[i], settings, out);
        buf_add_char(out, '\n');
    }
}

static bool parse_line(struct settings *settings, struct span line, struct buf *problem)
{
    struct span value = line;
    struct span name = span_cut(&value, '=');
    if (name.size == line.size) {
        buf_printf(problem, "'%.*s' is not of the form name=value", SPAN_ARG(span_head(line, 80)));
        return false;
    }
    if (span_is(name, file_key)) {
        settings->file = arena_text(settings_memory(settings), value);
        return settings->file != NULL;
    }
    const struct setting *setting = schema_find(name);
    if (!setting) {
        const char *near = schema_nearest(name);
        buf_printf(problem, "unknown key '%.*s'", SPAN_ARG(span_head(name, 80)));
        if (near)
            buf_printf(problem, "; did you mean '%s'?", near);
        return false;
    }
    if (setting_parse(setting, value, settings, settings_memory(settings)))
        return true;
    buf_printf(problem, "%s: expected ", setting->name);
    setting_write_expected(setting, problem);
    buf_printf(problem, ", found '%.*s'", SPAN_ARG(span_head(value, 80)));
    return false;
}

struct settings *settings_parse(struct span text, struct buf *problem)
{
    struct settings *settings = settings_new();
    if (!settings) {
        buf_add_text(problem, "out of memory");
        return NULL;
    }
    while (text.size) {
        struct span line = span_cut(&text, '\n');
        if (line.size && !parse_line(settings, line, problem)) {
            settings_unref(settings);
            return NULL;
        }
    }
    struct setting_fault fault;
    if (!settings_finish(settings, &fault, problem)) {
        settings_unref(settings);
        return NULL;
    }
    return settings;
}
