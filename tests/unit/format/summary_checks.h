/* What must hold for every summary, whatever the message; shared by the tests and the fuzz target. Each aborts or
 * returns false at the first fault. */
#ifndef TESTS_SUMMARY_CHECKS_H
#define TESTS_SUMMARY_CHECKS_H

#include "format/summary.h"

/* Parts inside their parents and in order, kinds and children as mime.h promises. */
static inline bool tree_is_sound(const struct mime_part *root, uint64_t message_size)
{
    size_t parts = 0;
    if (root->offset != 0 || root->header_size + root->body_size != message_size || !root->envelope)
        return false;
    for (const struct mime_part *part = root; part; part = mime_next(part)) {
        uint64_t at = part->offset + part->header_size, end = at + part->body_size;
        for (const struct mime_part *child = part->first_child; child; child = child->next) {
            if (child->offset < at || child->parent != part)
                return false;
            if ((child->envelope != NULL) != (part->kind == MIME_MESSAGE))
                return false;
            at = child->offset + child->header_size + child->body_size;
            if (at > end)
                return false;
        }
        bool one_child = part->first_child && !part->first_child->next;
        if ((part->first_child != NULL) != (part->kind != MIME_LEAF) || (part->kind == MIME_MESSAGE && !one_child))
            return false;
        if (!part->type.type.size || !part->type.subtype.size || part->lines > part->body_size)
            return false;
        parts++;
    }
    return parts <= MIME_PARTS_MAX;
}

/* Brackets that match, outside quotes and literals, and no line end outside a literal. */
static inline bool imap_text_is_sound(struct span text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\r' || c == '\n' || c == '\0' || (c & 0x80))
            return false;
        if (c == '(')
            depth++;
        else if (c == ')' && depth-- == 0)
            return false;
        if (c == '"') {
            for (i++; i < text.size && text.data[i] != '"'; i++) {
                if (text.data[i] == '\\')
                    i++;
                if (i >= text.size || text.data[i] < 32 || text.data[i] > 126)
                    return false;
            }
            if (i >= text.size)
                return false;
        } else if (c == '{') {
            struct span rest = span_skip(text, i + 1);
            uint64_t size;
            size_t digits = span_find(rest, '}');
            if (!span_parse_u64(span_head(rest, digits), rest.size, &size) || rest.size - digits < 3 + size ||
                memcmp(rest.data + digits, "}\r\n", 3) != 0 || memchr(rest.data + digits + 3, 0, size))
                return false;
            i += digits + 3 + size;
        }
    }
    return depth == 0;
}

/* Everything that IMAP asks of a summary, in one text. */
static inline void write_all(const struct summary *summary, struct buf *out)
{
    summary_write_envelope(summary, out);
    buf_add_char(out, ' ');
    summary_write_bodystructure(summary, true, out);
    buf_add_char(out, ' ');
    summary_write_bodystructure(summary, false, out);
}

#endif
