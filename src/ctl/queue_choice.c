#include "ctl/queue_choice.h"

static bool parse_id(struct span text, uint64_t *id)
{
    *id = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = ascii_lower(text.data[i]);
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16 || *id >> 59)
            return false;
        *id = *id << 4 | digit;
    }
    return text.size > 0 && *id > 0;
}

bool queue_name_parse(struct span text, struct queue_name *name)
{
    struct span rest = text;
    struct span id = span_cut(&rest, '.');
    uint64_t number = 0;
    *name = (struct queue_name){0};
    if (parse_id(id, &name->message_id) &&
        (id.size == text.size || (span_parse_u64(rest, UINT32_MAX, &number) && number > 0))) {
        name->number = (uint32_t)number;
        return true;
    }
    *name = (struct queue_name){.match = text};
    return span_find(text, '@') < text.size || span_find(text, '.') < text.size;
}
