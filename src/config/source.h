/* Where something stands in the text of a Lua file. Lua tells the line of a statement's end at best, and nothing about
 * the keys inside a table; so the text is read once more, word by word. No function waits or fails; time is linear in
 * the text. */
#ifndef CONFIG_SOURCE_H
#define CONFIG_SOURCE_H

#include "base/span.h"

/* One step into a value: the key of a table, or the place in a list. */
struct source_step {
    struct span key; /* empty for a list item */
    size_t item;     /* from 1 */
};

/* The line (from 1) of what `steps` lead to: steps[0].key is the variable, assigned in a statement that begins at or
 * before `last_line` (the last such one), the others lead into its table. Where the text does not show a step, the line
 * of the last step that it shows; `last_line` when it shows none. */
unsigned source_find(struct span text, unsigned last_line, const struct source_step *steps, size_t count);

#endif
