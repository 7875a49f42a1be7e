/* Rulesets that were read lately: most doors of a site have the same few rules, and reading them costs more than
 * deciding by them. Of a process; no function waits. */
#ifndef FACTS_RULES_MEMO_H
#define FACTS_RULES_MEMO_H

#include "policy/ruleset.h"

struct rules_memo;

MUST_USE struct rules_memo *rules_memo_new(void);
void rules_memo_free(struct rules_memo *memo);
/* The rules of this text (policy/ruleset.h), above the site's own defaults: smtp.check_sender = false means a
 * return-path rule that is off unless somebody sets it. Good until the caller waits or asks for another four. NULL: the
 * text is no such thing, or there is no memory. */
const struct ruleset *rules_memo_get(struct rules_memo *memo, struct span text, bool checks_return_paths);

#endif
