/* One parser and one writer for each type of setting. */
#include "config/value.h"

#include "format/ip_address.h"
#include "format/quantity.h"

#include <stdlib.h>

/* ---- Texts ---- */

bool value_is_printable(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127)
            return false;
    return true;
}

static bool keep_text(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    if (text.size < setting->least || text.size > setting->most || !value_is_printable(text))
        return false;
    char *copy = arena_text(memory, text);
    if (!copy)
        return false;
    *(const char **)place = copy;
    return true;
}

static bool parse_text(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    bool known = !setting->choices;
    for (const struct setting_choice *c = setting->choices; c && c->name && !known; c++)
        known = span_is(text, c->name);
    return known && keep_text(setting, text, place, memory);
}

/* RFC 952, RFC 1123 section 2.1: letters, digits and inner hyphens, at most 63 of them between dots. */
static bool is_label(struct span label)
{
    if (label.size == 0 || label.size > 63 || label.data[0] == '-' || label.data[label.size - 1] == '-')
        return false;
    for (size_t i = 0; i < label.size; i++) {
        char c = ascii_lower(label.data[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return true;
}

static bool is_number(struct span text)
{
    size_t digits = 0;
    while (digits < text.size && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    return digits == text.size;
}

bool value_is_domain(struct span text)
{
    size_t dots = 0;
    bool numeric = false;
    for (struct span rest = text; rest.size;) {
        bool last = span_find(rest, '.') == rest.size;
        struct span label = span_cut(&rest, '.');
        if (!is_label(label) || (!last && rest.size == 0))
            return false;
        dots += !last;
        numeric = is_number(label);
    }
    /* A last label of digits would make it an IPv4 address. */
    return dots > 0 && !numeric && text.size <= DOMAIN_MAX;
}

static bool parse_domain(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    return (!text.size || value_is_domain(text)) && keep_text(setting, text, place, memory);
}

static bool parse_path(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    if (text.size && (text.data[0] != '/' || text.size == 1))
        return false;
    return keep_text(setting, text, place, memory);
}

static bool parse_log_target(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    if (span_is(text, "stderr") || span_is(text, "syslog"))
        return keep_text(setting, text, place, memory);
    return parse_path(setting, text, place, memory);
}

static bool parse_user(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool fits = (c >= 'a' && c <= 'z') || c == '_' || (i && ((c >= '0' && c <= '9') || c == '-'));
        if (!fits)
            return false;
    }
    return keep_text(setting, text, place, memory);
}

static bool parse_address(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    struct ip_address address;
    struct buf canonical; /* so that two writings of one address are found to be the same */
    if (text.size == 0 && setting->least == 0)
        return keep_text(setting, text, place, memory);
    if (!ip_address_parse(text, &address))
        return false;
    buf_init(&canonical, IP_ADDRESS_TEXT_MAX);
    ip_address_write(&address, &canonical);
    bool kept = !buf_failed(&canonical) && keep_text(setting, buf_span(&canonical), place, memory);
    buf_release(&canonical);
    return kept;
}

static void write_text(const struct setting *setting, const void *place, struct buf *out)
{
    buf_add_text(out, *(const char *const *)place);
}

void value_write_quoted(struct span text, struct buf *out)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, text.data[i]);
    }
    buf_add_char(out, '"');
}

static void write_text_lua(const struct setting *setting, const void *place, struct buf *out)
{
    value_write_quoted(span_text(*(const char *const *)place), out);
}

/* ---- Numbers ---- */

static void store_number(const struct setting *setting, uint64_t value, void *place)
{
    if (setting->width == sizeof(uint64_t))
        *(uint64_t *)place = value;
    else if (setting->width == sizeof(uint16_t))
        *(uint16_t *)place = (uint16_t)value;
    else
        *(unsigned *)place = (unsigned)value;
}

static uint64_t load_number(const struct setting *setting, const void *place)
{
    if (setting->width == sizeof(uint64_t))
        return *(const uint64_t *)place;
    if (setting->width == sizeof(uint16_t))
        return *(const uint16_t *)place;
    return *(const unsigned *)place;
}

static enum quantity_kind quantity_of(const struct setting *setting)
{
    return setting->type == SETTING_SIZE       ? QUANTITY_SIZE
           : setting->type == SETTING_DURATION ? QUANTITY_DURATION
                                               : QUANTITY_NUMBER;
}

static bool parse_number(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    uint64_t value;
    if (!quantity_parse(quantity_of(setting), text, setting->least, setting->most, &value))
        return false;
    store_number(setting, value, place);
    return true;
}

static void write_number(const struct setting *setting, const void *place, struct buf *out)
{
    buf_add_u64(out, load_number(setting, place));
}

static void write_number_lua(const struct setting *setting, const void *place, struct buf *out)
{
    size_t start = out->size;
    uint64_t value = load_number(setting, place);
    bool quoted = value && setting->type != SETTING_COUNT;
    if (quoted)
        buf_add_char(out, '"');
    quantity_write(quantity_of(setting), value, out);
    if (!quoted || buf_failed(out))
        return;
    char last = out->data[out->size - 1];
    if (last >= '0' && last <= '9') { /* a plain number needs no quotes */
        buf_truncate(out, start);
        buf_add_u64(out, value);
    } else {
        buf_add_char(out, '"');
    }
}

static bool parse_bool(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    bool yes = span_is(text, "true");
    if (!yes && !span_is(text, "false"))
        return false;
    *(bool *)place = yes;
    return true;
}

static void write_bool(const struct setting *setting, const void *place, struct buf *out)
{
    buf_add_text(out, *(const bool *)place ? "true" : "false");
}

static bool parse_choice(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    for (const struct setting_choice *c = setting->choices; c->name; c++) {
        if (span_is(text, c->name)) {
            *(unsigned *)place = c->value;
            return true;
        }
    }
    return false;
}

