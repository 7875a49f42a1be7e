#include "format/summary.h"

#include "format/date.h"

#include <errno.h>

/* The form, version 1. A number is little-endian in groups of seven bits, the eighth set on all but the last; a string
 * is its size and its bytes.
 *
 *   'S' 1 flags message_size (0 | 1 date, zigzag) part
 *   part:     kind, offset from the parent's, header_size, body_size, lines, type, subtype, parameters, encoding,
 *             mask of the strings that follow, [id] [description] [md5] [location] [language] [disposition,
 * parameters], envelope (of the root and of a message's child), multipart: number of children; the children parameters:
 * number, then name and value of each envelope: date, subject, message-id, in-reply-to, and from, sender, reply-to, to,
 * cc, bcc: number, then of each its kind, name, and for a mailbox route, mailbox, host
 */
#define MAGIC 'S'
#define VERSION 1

#define ENVELOPE_LISTS 6
#define OPTIONAL_STRINGS 5

enum present {
    HAS_ID = 1,
    HAS_DESCRIPTION = 2,
    HAS_MD5 = 4,
    HAS_LOCATION = 8,
    HAS_LANGUAGE = 16,
    HAS_DISPOSITION = 32
};

/* How much of a message is written; tried one after the other until it fits. The last always does: 6 lists of 16
 * addresses of 3 or 4 strings of 256 bytes are 100 KiB. */
struct measure {
    size_t string_max, addresses_max;
    unsigned flags;
};

static const struct measure measures[] = {
    {SUMMARY_SIZE_MAX, ADDRESS_LIST_MAX, 0},
    {998, 100, SUMMARY_STRINGS_CUT},
    {256, 16, SUMMARY_STRINGS_CUT | SUMMARY_PARTS_DROPPED},
};

struct writer {
    struct buf *out;
    const struct measure *measure;
};

static void put_number(struct buf *out, uint64_t n)
{
    char bytes[10];
    size_t size = 0;
    for (; n >= 128; n >>= 7)
        bytes[size++] = (char)(n | 128);
    bytes[size++] = (char)n;
    buf_add(out, bytes, size);
}

/* Not in the middle of a UTF-8 character, if it is that. */
static struct span cut(struct span s, size_t max)
{
    if (s.size <= max)
        return s;
    for (int i = 0; i < 3 && max && (s.data[max] & 0xC0) == 0x80; i++)
        max--;
    return span_head(s, max);
}

static void put_string(struct writer *w, struct span s)
{
    s = cut(s, w->measure->string_max);
    put_number(w->out, s.size);
    buf_add_span(w->out, s);
}

static void put_address(struct writer *w, const struct address *a)
{
    put_number(w->out, a->kind);
    if (a->kind == ADDRESS_GROUP_END)
        return;
    put_string(w, a->name);
    if (a->kind == ADDRESS_GROUP_START)
        return;
    put_string(w, a->route);
    put_string(w, a->mailbox);
    put_string(w, a->host);
}

/* A group that the cut goes through gets its end. */
static void put_addresses(struct writer *w, const struct address_list *list)
{
    static const struct address group_end = {.kind = ADDRESS_GROUP_END};
    size_t count = 0;
    bool in_group = false;
    for (const struct address *a = list->first; a && count < w->measure->addresses_max; a = a->next, count++)
        in_group = a->kind == ADDRESS_GROUP_START || (in_group && a->kind == ADDRESS_MAILBOX);
    put_number(w->out, count + in_group);
    const struct address *a = list->first;
    for (size_t i = 0; i < count; i++, a = a->next)
        put_address(w, a);
    if (in_group)
        put_address(w, &group_end);
}

static void put_envelope(struct writer *w, const struct message_envelope *e)
{
    const struct address_list *const lists[ENVELOPE_LISTS] = {&e->from, &e->sender, &e->reply_to,
                                                              &e->to,   &e->cc,     &e->bcc};
    put_string(w, e->date);
    put_string(w, e->subject);
    put_string(w, e->message_id);
    put_string(w, e->in_reply_to);
    for (size_t i = 0; i < ENVELOPE_LISTS; i++)
        put_addresses(w, lists[i]);
}

