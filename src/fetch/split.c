#include "fetch/split.h"

#include "format/address.h"
#include "format/address_list.h"
#include "format/header.h"
#include "format/received.h"

#define ADDRESS_TEXT_MAX 1024
#define FIELDS_LOOKED_AT 200 /* of one header, that have a name that is looked for */

struct split {
    struct span domain;
    struct arena *arena;
    struct span *addresses;
    size_t count;
};

static void add(struct split *s, struct span local_part, struct span host)
{
    struct buf text;
    if (!local_part.size || !span_equal_nocase(host, s->domain) || s->count == SPLIT_MAX)
        return;
    buf_init(&text, ADDRESS_TEXT_MAX);
    mail_path_write(local_part, s->domain, &text);
    bool is_new = !buf_failed(&text);
    for (size_t i = 0; i < s->count && is_new; i++)
        is_new = !span_equal_nocase(s->addresses[i], buf_span(&text));
    struct span kept = is_new ? arena_copy(s->arena, buf_span(&text)) : (struct span){0};
    if (kept.data)
        s->addresses[s->count++] = kept;
    buf_release(&text);
}

static void add_list(struct split *s, struct span value)
{
    struct address_list list = {0};
    address_list_parse(value, s->arena, &list);
    for (const struct address *a = list.first; a; a = a->next)
        if (a->kind == ADDRESS_MAILBOX)
            add(s, a->mailbox, a->host);
}

static void add_received(struct split *s, struct span value)
{
    struct received r;
    if (received_parse(value, s->arena, &r))
        add_list(s, r.recipient);
}

static bool is_written_by_people(struct span name)
{
    return span_is_nocase(name, "to") || span_is_nocase(name, "cc");
}

/* The fields of that name: all of To: and Cc:, else from the top down to the first that names somebody. */
static void look(struct split *s, struct span header, struct span name)
{
    struct header_field field;
    unsigned looked_at = 0;
    bool everybody = is_written_by_people(name);
    while (header_next(&header, &field) && looked_at < FIELDS_LOOKED_AT && (everybody || !s->count)) {
        if (!(everybody ? is_written_by_people(field.name) : span_equal_nocase(field.name, name)))
            continue;
        looked_at++;
        if (span_is_nocase(name, "received"))
            add_received(s, field.value);
        else
            add_list(s, field.value);
    }
}

size_t split_find(struct span header, struct span fields, struct span domain, struct arena *arena,
                  struct span addresses[SPLIT_MAX])
{
    struct split s = {.domain = domain, .arena = arena, .addresses = addresses};
    if (!fields.size)
        fields = (struct span)SPAN(SPLIT_HEADERS);
    while (fields.size && !s.count) {
        struct span name = span_cut(&fields, ' ');
        if (name.size)
            look(&s, header, name);
    }
    return s.count;
}
