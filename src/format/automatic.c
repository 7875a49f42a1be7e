#include "format/automatic.h"

#include "format/header.h"

/* The word that a value begins with: comments and parameters stand behind it. */
static struct span first_word(struct span value)
{
    size_t start = 0, end;
    while (start < value.size && strchr(" \t\r\n", value.data[start]))
        start++;
    for (end = start; end < value.size && !strchr(" \t\r\n;(", value.data[end]); end++)
        ;
    return span_head(span_skip(value, start), end - start);
}

bool header_is_automatic(struct span header)
{
    struct header_field field;
    if (header_find(header, span_text("List-Id"), &field))
        return true;
    if (header_find(header, span_text("Auto-Submitted"), &field)) {
        struct span word = first_word(field.value);
        if (word.size && !span_is_nocase(word, "no"))
            return true;
    }
    if (!header_find(header, span_text("Precedence"), &field))
        return false;
    struct span word = first_word(field.value);
    return span_is_nocase(word, "bulk") || span_is_nocase(word, "list") || span_is_nocase(word, "junk");
}
