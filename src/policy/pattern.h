/* Patterns of people: "*" stands for any run of characters, "?" for one, ASCII letters match in either case. Pure. */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include "base/span.h"

/* Does the pattern match all of the text? At most pattern.size * text.size steps. */
bool pattern_matches(struct span pattern, struct span text);

/* The next of words with blanks between them, cut from *rest; empty at the end. */
struct span words_next(struct span *rest);
/* Is it one of the words, in any case? */
bool words_have(struct span words, struct span word);
/* Does one of the words, as a pattern, match all of the text? The word that does, or empty. */
struct span words_match(struct span words, struct span text);

#endif
