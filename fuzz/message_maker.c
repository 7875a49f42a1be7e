#include "message_maker.h"

#define DEPTH_MAX 5
#define BYTES_MAX 2000
#define REPEATED_MAX 40

static ProtobufCMessage *make_message(struct maker *m, const ProtobufCMessageDescriptor *descriptor, unsigned depth);

unsigned char maker_byte(struct maker *m)
{
    if (m->rest.size == 0)
        return 0;
    unsigned char c = (unsigned char)m->rest.data[0];
    m->rest = span_skip(m->rest, 1);
    return c;
}

struct span maker_bytes(struct maker *m, size_t most)
{
    struct span taken = span_head(m->rest, most < m->rest.size ? most : m->rest.size);
    m->rest = span_skip(m->rest, taken.size);
    return taken;
}

static uint64_t make_number(struct maker *m)
{
    static const uint64_t edges[] = {
        0,         1,          UINT32_MAX,     (uint64_t)UINT32_MAX + 1, INT32_MAX,
        INT64_MAX, UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 40,        1795000000000000000u};
    unsigned char c = maker_byte(m);
    if (c < 128)
        return c;
    if (c < 192)
        return edges[c % (sizeof edges / sizeof *edges)];
    uint64_t number = 0;
    struct span raw = maker_bytes(m, c % 8 + 1);
    for (size_t i = 0; i < raw.size; i++)
        number = number << 8 | (unsigned char)raw.data[i];
    return number;
}

static struct span make_bytes(struct maker *m)
{
    unsigned char c = maker_byte(m);
    if (c < 160 && m->word_count)
        return m->words[c % m->word_count];
    if (c < 240)
        return maker_bytes(m, c - 160u);
    return maker_bytes(m, (size_t)(c - 239u) * (BYTES_MAX / 16));
}

/* Of one in a list, as protobuf-c keeps it. */
static const size_t value_sizes[] = {
    [PROTOBUF_C_TYPE_INT32] = 4,
    [PROTOBUF_C_TYPE_SINT32] = 4,
    [PROTOBUF_C_TYPE_SFIXED32] = 4,
    [PROTOBUF_C_TYPE_INT64] = 8,
    [PROTOBUF_C_TYPE_SINT64] = 8,
    [PROTOBUF_C_TYPE_SFIXED64] = 8,
    [PROTOBUF_C_TYPE_UINT32] = 4,
    [PROTOBUF_C_TYPE_FIXED32] = 4,
    [PROTOBUF_C_TYPE_UINT64] = 8,
    [PROTOBUF_C_TYPE_FIXED64] = 8,
    [PROTOBUF_C_TYPE_FLOAT] = 4,
    [PROTOBUF_C_TYPE_DOUBLE] = 8,
    [PROTOBUF_C_TYPE_BOOL] = sizeof(protobuf_c_boolean),
    [PROTOBUF_C_TYPE_ENUM] = 4,
    [PROTOBUF_C_TYPE_STRING] = sizeof(char *),
    [PROTOBUF_C_TYPE_BYTES] = sizeof(ProtobufCBinaryData),
    [PROTOBUF_C_TYPE_MESSAGE] = sizeof(ProtobufCMessage *),
};

/* False when the arena is full. */
static bool make_value(struct maker *m, const ProtobufCFieldDescriptor *field, void *place, unsigned depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)place = maker_byte(m) & 1;
        return true;
    case PROTOBUF_C_TYPE_STRING: {
        struct span text = make_bytes(m);
        const char *end = memchr(text.data ? text.data : "", 0, text.size);
        char *copy = arena_text(m->arena, end ? span_head(text, (size_t)(end - text.data)) : text);
        *(char **)place = copy;
        return copy != NULL;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        struct span bytes = make_bytes(m);
        *(ProtobufCBinaryData *)place = (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
        return true;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        *(ProtobufCMessage **)place = make_message(m, field->descriptor, depth + 1);
        return *(ProtobufCMessage **)place != NULL;
    default:
        if (value_sizes[field->type] == sizeof(uint64_t))
            *(uint64_t *)place = make_number(m);
        else
            *(uint32_t *)place = (uint32_t)make_number(m);
        return true;
    }
}

static bool make_list(struct maker *m, const ProtobufCFieldDescriptor *field, char *base, unsigned depth)
{
    unsigned char c = maker_byte(m);
    size_t count = c < 240 ? c % 4 : c % REPEATED_MAX, size = value_sizes[field->type];
    char *values = arena_array(m->arena, count ? count : 1, size);
    if (!values)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!make_value(m, field, values + i * size, depth))
            return false;
    *(size_t *)(base + field->quantifier_offset) = count;
    *(void **)(base + field->offset) = values;
    return true;
}

static ProtobufCMessage *make_message(struct maker *m, const ProtobufCMessageDescriptor *descriptor, unsigned depth)
{
    char *base = arena_alloc(m->arena, descriptor->sizeof_message);
    if (!base)
        return NULL;
    protobuf_c_message_init(descriptor, base);
    for (unsigned i = 0; i < descriptor->n_fields && depth < DEPTH_MAX; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        bool is_made = true;
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            is_made = make_list(m, field, base, depth);
        else if (field->type != PROTOBUF_C_TYPE_MESSAGE || (depth + 1 < DEPTH_MAX && maker_byte(m) % 2))
            is_made = make_value(m, field, base + field->offset, depth);
        if (!is_made)
            return NULL;
    }
    return (ProtobufCMessage *)base;
}

ProtobufCMessage *maker_message(struct maker *m, const ProtobufCMessageDescriptor *descriptor)
{
    return make_message(m, descriptor, 0);
}
