#include "dns/name.h"

#define LABEL_MAX 63
#define POINTER 0xc0u

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_label(struct span label)
{
    for (size_t i = 0; i < label.size; i++)
        if (!is_name_character(label.data[i]))
            return false;
    return label.size > 0 && label.size <= LABEL_MAX;
}

bool dns_name_is_valid(struct span text)
{
    if (text.size == 0 || text.size > DNS_NAME_MAX || text.data[text.size - 1] == '.')
        return false;
    while (text.size)
        if (!is_label(span_cut(&text, '.')))
            return false;
    return true;
}

static bool add_label(struct dns_wire_name *name, struct span label)
{
    /* The root's label has to fit behind. */
    if (name->size + 1 + label.size + 1 > DNS_WIRE_MAX)
        return false;
    name->data[name->size++] = (unsigned char)label.size;
    for (size_t i = 0; i < label.size; i++)
        name->data[name->size++] = (unsigned char)ascii_lower(label.data[i]);
    return true;
}

bool dns_name_read(struct span message, size_t *at, struct dns_wire_name *name)
{
    const unsigned char *bytes = (const unsigned char *)message.data;
    size_t place = *at, least = place, behind = 0;
    name->size = 0;
    for (;;) {
        if (place >= message.size)
            return false;
        unsigned length = bytes[place];
        if (length == 0)
            break;
        if (length >= POINTER) {
            if (message.size - place < 2)
                return false;
            size_t target = (length & ~POINTER) << 8 | bytes[place + 1];
            /* A pointer leads further back than any place read so far, so none is taken twice. */
            if (target >= least)
                return false;
            behind = behind ? behind : place + 2;
            place = least = target;
            continue;
        }
        if (length > LABEL_MAX || message.size - place - 1 < length ||
            !add_label(name, span_from(message.data + place + 1, length)))
            return false;
        place += 1 + length;
    }
    name->data[name->size++] = 0;
    *at = behind ? behind : place + 1;
    return true;
}

bool dns_name_text(const struct dns_wire_name *name, struct arena *memory, struct span *text)
{
    char out[DNS_WIRE_MAX];
    size_t size = 0;
    for (size_t at = 0; at < name->size && name->data[at]; at += 1 + name->data[at]) {
        struct span label = span_from(name->data + at + 1, name->data[at]);
        if (!is_label(label))
            return false;
        if (size)
            out[size++] = '.';
        memcpy(out + size, label.data, label.size);
        size += label.size;
    }
    if (!size)
        return false;
    *text = arena_copy(memory, span_from(out, size));
    return text->data != NULL;
}

bool dns_name_parse(struct span text, struct dns_wire_name *name)
{
    name->size = 0;
    if (!dns_name_is_valid(text))
        return false;
    while (text.size)
        if (!add_label(name, span_cut(&text, '.')))
            return false;
    name->data[name->size++] = 0;
    return true;
}

bool dns_name_equal(const struct dns_wire_name *a, const struct dns_wire_name *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}
