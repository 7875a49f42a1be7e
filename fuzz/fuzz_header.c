/* A message's header, and its first bytes as every kind of value: fields partition the input, addresses come in whole
 * groups, decoded text is UTF-8. */
#include "format/address_list.h"
#include "format/automatic.h"
#include "format/content_type.h"
#include "format/encoded_word.h"
#include "format/header.h"
#include "format/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(struct span text, struct arena *arena)
{
    struct buf out;
    buf_init(&out, text.size * 3 + 16);
    encoded_word_decode(text, &out);
    check(utf8_is_valid(buf_span(&out)));
    buf_reset(&out);
    struct content_disposition disposition;
    if (content_disposition_parse(text, arena, &disposition)) {
        check(disposition.kind.size > 0);
        bool found = content_parameter_decode(disposition.parameters, "filename", &out);
        check(found || out.size == 0);
        check(utf8_is_valid(buf_span(&out)));
    }
    struct content_type type;
    if (content_type_parse(text, arena, &type))
        check(type.type.size && type.subtype.size);
    buf_release(&out);
}

static void check_addresses(struct span text, struct arena *arena)
{
    struct address_list list = {.first = NULL};
    bool in_group = false;
    size_t count = 0;
    address_list_parse(text, arena, &list);
    for (const struct address *a = list.first; a; a = a->next, count++) {
        if (a->kind == ADDRESS_MAILBOX)
            continue;
        check(in_group == (a->kind == ADDRESS_GROUP_END));
        in_group = !in_group;
    }
    check(!in_group && count <= ADDRESS_LIST_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_from(data, size), rest = input;
    struct arena arena;
    struct header_field field;
    size_t passed = 0;
    arena_init(&arena, (size_t)64 << 20);
    while (header_next(&rest, &field)) {
        check(field.raw.data == input.data + passed && field.raw.size > 0);
        passed += field.raw.size;
        struct span text = header_text(field.value, &arena);
        check(text.data && text.size <= field.value.size && !memchr(text.data, '\n', text.size));
        check_text(text, &arena);
        check_addresses(field.value, &arena);
    }
    check(size - rest.size - passed <= 2);
    /* What follows the header is not looked at. */
    check(header_is_automatic(input) == header_is_automatic(span_head(input, size - rest.size)));
    check_text(input, &arena);
    check_addresses(input, &arena);
    arena_release(&arena);
    return 0;
}