static void put_parameters(struct writer *w, const struct content_parameter *first)
{
    size_t count = 0;
    for (const struct content_parameter *p = first; p; p = p->next)
        count++;
    put_number(w->out, count);
    for (const struct content_parameter *p = first; p; p = p->next) {
        put_string(w, p->name);
        put_string(w, p->value);
    }
}

static void put_part(struct writer *w, const struct mime_part *part)
{
    put_number(w->out, part->kind);
    put_number(w->out, part->parent ? part->offset - part->parent->offset : 0);
    put_number(w->out, part->header_size);
    put_number(w->out, part->body_size);
    put_number(w->out, part->lines);
    put_string(w, part->type.type);
    put_string(w, part->type.subtype);
    put_parameters(w, part->type.parameters);
    put_string(w, part->encoding);

    const struct span optional[OPTIONAL_STRINGS] = {part->id, part->description, part->md5, part->location,
                                                    part->language};
    unsigned mask = part->disposition.kind.size ? HAS_DISPOSITION : 0;
    for (unsigned i = 0; i < OPTIONAL_STRINGS; i++)
        mask |= optional[i].size ? 1u << i : 0;
    put_number(w->out, mask);
    for (unsigned i = 0; i < OPTIONAL_STRINGS; i++)
        if (optional[i].size)
            put_string(w, optional[i]);
    if (part->disposition.kind.size) {
        put_string(w, part->disposition.kind);
        put_parameters(w, part->disposition.parameters);
    }
    if (part->envelope)
        put_envelope(w, part->envelope);
    if (part->kind == MIME_MULTIPART) {
        size_t children = 0;
        for (const struct mime_part *child = part->first_child; child; child = child->next)
            children++;
        put_number(w->out, children);
    }
}

static void put_summary(struct writer *w, const struct mime_part *root, unsigned flags)
{
    int64_t date;
    bool has_date = date_parse(root->envelope->date, &date);
    flags |= w->measure->flags;
    put_number(w->out, MAGIC);
    put_number(w->out, VERSION);
    put_number(w->out, flags);
    put_number(w->out, root->header_size + root->body_size);
    put_number(w->out, has_date);
    if (has_date)
        put_number(w->out, (uint64_t)date << 1 ^ (date < 0 ? UINT64_MAX : 0));
    if (flags & SUMMARY_PARTS_DROPPED) {
        struct mime_part whole = {.header_size = root->header_size,
                                  .body_size = root->body_size,
                                  .lines = root->lines,
                                  .type = {.type = SPAN("text"), .subtype = SPAN("plain")},
                                  .envelope = root->envelope};
        put_part(w, &whole);
        return;
    }
    for (const struct mime_part *part = root; part && !w->out->failed; part = mime_next(part))
        put_part(w, part);
}

int summary_make(struct span message, struct arena *arena, struct buf *out)
{
    bool truncated = false;
    size_t start = out->size, limit = out->limit;
    const struct mime_part *root = mime_parse(message, arena, &truncated);
    if (!root) {
        out->failed = true;
        return -ENOMEM;
    }
    if (out->failed)
        return -ENOMEM;
    if (limit - start > SUMMARY_SIZE_MAX)
        out->limit = start + SUMMARY_SIZE_MAX;
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        /* A measure that did not fit leaves the buf failed; the next one starts afresh. */
        out->failed = false;
        buf_truncate(out, start);
        put_summary(&(struct writer){.out = out, .measure = &measures[i]}, root, truncated ? SUMMARY_TRUNCATED : 0);
        if (!out->failed)
            break;
    }
    out->limit = limit;
    if (!out->failed)
        return 0;
    buf_truncate(out, start);
    return -ENOMEM;
}

int summary_make_unread(uint64_t message_size, struct buf *out)
{
    static const struct message_envelope envelope;
    const struct mime_part root = {.body_size = message_size, .envelope = (struct message_envelope *)&envelope};
    put_summary(&(struct writer){.out = out, .measure = &measures[0]}, &root, SUMMARY_PARTS_DROPPED);
    return out->failed ? -ENOMEM : 0;
}

/* Takes from the front; the first thing that can't be sets `bad`, and all later ones are empty or 0. */
struct reader {
    struct span rest;
    struct arena *arena;
    bool bad;
};