static const char *choice_name(const struct setting *setting, const void *place)
{
    for (const struct setting_choice *c = setting->choices; c->name; c++)
        if (c->value == *(const unsigned *)place)
            return c->name;
    return "";
}

static void write_choice(const struct setting *setting, const void *place, struct buf *out)
{
    buf_add_text(out, choice_name(setting, place));
}

static void write_choice_lua(const struct setting *setting, const void *place, struct buf *out)
{
    value_write_quoted(span_text(choice_name(setting, place)), out);
}

/* ---- The table of types ---- */

static const struct value_type types[SETTING_TYPE_COUNT] = {
    [SETTING_TEXT] = {parse_text, write_text, write_text_lua},
    [SETTING_DOMAIN] = {parse_domain, write_text, write_text_lua},
    [SETTING_PATH] = {parse_path, write_text, write_text_lua},
    [SETTING_USER] = {parse_user, write_text, write_text_lua},
    [SETTING_ADDRESS] = {parse_address, write_text, write_text_lua},
    [SETTING_LOG_TARGET] = {parse_log_target, write_text, write_text_lua},
    [SETTING_BOOL] = {parse_bool, write_bool, write_bool},
    [SETTING_COUNT] = {parse_number, write_number, write_number_lua},
    [SETTING_SIZE] = {parse_number, write_number, write_number_lua},
    [SETTING_DURATION] = {parse_number, write_number, write_number_lua},
    [SETTING_CHOICE] = {parse_choice, write_choice, write_choice_lua},
    [SETTING_NETWORKS] = {value_parse_networks, value_write_networks, value_write_networks_lua},
    [SETTING_WORDS] = {value_parse_words, value_write_words, value_write_words_lua},
    [SETTING_RECORDS] = {value_parse_records, value_write_records, value_write_records_lua},
};

bool setting_parse(const struct setting *setting, struct span text, void *base, struct arena *memory)
{
    return types[setting->type].parse(setting, text, (char *)base + setting->offset, memory);
}

void setting_write(const struct setting *setting, const void *base, struct buf *out)
{
    types[setting->type].write(setting, (const char *)base + setting->offset, out);
}

void setting_write_lua(const struct setting *setting, const void *base, struct buf *out)
{
    types[setting->type].write_lua(setting, (const char *)base + setting->offset, out);
}

static void write_choices(const struct setting *setting, struct buf *out)
{
    buf_add_text(out, "one of");
    for (const struct setting_choice *c = setting->choices; c->name; c++)
        buf_printf(out, "%s \"%s\"", c == setting->choices ? "" : ",", c->name);
}

static void write_range(const struct setting *setting, const char *noun, const char *example, struct buf *out)
{
    buf_printf(out, "%s from ", noun);
    quantity_write(quantity_of(setting), setting->least, out);
    buf_add_text(out, " to ");
    quantity_write(quantity_of(setting), setting->most, out);
    buf_add_text(out, example);
}

void setting_write_expected(const struct setting *setting, struct buf *out)
{
    const char *or_empty = setting->least ? "" : " or \"\"";
    switch (setting->type) {
    case SETTING_TEXT:
    case SETTING_CHOICE:
        if (setting->choices)
            write_choices(setting, out);
        else
            buf_printf(out, "a text of at most %zu bytes%s", (size_t)setting->most, or_empty);
        break;
    case SETTING_DOMAIN:
        buf_printf(out, "a full domain name like \"mail.example.org\"%s", or_empty);
        break;
    case SETTING_PATH:
        buf_printf(out, "an absolute path of at most %zu bytes%s", (size_t)setting->most, or_empty);
        break;
    case SETTING_USER:
        buf_add_text(out, "the name of a system user");
        break;
    case SETTING_ADDRESS:
        buf_printf(out, "an IP address like \"127.0.0.1\" or \"::\"%s", or_empty);
        break;
    case SETTING_LOG_TARGET:
        buf_add_text(out, "\"stderr\", \"syslog\" or an absolute path");
        break;
    case SETTING_BOOL:
        buf_add_text(out, "true or false");
        break;
    case SETTING_COUNT:
        write_range(setting, "a whole number", "", out);
        break;
    case SETTING_SIZE:
        write_range(setting, "a size", ", in bytes or with K, M, G or T as in \"50M\"", out);
        break;
    case SETTING_DURATION:
        write_range(setting, "a time", ", in seconds or with s, m, h or d as in \"5m\"", out);
        break;
    case SETTING_NETWORKS:
        buf_printf(out, "a list of at most %zu networks like { \"192.0.2.0/24\", \"2001:db8::/32\" }",
                   (size_t)setting->most);
        break;
    case SETTING_WORDS:
        buf_printf(out, "a list of at most %zu %s", (size_t)setting->most, setting->words->expected);
        break;
    case SETTING_RECORDS:
        buf_add_text(out, "a list of ");
        if (setting->least)
            buf_printf(out, "%zu to ", (size_t)setting->least);
        else
            buf_add_text(out, "at most ");
        buf_printf(out, "%zu %s", (size_t)setting->most, setting->records->expected);
        break;
    case SETTING_TYPE_COUNT:
        abort();
    }
}

void setting_write_fallback(const struct setting *setting, struct buf *out)
{
    if (!setting->fallback) {
        buf_add_text(out, setting->worked_out);
        return;
    }
    struct arena memory;
    arena_init(&memory, 1 << 16);
    struct settings scratch = {0};
    if (!setting_parse(setting, span_text(setting->fallback), &scratch, &memory))
        abort(); /* a default that its own row refuses */
    setting_write_lua(setting, &scratch, out);
    arena_release(&memory);
}
