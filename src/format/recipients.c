#include "format/recipients.h"

#include "base/map.h"
#include "format/address_list.h"
#include "format/header.h"

#define ADDRESS_TEXT_MAX 1024

static bool is_recipient_field(struct span name, bool resent)
{
    if (resent)
        name = span_skip(name, strlen("Resent-"));
    return span_is_nocase(name, "To") || span_is_nocase(name, "Cc") || span_is_nocase(name, "Bcc");
}

static bool is_resent(struct span name)
{
    return span_starts_nocase(name, span_text("Resent-"));
}

/* A block of Resent- fields ends where one of those that it may have once comes again: a block further down is an
 * earlier resending's. */
struct resent_block {
    unsigned seen;
    bool is_over;
};

static void follow_block(struct resent_block *block, struct span name)
{
    static const char *const once[] = {"Resent-Date", "Resent-From", "Resent-To",    "Resent-Message-ID",
                                       "Resent-Cc",   "Resent-Bcc",  "Resent-Sender"};
    for (unsigned i = 0; i < sizeof once / sizeof *once; i++) {
        if (!span_is_nocase(name, once[i]))
            continue;
        block->is_over |= (block->seen & 1u << i) != 0;
        block->seen |= 1u << i;
    }
}

static bool has_resent(struct span header)
{
    struct header_field field;
    while (header_next(&header, &field))
        if (is_resent(field.name) && is_recipient_field(field.name, true))
            return true;
    return false;
}

struct finder {
    struct arena *arena;
    struct map seen;
    struct span default_domain;
    struct header_recipients *found;
};

static struct span write_address(struct finder *f, const struct address *a)
{
    struct buf text;
    struct span host = a->host.size ? a->host : f->default_domain, copy = {NULL, 0};
    buf_init(&text, ADDRESS_TEXT_MAX);
    mail_path_write(a->mailbox, host, &text);
    /* With each byte in need of a backslash, two quotes and an @. */
    bool fits = 2 * a->mailbox.size + host.size + 3 <= ADDRESS_TEXT_MAX;
    if (!buf_failed(&text))
        copy = arena_copy(f->arena, buf_span(&text));
    else
        f->found->out_of_memory |= fits;
    buf_release(&text);
    return copy;
}

static bool is_new(struct finder *f, struct span text)
{
    struct span key = arena_copy(f->arena, text);
    for (size_t i = 0; i < key.size; i++)
        ((char *)(uintptr_t)key.data)[i] = ascii_lower(key.data[i]);
    if (!key.data || map_get(&f->seen, key))
        return false;
    if (map_put(&f->seen, key, f))
        f->found->out_of_memory = true;
    return true;
}

static void add(struct finder *f, const struct address *a)
{
    struct header_recipients *found = f->found;
    struct span text = write_address(f, a);
    struct header_recipient *r =
        text.data && found->count < HEADER_RECIPIENTS_MAX ? arena_alloc(f->arena, sizeof *r) : NULL;
    if (text.data && found->count < HEADER_RECIPIENTS_MAX && !is_new(f, text))
        return;
    if (!r) {
        found->is_incomplete = true;
        return;
    }
    r->text = text;
    r->problem = a->mailbox.size == 0 ? "there is no name before the @"
                 : a->host.size == 0 && f->default_domain.size == 0
                     ? "there is no domain behind the name"
                     : mail_address_parse(text, true, f->arena, &r->path);
    if (found->last)
        found->last->next = r;
    else
        found->first = r;
    found->last = r;
    found->count++;
}

static void add_field(struct finder *f, struct span value)
{
    struct address_list list = {0};
    address_list_parse(value, f->arena, &list);
    f->found->is_incomplete |= list.truncated;
    for (const struct address *a = list.first; a; a = a->next)
        if (a->kind == ADDRESS_MAILBOX)
            add(f, a);
}

void header_recipients_find(struct span header, struct span default_domain, struct arena *arena,
                            struct header_recipients *found)
{
    struct finder f = {.arena = arena, .default_domain = default_domain, .found = found};
    struct resent_block block = {0};
    bool resent = has_resent(header);
    struct header_field field;
    *found = (struct header_recipients){0};
    map_init(&f.seen);
    while (header_next(&header, &field)) {
        if (resent && is_resent(field.name))
            follow_block(&block, field.name);
        if (block.is_over)
            break;
        if (resent == is_resent(field.name) && is_recipient_field(field.name, resent))
            add_field(&f, field.value);
    }
    map_release(&f.seen);
    found->out_of_memory |= arena->is_starved;
}

size_t header_remove_bcc(char *message, size_t size)
{
    struct span rest = span_from(message, size), before = rest;
    struct header_field field;
    size_t kept = 0;
    for (; header_next(&rest, &field); before = rest) {
        if (span_is_nocase(field.name, "Bcc") || span_is_nocase(field.name, "Resent-Bcc"))
            continue;
        memmove(message + kept, field.raw.data, field.raw.size);
        kept += field.raw.size;
    }
    /* The empty line and the body. */
    memmove(message + kept, before.data, before.size);
    return kept + before.size;
}