static uint64_t get_number(struct reader *r)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->rest.size == 0 || !r->rest.data)
            break;
        unsigned char byte = (unsigned char)r->rest.data[0];
        r->rest = span_skip(r->rest, 1);
        if (shift == 63 && byte > 1)
            break;
        n |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return n;
    }
    r->bad = true;
    r->rest.size = 0;
    return 0;
}

static uint64_t get_number_to(struct reader *r, uint64_t max)
{
    uint64_t n = get_number(r);
    if (n <= max)
        return n;
    r->bad = true;
    r->rest.size = 0;
    return 0;
}

static struct span get_string(struct reader *r)
{
    size_t size = get_number_to(r, r->rest.size);
    if (size > r->rest.size) { /* the size itself took bytes */
        r->bad = true;
        size = 0;
    }
    struct span s = span_head(r->rest, size);
    r->rest = span_skip(r->rest, size);
    return s;
}

static void *get_memory(struct reader *r, size_t size)
{
    void *memory = r->bad ? NULL : arena_alloc(r->arena, size);
    r->bad |= memory == NULL;
    return memory;
}

static void get_addresses(struct reader *r, struct address_list *list)
{
    /* One more than the cap: the end of a group that was cut. */
    size_t count = get_number_to(r, ADDRESS_LIST_MAX + 1);
    bool in_group = false;
    for (size_t i = 0; i < count && !r->bad; i++) {
        struct address *a = get_memory(r, sizeof *a);
        if (!a)
            return;
        a->kind = (enum address_kind)get_number_to(r, ADDRESS_GROUP_END);
        if (a->kind != ADDRESS_MAILBOX && in_group != (a->kind == ADDRESS_GROUP_END))
            r->bad = true;
        if (a->kind != ADDRESS_MAILBOX)
            in_group = a->kind == ADDRESS_GROUP_START;
        if (a->kind != ADDRESS_GROUP_END)
            a->name = get_string(r);
        if (a->kind == ADDRESS_MAILBOX) {
            a->route = get_string(r);
            a->mailbox = get_string(r);
            a->host = get_string(r);
        }
        if (list->last)
            list->last->next = a;
        else
            list->first = a;
        list->last = a;
        list->count++;
    }
    r->bad |= in_group;
}

static struct message_envelope *get_envelope(struct reader *r)
{
    struct message_envelope *e = get_memory(r, sizeof *e);
    if (!e)
        return NULL;
    struct address_list *const lists[ENVELOPE_LISTS] = {&e->from, &e->sender, &e->reply_to, &e->to, &e->cc, &e->bcc};
    e->date = get_string(r);
    e->subject = get_string(r);
    e->message_id = get_string(r);
    e->in_reply_to = get_string(r);
    for (size_t i = 0; i < ENVELOPE_LISTS && !r->bad; i++)
        get_addresses(r, lists[i]);
    return e;
}

static struct content_parameter *get_parameters(struct reader *r)
{
    struct content_parameter *first = NULL, **link = &first;
    size_t count = get_number_to(r, CONTENT_PARAMETERS_MAX);
    for (size_t i = 0; i < count && !r->bad; i++) {
        struct content_parameter *p = get_memory(r, sizeof *p);
        if (!p)
            break;
        p->name = get_string(r);
        p->value = get_string(r);
        *link = p;
        link = &p->next;
    }
    return first;
}

/* Does the part lie within its parent, behind its elder sibling, and does its type fit its kind? */
static bool is_sound(const struct mime_part *part, const struct mime_part *elder, uint64_t message_size)
{
    const struct mime_part *parent = part->parent;
    uint64_t from = parent ? parent->offset + parent->header_size : 0;
    uint64_t to = parent ? from + parent->body_size : message_size;
    if (elder)
        from = elder->offset + elder->header_size + elder->body_size;
    bool lies_within = part->offset >= from && part->offset <= to && part->header_size <= to - part->offset &&
                       part->body_size <= to - part->offset - part->header_size && part->lines <= part->body_size;
    bool is_whole = parent || (part->offset == 0 && part->header_size + part->body_size == message_size);
    const struct content_type *type = &part->type;
    bool is_message = span_is_nocase(type->type, "message") &&
                      (span_is_nocase(type->subtype, "rfc822") || span_is_nocase(type->subtype, "global"));
    bool kind_fits = is_message == (part->kind == MIME_MESSAGE) &&
                     span_is_nocase(type->type, "multipart") == (part->kind == MIME_MULTIPART);
    return lies_within && is_whole && kind_fits && type->type.size && type->subtype.size;
}

