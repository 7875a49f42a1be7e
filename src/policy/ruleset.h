/* The rules in force for one recipient: built in < site < domain < account < address. Pure.
 *
 * The store keeps single settings; its reader merges those that concern a recipient into the text that travels to the
 * session, which has only what differs from the built-in values:
 *
 *     2 white-list=on
 *     0! ip-black-list=on
 *
 * the level's number, "!" where the site locked it, and the setting. A locked one stands last for its rule.
 */
#ifndef POLICY_RULESET_H
#define POLICY_RULESET_H

#include "policy/rule.h"

#define RULESET_TEXT_MAX (64u << 10)

struct ruleset {
    struct rule_values rules[RULES_MAX];
};

void ruleset_init(struct ruleset *set); /* the built-in values */
/* One more setting, of a level at least as narrow as those before it: replaces what is there unless the site locked the
 * rule. Unknown rules and bad values (of a newer program) are passed over: false. Texts are copied to the arena. */
bool ruleset_put(struct ruleset *set, struct arena *arena, struct span name, struct span text, enum rule_level level,
                 bool is_locked);
void ruleset_write(const struct ruleset *set, struct buf *out);
/* init, then each line put. False where the text is no such thing or the arena is full. */
MUST_USE bool ruleset_parse(struct span text, struct arena *arena, struct ruleset *set);

const struct rule_value *ruleset_get(const struct ruleset *set, const char *name); /* "greylist.wait"; must exist */

/* May two recipients share one answer after DATA? True where no rule about content could tell them apart: the same
 * rules that may refuse, with the same settings, and none that looks at the recipient (the site's script). Of those
 * whom only locked rules can keep out (let in at RCPT, postmasters) the same rules speak, and they form a class of
 * their own, unless ruleset_judges_everybody_apart. */
bool ruleset_same_content_class(const struct ruleset *a, const struct ruleset *b);
/* Does any rule look at the message? Without, DECIDE_CONTENT need not be asked. */
bool ruleset_has_content_rules(const struct ruleset *set);
/* Is the message's header shown to the site's script? */
bool ruleset_shows_header(const struct ruleset *set);
/* Has the site locked a rule that looks at the message and may say something else of each recipient? */
bool ruleset_judges_everybody_apart(const struct ruleset *set);

#endif
