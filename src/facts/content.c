#include "facts/content.h"

#include "format/encoded_word.h"
#include "format/header.h"
#include "format/summary.h"

#include <errno.h>

/* Decoded text, in the arena; empty where there is none. */
static int keep_decoded(struct arena *arena, struct span text, struct span *kept)
{
    struct buf decoded;
    buf_init(&decoded, CONTENT_TEXT_MAX);
    *kept = (struct span){0};
    encoded_word_decode(span_head(text, CONTENT_TEXT_MAX), &decoded);
    if (decoded.size)
        *kept = arena_copy(arena, buf_span(&decoded));
    int error = decoded.size && !kept->data ? -ENOMEM : 0;
    buf_release(&decoded);
    return error;
}

static int keep_from(struct arena *arena, const struct address_list *from, struct span *kept)
{
    struct buf text;
    const struct address *a = from->first;
    *kept = (struct span){0};
    while (a && a->kind != ADDRESS_MAILBOX)
        a = a->next;
    if (!a)
        return 0;
    buf_init(&text, 2 * CONTENT_TEXT_MAX);
    if (a->name.size) {
        encoded_word_decode(span_head(a->name, CONTENT_TEXT_MAX / 2), &text);
        buf_add_char(&text, ' ');
    }
    buf_printf(&text, "<%.*s@%.*s>", SPAN_ARG(span_head(a->mailbox, 256)), SPAN_ARG(span_head(a->host, 256)));
    *kept = arena_copy(arena, buf_span(&text));
    buf_release(&text);
    return kept->data ? 0 : -ENOMEM;
}

/* ---- Attachments ---- */

/* A part that has a name, or says that it is one, or is neither text nor a container. */
static bool is_attachment(const struct mime_part *part, bool has_name)
{
    if (part->kind == MIME_MULTIPART)
        return false;
    return has_name || span_is_nocase(part->disposition.kind, "attachment") ||
           (part->kind != MIME_MESSAGE && !span_is_nocase(part->type.type, "text"));
}

static int keep_type(struct arena *arena, const struct content_type *type, struct span *kept)
{
    struct buf text;
    buf_init(&text, 256);
    buf_add_span(&text, span_head(type->type, 100));
    buf_add_char(&text, '/');
    buf_add_span(&text, span_head(type->subtype, 100));
    for (size_t i = 0; i < text.size; i++)
        text.data[i] = ascii_lower(text.data[i]);
    *kept = arena_copy(arena, buf_span(&text));
    bool failed = buf_failed(&text) || !kept->data;
    buf_release(&text);
    return failed ? -ENOMEM : 0;
}

/* What has two names is looked at by both: programs differ in which one they go by. */
static int add_attachment(struct arena *arena, const struct mime_part *part, struct attachment_fact *to, size_t *count)
{
    struct buf names[2];
    buf_init(&names[0], CONTENT_TEXT_MAX);
    buf_init(&names[1], CONTENT_TEXT_MAX);
    bool has_name = content_parameter_decode(part->disposition.parameters, "filename", &names[0]);
    has_name |= content_parameter_decode(part->type.parameters, "name", &names[1]);
    int error = 0;
    bool has_two = names[0].size && names[1].size && !span_equal(buf_span(&names[0]), buf_span(&names[1]));
    for (size_t i = 0; i < 1u + has_two && !error && is_attachment(part, has_name); i++) {
        const struct buf *name = &names[has_two ? i : !names[0].size];
        to[i].name = name->size ? arena_copy(arena, buf_span(name)) : (struct span){0};
        error = name->size && !to[i].name.data ? -ENOMEM : keep_type(arena, &part->type, &to[i].type);
        ++*count;
    }
    buf_release(&names[0]);
    buf_release(&names[1]);
    return error;
}

/* Summaries cut longer texts where they have to, and a name is told by its end. */
#define WHOLE_TEXT_MAX 990

static bool has_long_text(const struct content_parameter *parameters)
{
    for (const struct content_parameter *p = parameters; p; p = p->next)
        if (p->value.size >= WHOLE_TEXT_MAX)
            return true;
    return false;
}

static int keep_attachments(struct arena *arena, const struct summary *summary, struct content_fact *content)
{
    size_t parts = 0, count = 0;
    int error = 0;
    const struct mime_part *part = summary->root;
    for (; part && parts < ATTACHMENT_FACTS_MAX; part = mime_next(part))
        parts++;
    struct attachment_fact *attachments = arena_array(arena, 2 * parts, sizeof *attachments);
    if (!attachments)
        return -ENOMEM;
    size_t seen = 0;
    for (part = summary->root; part && count < ATTACHMENT_FACTS_MAX - 1 && !error; part = mime_next(part), seen++) {
        error = add_attachment(arena, part, &attachments[count], &count);
        content->has_more_attachments |=
            has_long_text(part->type.parameters) || has_long_text(part->disposition.parameters);
    }
    content->has_more_attachments |= part || seen >= MIME_PARTS_MAX || summary->flags & SUMMARY_PARTS_DROPPED;
    content->attachments = attachments;
    content->attachment_count = count;
    return error;
}

/* ---- The header ---- */

static int read_header(struct arena *arena, struct span header, bool with_header, struct content_fact *content)
{
    struct header_field field;
    int error = 0;
    if (with_header) {
        content->header = arena_copy(arena, header);
        if (!content->header.data)
            return -ENOMEM;
    }
    while (!error && header_next(&header, &field)) {
        bool is_agent = span_is_nocase(field.name, "X-Mailer") || span_is_nocase(field.name, "User-Agent");
        if (is_agent && !content->user_agent.size)
            error = keep_decoded(arena, span_trim(span_head(field.value, CONTENT_TEXT_MAX)), &content->user_agent);
    }
    return error;
}

int facts_fill_content(struct content_fact *content, struct span message, size_t trace_size, struct span summary,
                       bool is_automatic, bool with_header, struct arena *arena)
{
    struct arena scratch;
    struct summary parsed;
    *content = (struct content_fact){.size = message.size - trace_size, .is_automatic = is_automatic};
    arena_init(&scratch, SUMMARY_ARENA_MAX);
    int error = summary_parse(summary, &scratch, &parsed) ? 0 : -EPROTO;
    const struct message_envelope *envelope = error ? NULL : parsed.root->envelope;
    if (!error)
        error = keep_attachments(arena, &parsed, content);
    if (!error && envelope)
        error = keep_from(arena, &envelope->from, &content->from);
    if (!error && envelope)
        error = keep_decoded(arena, envelope->subject, &content->subject);
    if (!error && envelope) {
        content->message_id = arena_copy(arena, span_head(envelope->message_id, CONTENT_TEXT_MAX));
        error = content->message_id.data ? 0 : -ENOMEM;
    }
    if (!error) {
        struct span header = span_skip(span_head(message, parsed.root->header_size), trace_size);
        error = read_header(arena, span_head(header, CONTENT_HEADER_MAX), with_header, content);
    }
    if (error)
        *content = (struct content_fact){0};
    arena_release(&scratch);
    return error;
}