/* One part without its children. Its number of children goes to *children. */
static struct mime_part *get_part(struct reader *r, struct mime_part *parent, uint64_t *children)
{
    struct mime_part *part = get_memory(r, sizeof *part);
    if (!part)
        return NULL;
    part->parent = parent;
    part->kind = (enum mime_kind)get_number_to(r, MIME_MESSAGE);
    part->offset = get_number_to(r, INT64_MAX / 2) + (parent ? parent->offset : 0);
    part->header_size = get_number_to(r, INT64_MAX / 2);
    part->body_size = get_number_to(r, INT64_MAX / 2);
    part->lines = get_number(r);
    part->type.type = get_string(r);
    part->type.subtype = get_string(r);
    part->type.parameters = get_parameters(r);
    part->encoding = get_string(r);
    uint64_t mask = get_number_to(r, HAS_DISPOSITION * 2 - 1);
    struct span *const optional[OPTIONAL_STRINGS] = {&part->id, &part->description, &part->md5, &part->location,
                                                     &part->language};
    for (unsigned i = 0; i < OPTIONAL_STRINGS; i++)
        if (mask >> i & 1)
            *optional[i] = get_string(r);
    if (mask & HAS_DISPOSITION) {
        part->disposition.kind = get_string(r);
        part->disposition.parameters = get_parameters(r);
    }
    if (!parent || parent->kind == MIME_MESSAGE)
        part->envelope = get_envelope(r);
    *children = part->kind == MIME_MULTIPART ? get_number_to(r, MIME_PARTS_MAX) : part->kind == MIME_MESSAGE;
    r->bad |= part->kind == MIME_MULTIPART && *children == 0;
    return r->bad ? NULL : part;
}

/* The tree, without recursion: `missing` holds for each open container how many children are still to come. */
static struct mime_part *get_tree(struct reader *r, uint64_t message_size)
{
    uint64_t missing[MIME_DEPTH_MAX];
    struct mime_part *last[MIME_DEPTH_MAX] = {NULL}, *root = NULL, *parent = NULL;
    size_t depth = 0;
    for (size_t parts = 0; parts < MIME_PARTS_MAX; parts++) {
        uint64_t children;
        struct mime_part *part = get_part(r, parent, &children);
        struct mime_part *elder = depth ? last[depth - 1] : NULL;
        if (!part || !is_sound(part, elder, message_size))
            return NULL;
        if (!parent)
            root = part;
        else if (elder)
            elder->next = part;
        else
            parent->first_child = part;
        if (depth) {
            last[depth - 1] = part;
            missing[depth - 1]--;
        }
        if (children) {
            if (depth == MIME_DEPTH_MAX)
                return NULL;
            missing[depth] = children;
            last[depth++] = NULL;
            parent = part;
        }
        while (depth && missing[depth - 1] == 0) {
            depth--;
            parent = parent->parent;
        }
        if (depth == 0)
            return root;
    }
    return NULL;
}

bool summary_parse(struct span bytes, struct arena *arena, struct summary *summary)
{
    struct reader r = {.rest = bytes, .arena = arena, .bad = bytes.size > SUMMARY_SIZE_MAX};
    if (r.bad || get_number(&r) != MAGIC || get_number(&r) != VERSION)
        return false;
    struct summary parsed = {.flags = 0};
    parsed.flags = (unsigned)get_number_to(&r, SUMMARY_TRUNCATED | SUMMARY_STRINGS_CUT | SUMMARY_PARTS_DROPPED);
    parsed.message_size = get_number_to(&r, INT64_MAX / 2);
    parsed.has_date = get_number_to(&r, 1);
    if (parsed.has_date) {
        uint64_t date = get_number(&r);
        parsed.date_seconds = (int64_t)(date >> 1 ^ (date & 1 ? UINT64_MAX : 0));
    }
    parsed.root = get_tree(&r, parsed.message_size);
    if (!parsed.root || r.rest.size)
        return false;
    *summary = parsed;
    return true;
}
