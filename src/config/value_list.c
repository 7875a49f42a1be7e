/* The types that hold several values. In their text form networks and words have commas between them, records
 * semicolons, and the fields of a record spaces. */
#include "config/value.h"

#include "format/ip_address.h"

#include <stdlib.h>

#define LIST_ITEMS_MAX 1024

/* ---- Networks ---- */

static size_t count_items(struct span text, char separator)
{
    size_t n = text.size > 0;
    for (size_t i = 0; i < text.size; i++)
        n += text.data[i] == separator;
    return n;
}

bool network_parse(struct span text, struct network *network)
{
    struct span rest = text;
    struct span address = span_cut(&rest, '/');
    bool has_bits = address.size < text.size;
    struct ip_address ip;
    if (!ip_address_parse(address, &ip))
        return false;
    unsigned family_bits = span_find(address, ':') < address.size ? 128 : 32;
    struct network n;
    memcpy(n.address, ip.bytes, sizeof n.address);
    uint64_t bits = family_bits;
    if (has_bits && !span_parse_u64(rest, family_bits, &bits))
        return false;
    n.bits = 128 - family_bits + (unsigned)bits;
    /* Bits behind the prefix are a slip ("10.0.0.1/8"): say so rather than guess which of the two was meant. */
    for (unsigned bit = n.bits; bit < 128; bit++)
        if (n.address[bit / 8] & (0x80u >> (bit % 8)))
            return false;
    *network = n;
    return true;
}

bool value_parse_networks(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    size_t count = count_items(text, ',');
    if (count < setting->least || count > setting->most || count > LIST_ITEMS_MAX)
        return false;
    struct network *networks = arena_array(memory, count + 1, sizeof *networks);
    if (!networks)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!network_parse(span_cut(&text, ','), &networks[i]))
            return false;
    *(struct network_list *)place = (struct network_list){networks, count};
    return true;
}

static bool is_mapped(const struct network *network)
{
    struct ip_address ip;
    memcpy(ip.bytes, network->address, sizeof ip.bytes);
    return network->bits >= 96 && ip_address_is_ipv4(&ip);
}

static void write_network(const struct network *network, struct buf *out)
{
    bool ipv4 = is_mapped(network);
    struct ip_address ip;
    memcpy(ip.bytes, network->address, sizeof ip.bytes);
    ip_address_write(&ip, out);
    buf_printf(out, "/%u", network->bits - (ipv4 ? 96 : 0));
}

void value_write_networks(const struct setting *setting, const void *place, struct buf *out)
{
    const struct network_list *list = place;
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_add_char(out, ',');
        write_network(&list->networks[i], out);
    }
}

void value_write_networks_lua(const struct setting *setting, const void *place, struct buf *out)
{
    const struct network_list *list = place;
    buf_add_char(out, '{');
    for (size_t i = 0; i < list->count; i++) {
        buf_add_text(out, i ? ", \"" : "\"");
        write_network(&list->networks[i], out);
        buf_add_char(out, '"');
    }
    buf_add_char(out, '}');
}

/* ---- Words ---- */

bool value_is_word(const struct word_kind *kind, struct span word)
{
    return word.size > 0 && word.size <= WORD_MAX && value_is_printable(word) && span_find(word, ',') == word.size &&
           span_find(word, ';') == word.size && kind->is(word);
}

bool value_parse_words(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    size_t count = count_items(text, ',');
    if (count < setting->least || count > setting->most || count > LIST_ITEMS_MAX)
        return false;
    const char **words = arena_array(memory, count + 1, sizeof *words);
    if (!words)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct span word = span_cut(&text, ',');
        if (!value_is_word(setting->words, word) || !(words[i] = arena_text(memory, word)))
            return false;
    }
    *(struct word_list *)place = (struct word_list){words, count};
    return true;
}

void value_write_words(const struct setting *setting, const void *place, struct buf *out)
{
    const struct word_list *list = place;
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_add_char(out, ',');
        buf_add_text(out, list->words[i]);
    }
}

void value_write_words_lua(const struct setting *setting, const void *place, struct buf *out)
{
    const struct word_list *list = place;
    buf_add_char(out, '{');
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_add_text(out, ", ");
        value_write_quoted(span_text(list->words[i]), out);
    }
    buf_add_char(out, '}');
}

/* ---- Records ---- */

/* What a setting of this type has in the struct: the pointer and, behind it, the count. */
struct record_array {
    void *records;
    size_t count;
};

static bool parse_record(const struct record_type *type, struct span text, void *record, struct arena *memory)
{
    for (size_t i = 0; i < type->field_count; i++) {
        struct span field = i + 1 < type->field_count ? span_cut(&text, ' ') : text;
        if (!setting_parse(&type->fields[i], field, record, memory))
            return false;
    }
    return true;
}

bool value_parse_records(const struct setting *setting, struct span text, void *place, struct arena *memory)
{
    const struct record_type *type = setting->records;
    size_t count = count_items(text, ';');
    if (count < setting->least || count > setting->most)
        return false;
    char *records = arena_array(memory, count + 1, type->size);
    if (!records)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!parse_record(type, span_cut(&text, ';'), records + i * type->size, memory))
            return false;
    *(struct record_array *)place = (struct record_array){records, count};
    return true;
}

void value_write_record(const struct record_type *type, const void *record, struct buf *out)
{
    for (size_t i = 0; i < type->field_count; i++) {
        if (i)
            buf_add_char(out, ' ');
        setting_write(&type->fields[i], record, out);
    }
}

void value_write_records(const struct setting *setting, const void *place, struct buf *out)
{
    const struct record_array *array = place;
    for (size_t i = 0; i < array->count; i++) {
        if (i)
            buf_add_char(out, ';');
        value_write_record(setting->records, (const char *)array->records + i * setting->records->size, out);
    }
}

void value_write_records_lua(const struct setting *setting, const void *place, struct buf *out)
{
    const struct record_array *array = place;
    const struct record_type *type = setting->records;
    buf_add_text(out, array->count ? "{\n" : "{");
    for (size_t i = 0; i < array->count; i++) {
        const void *record = (const char *)array->records + i * type->size;
        buf_add_text(out, "    {");
        for (size_t field = 0; field < type->field_count; field++) {
            buf_printf(out, "%s%s = ", field ? ", " : "", type->fields[field].name);
            setting_write_lua(&type->fields[field], record, out);
        }
        buf_add_text(out, "},\n");
    }
    buf_add_char(out, '}');
}
