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

enum { LIST_ID, AUTO_SUBMITTED, PRECEDENCE, FIELD_COUNT };

static bool says_automatic(unsigned which, struct span value)
{
    struct span word = first_word(value);
    if (which == LIST_ID)
        return true;
    if (which == AUTO_SUBMITTED)
        return word.size && !span_is_nocase(word, "no");
    return span_is_nocase(word, "bulk") || span_is_nocase(word, "list") || span_is_nocase(word, "junk");
}

/* Once through the header: it may be long, and each message is asked. Of several fields of a name the first counts. */
bool header_is_automatic(struct span header)
{
    static const char *const names[FIELD_COUNT] = {"List-Id", "Auto-Submitted", "Precedence"};
    bool seen[FIELD_COUNT] = {false};
    struct header_field field;
    while (header_next(&header, &field))
        for (unsigned i = 0; i < FIELD_COUNT; i++)
            if (!seen[i] && span_is_nocase(field.name, names[i])) {
                seen[i] = true;
                if (says_automatic(i, field.value))
                    return true;
            }
    return false;
}
