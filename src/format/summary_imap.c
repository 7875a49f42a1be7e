#include "format/summary.h"

/* A longer string is written as a literal: clients read lines with a limit. */
#define QUOTED_MAX 1000
#define ENVELOPE_LISTS 6

static bool is_quotable(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] < 32 || s.data[i] > 126)
            return false;
    return s.size <= QUOTED_MAX;
}

/* RFC 9051 4.3. A NUL byte may stand in neither form and becomes a space. */
static void write_string(struct span s, struct buf *out)
{
    bool quoted = is_quotable(s);
    if (quoted) {
        buf_add_char(out, '"');
    } else {
        buf_add_char(out, '{');
        buf_add_u64(out, s.size);
        buf_add_text(out, "}\r\n");
    }
    while (s.size && !out->failed) {
        size_t plain = 0;
        while (plain < s.size && s.data[plain] && !(quoted && (s.data[plain] == '"' || s.data[plain] == '\\')))
            plain++;
        buf_add(out, s.data, plain);
        s = span_skip(s, plain);
        if (s.size == 0)
            break;
        if (quoted)
            buf_add_char(out, '\\');
        buf_add_char(out, s.data[0] ? s.data[0] : ' ');
        s = span_skip(s, 1);
    }
    if (quoted)
        buf_add_char(out, '"');
}

static void write_nstring(struct span s, struct buf *out)
{
    if (s.size)
        write_string(s, out);
    else
        buf_add_text(out, "NIL");
}

/* (name adl mailbox host). An empty host would mean a group, so a missing one is "". */
static void write_address(const struct address *a, struct buf *out)
{
    if (a->kind == ADDRESS_GROUP_END) {
        buf_add_text(out, "(NIL NIL NIL NIL)");
        return;
    }
    if (a->kind == ADDRESS_GROUP_START) {
        buf_add_text(out, "(NIL NIL ");
        write_string(a->name, out);
        buf_add_text(out, " NIL)");
        return;
    }
    buf_add_char(out, '(');
    write_nstring(a->name, out);
    buf_add_char(out, ' ');
    write_nstring(a->route, out);
    buf_add_char(out, ' ');
    write_string(a->mailbox, out);
    buf_add_char(out, ' ');
    write_string(a->host, out);
    buf_add_char(out, ')');
}

static void write_addresses(const struct address_list *list, struct buf *out)
{
    if (!list->first) {
        buf_add_text(out, "NIL");
        return;
    }
    buf_add_char(out, '(');
    for (const struct address *a = list->first; a && !out->failed; a = a->next)
        write_address(a, out);
    buf_add_char(out, ')');
}

static void write_envelope(const struct message_envelope *e, struct buf *out)
{
    const struct address_list *sender = e->sender.first ? &e->sender : &e->from;
    const struct address_list *reply_to = e->reply_to.first ? &e->reply_to : &e->from;
    const struct address_list *const lists[ENVELOPE_LISTS] = {&e->from, sender, reply_to, &e->to, &e->cc, &e->bcc};
    buf_add_char(out, '(');
    write_nstring(e->date, out);
    buf_add_char(out, ' ');
    write_nstring(e->subject, out);
    for (size_t i = 0; i < ENVELOPE_LISTS; i++) {
        buf_add_char(out, ' ');
        write_addresses(lists[i], out);
    }
    buf_add_char(out, ' ');
    write_nstring(e->in_reply_to, out);
    buf_add_char(out, ' ');
    write_nstring(e->message_id, out);
    buf_add_char(out, ')');
}

void summary_write_envelope(const struct summary *summary, struct buf *out)
{
    write_envelope(summary->root->envelope, out);
}

static void write_parameters(const struct content_parameter *first, struct buf *out)
{
    if (!first) {
        buf_add_text(out, "NIL");
        return;
    }
    char before = '(';
    for (const struct content_parameter *p = first; p; p = p->next) {
        buf_add_char(out, before);
        write_string(p->name, out);
        buf_add_char(out, ' ');
        write_string(p->value, out);
        before = ' ';
    }
    buf_add_char(out, ')');
}

