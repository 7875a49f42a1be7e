/* Rules and their settings as the command line names, finds and shows them. */
#ifndef CTL_RULES_TEXT_H
#define CTL_RULES_TEXT_H

#include "ctl/ctl.h"
#include "ctl/door_client.h"
#include "policy/ruleset.h"

/* "white-list", "white-list.learn" */
void rules_write_name(unsigned rule, unsigned parameter, struct buf *out);
/* "on, off or watch"; "a size"; … what the parameter takes. */
void rules_write_expected(const struct rule_parameter *parameter, struct buf *out);
/* "1 (strangers)" … the group's words: "lets in", "keeps out, by the DNS". */
const char *rules_group_name(enum rule_group group);

/* The rule by its name or SimbeyMail's; EX_DATAERR with the nearest one in the sentence, or 0. */
MUST_USE int rules_find(struct ctl *ctl, struct span name, unsigned *rule);
/* The same for "white-list.learn". */
MUST_USE int rules_find_setting(struct ctl *ctl, struct span name, unsigned *rule, unsigned *parameter);

/* The settings in force for an owner, by all levels above. */
struct rules_in_force {
    struct ruleset set;
    struct {
        struct span by; /* who set it: "admin", an address; empty: nobody, it is built in */
        uint64_t at;    /* nanoseconds since 1970 */
    } who[RULES_MAX][RULE_PARAMETERS_MAX];
};
/* Of items in the order of their levels (door_client_gather); those of other kinds are passed over. Texts are the
 * items' and the arena's. */
void rules_merge(struct rules_in_force *in_force, struct arena *arena, const struct door_items *items);

/* Asks for the rules of the owner and all levels above and merges them. */
MUST_USE int rules_read(struct fiber *self, struct door_client *client, struct door_work *work,
                        const struct door_owner *owner, struct rules_in_force *in_force);

#endif
