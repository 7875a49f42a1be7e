/* config check, config explain, config print */
#include "ctl/commands.h"

#include "config/schema.h"
#include "ctl/config_look.h"
#include "ctl/json.h"

#include <sysexits.h>

#define NOTES_MAX 8192

static void write_check_json(struct ctl *ctl, bool good, struct span notes)
{
    struct json json;
    json_init(&json, &ctl->out);
    json_object(&json, NULL);
    json_text(&json, "file", span_text(ctl->config_path));
    json_bool(&json, "good", good);
    if (!good)
        json_text(&json, "problem", buf_span(&ctl->problem));
    json_list(&json, "notes");
    while (notes.size)
        json_text(&json, NULL, span_cut(&notes, '\n'));
    json_end_list(&json);
    json_end_object(&json);
    buf_reset(&ctl->problem);
}

int ctl_config_check(struct ctl *ctl)
{
    struct settings *settings = ctl_read_settings(ctl);
    struct buf notes;
    buf_init(&notes, NOTES_MAX);
    int status = settings ? config_look(ctl, settings, &notes) : EX_CONFIG;
    if (status == EX_OK)
        status = config_look_at_script(ctl, settings);
    struct span rest = buf_span(&notes);
    if (ctl->json) {
        write_check_json(ctl, status == EX_OK, rest);
    } else if (status == EX_OK) {
        buf_printf(&ctl->out, "%s is good\n", ctl->config_path);
        while (rest.size) {
            struct span note = span_cut(&rest, '\n');
            buf_printf(&ctl->out, "note: %.*s\n", SPAN_ARG(note));
        }
    }
    buf_release(&notes);
    settings_unref(settings);
    return status;
}

static void explain_as_json(struct json *json, const struct setting *row)
{
    struct buf text;
    buf_init(&text, 4096);
    json_object(json, NULL);
    json_text(json, "name", span_text(row->name));
    setting_write_expected(row, &text);
    json_text(json, "expected", buf_span(&text));
    buf_reset(&text);
    setting_write_fallback(row, &text);
    json_text(json, "default", buf_span(&text));
    json_text(json, "explanation", span_text(row->explanation));
    json_end_object(json);
    buf_release(&text);
}

static void explain(struct buf *out, const struct setting *row)
{
    buf_printf(out, "%s\n    %s\n    Expected: ", row->name, row->explanation);
    setting_write_expected(row, out);
    buf_add_text(out, "\n    Default: ");
    setting_write_fallback(row, out);
    buf_add_text(out, "\n\n");
}

/* KEY is a setting or a section. */
static bool is_asked_for(const struct setting *row, const char *key)
{
    size_t section = setting_section_size(row);
    return !key || strcmp(row->name, key) == 0 ||
           (section && strlen(key) == section - 1 && strncmp(row->name, key, section - 1) == 0);
}

int ctl_config_explain(struct ctl *ctl)
{
    const char *key = ctl->argument_count ? ctl->arguments[0] : NULL;
    struct json json;
    json_init(&json, &ctl->out);
    if (ctl->json)
        json_list(&json, NULL);
    size_t found = 0;
    for (size_t i = 0; i < schema_count; i++) {
        if (!is_asked_for(&schema[i], key))
            continue;
        found++;
        if (ctl->json)
            explain_as_json(&json, &schema[i]);
        else
            explain(&ctl->out, &schema[i]);
    }
    if (found) {
        if (ctl->json)
            json_end_list(&json);
        return EX_OK;
    }
    buf_reset(&ctl->out);
    const char *near = schema_nearest(span_text(key));
    if (near)
        return ctl_fail(ctl, EX_DATAERR, "there is no setting '%.80s'; did you mean '%s'?", key, near);
    return ctl_fail(ctl, EX_DATAERR, "there is no setting '%.80s'; 'ostiary config explain' lists all", key);
}

static void print_value(struct json *json, const struct setting *row, struct span value);

static void print_records(struct json *json, const struct setting *row, struct span records)
{
    json_list(json, row->name);
    while (records.size) {
        struct span record = span_cut(&records, ';');
        json_object(json, NULL);
        for (size_t i = 0; i < row->records->field_count; i++)
            print_value(json, &row->records->fields[i], span_cut(&record, ' '));
        json_end_object(json);
    }
    json_end_list(json);
}

static void print_value(struct json *json, const struct setting *row, struct span value)
{
    uint64_t number;
    switch (row->type) {
    case SETTING_COUNT:
    case SETTING_SIZE:
    case SETTING_DURATION:
        if (span_parse_u64(value, UINT64_MAX, &number))
            json_number(json, row->name, number);
        else
            json_text(json, row->name, value);
        break;
    case SETTING_BOOL:
        json_bool(json, row->name, span_is(value, "true"));
        break;
    case SETTING_NETWORKS:
    case SETTING_WORDS:
        json_list(json, row->name);
        while (value.size)
            json_text(json, NULL, span_cut(&value, ','));
        json_end_list(json);
        break;
    case SETTING_RECORDS:
        print_records(json, row, value);
        break;
    default:
        json_text(json, row->name, value);
    }
}

static void print_as_json(struct ctl *ctl, const struct settings *settings)
{
    struct json json;
    struct buf text;
    buf_init(&text, 1 << 20);
    json_init(&json, &ctl->out);
    json_object(&json, NULL);
    for (size_t i = 0; i < schema_count; i++) {
        buf_reset(&text);
        setting_write(&schema[i], settings, &text);
        print_value(&json, &schema[i], buf_span(&text));
    }
    json_end_object(&json);
    buf_release(&text);
}

int ctl_config_print(struct ctl *ctl)
{
    struct settings *settings = ctl_read_settings(ctl);
    if (!settings)
        return EX_CONFIG;
    if (ctl->json)
        print_as_json(ctl, settings);
    for (size_t i = 0; !ctl->json && i < schema_count; i++) {
        buf_printf(&ctl->out, "%s = ", schema[i].name);
        setting_write_lua(&schema[i], settings, &ctl->out);
        buf_add_char(&ctl->out, '\n');
    }
    settings_unref(settings);
    return EX_OK;
}