/* One tag is a string, several are a list of strings. */
static void write_language(struct span language, struct buf *out)
{
    size_t tags = 0;
    for (struct span rest = language; rest.size;)
        tags += span_trim(span_cut(&rest, ',')).size > 0;
    if (tags == 0) {
        buf_add_text(out, "NIL");
        return;
    }
    const char *before = tags > 1 ? "(" : "";
    while (language.size) {
        struct span tag = span_trim(span_cut(&language, ','));
        if (tag.size == 0)
            continue;
        buf_add_text(out, before);
        write_string(tag, out);
        before = " ";
    }
    if (tags > 1)
        buf_add_char(out, ')');
}

/* body-fld-dsp, body-fld-lang, body-fld-loc: the same for all parts. */
static void write_extension(const struct mime_part *part, struct buf *out)
{
    if (part->disposition.kind.size) {
        buf_add_text(out, " (");
        write_string(part->disposition.kind, out);
        buf_add_char(out, ' ');
        write_parameters(part->disposition.parameters, out);
        buf_add_char(out, ')');
    } else {
        buf_add_text(out, " NIL");
    }
    buf_add_char(out, ' ');
    write_language(part->language, out);
    buf_add_char(out, ' ');
    write_nstring(part->location, out);
}

static void write_start(const struct mime_part *part, struct buf *out)
{
    buf_add_char(out, '(');
    if (part->kind == MIME_MULTIPART)
        return;
    write_string(part->type.type, out);
    buf_add_char(out, ' ');
    write_string(part->type.subtype, out);
    buf_add_char(out, ' ');
    write_parameters(part->type.parameters, out);
    buf_add_char(out, ' ');
    write_nstring(part->id, out);
    buf_add_char(out, ' ');
    write_nstring(part->description, out);
    buf_add_char(out, ' ');
    write_string(part->encoding.size ? part->encoding : (struct span)SPAN("7BIT"), out);
    buf_add_char(out, ' ');
    buf_add_u64(out, part->body_size);
    if (part->kind == MIME_MESSAGE) {
        buf_add_char(out, ' ');
        write_envelope(part->first_child->envelope, out);
        buf_add_char(out, ' ');
    }
}

static void write_end(const struct mime_part *part, bool extended, struct buf *out)
{
    if (part->kind == MIME_MULTIPART) {
        buf_add_char(out, ' ');
        write_string(part->type.subtype, out);
        if (extended) {
            buf_add_char(out, ' ');
            write_parameters(part->type.parameters, out);
        }
    } else {
        if (part->kind == MIME_MESSAGE || span_is_nocase(part->type.type, "text")) {
            buf_add_char(out, ' ');
            buf_add_u64(out, part->lines);
        }
        if (extended) {
            buf_add_char(out, ' ');
            write_nstring(part->md5, out);
        }
    }
    if (extended)
        write_extension(part, out);
    buf_add_char(out, ')');
}

void summary_write_bodystructure(const struct summary *summary, bool extended, struct buf *out)
{
    const struct mime_part *part = summary->root;
    while (part && !out->failed) {
        write_start(part, out);
        if (part->first_child) {
            part = part->first_child;
            continue;
        }
        write_end(part, extended, out);
        while (!part->next && part->parent) {
            part = part->parent;
            write_end(part, extended, out);
        }
        part = part->next;
    }
}

static const struct mime_part *nth_child(const struct mime_part *part, uint32_t n)
{
    const struct mime_part *child = part->first_child;
    while (child && n > 1) {
        child = child->next;
        n--;
    }
    return n ? child : NULL;
}

const struct mime_part *summary_find_part(const struct summary *summary, const uint32_t *numbers, size_t count)
{
    const struct mime_part *part = summary->root;
    /* A message that is no multipart has its own body as part 1. */
    bool is_message_itself = true;
    for (size_t i = 0; i < count && part; i++) {
        if (!is_message_itself && part->kind == MIME_MESSAGE) {
            part = part->first_child;
            is_message_itself = true;
        }
        if (part->kind == MIME_MULTIPART)
            part = nth_child(part, numbers[i]);
        else if (!is_message_itself || numbers[i] != 1)
            return NULL;
        is_message_itself = false;
    }
    return part;
}
