#include "ctl/allow_plan.h"

#include "policy/door_item.h"

#include <stdio.h>

static void never(struct allow_plan *plan)
{
    plan->outcome = ALLOW_NOT_HERE;
}

/* Reports about undelivered mail have no sender that a list could name. */
static void plan_bounces(const struct allow_attempt *a, unsigned rule, struct allow_plan *plan, struct buf *problem)
{
    for (size_t k = 0; k < rules[rule].parameter_count; k++)
        if (strcmp(rules[rule].parameters[k].name, "bounces") == 0 && !a->set->rules[rule].value[k].number) {
            plan->outcome = ALLOW_BOUNCES;
            snprintf(plan->setting, sizeof plan->setting, "%s.bounces", rules[rule].name);
            return;
        }
    never(plan);
    buf_printf(
        problem,
        "the sender is <>, as in reports about undelivered mail, and no list of senders can name that; what kept "
        "it out is the rule %s, which 'ostiary %srules set %.*s %s=watch' (or =off) ends for that door, for all "
        "senders",
        rules[rule].name, a->is_my ? "my " : "", SPAN_ARG(span_head(a->owner, 300)), rules[rule].name);
    if (rules[rule].group > GROUP_LETS_IN && a->ip) {
        buf_add_text(problem,
                     "; or the administrator lets that server in for everybody: 'ostiary list add --site approved ");
        ip_address_write(a->ip, problem);
        buf_add_char(problem, '\'');
    }
}

/* The rules are asked again with the sender on the list. Facts that nobody fetched then are not needed by those that
 * speak before the list does. */
static void try_it(const struct allow_attempt *a, struct allow_plan *plan, struct buf *problem)
{
    struct recipient_facts r = *a->r;
    struct decision decision;
    struct verdict let_in;
    size_t place = r.hit_count < LIST_HITS_MAX ? r.hit_count++ : LIST_HITS_MAX - 1;
    r.hits[place] = (struct list_hit){LIST_KIND_WHITE, a->owner_level, plan->sender};
    enum decide_result result = decide_recipient(a->facts, &r, a->set, DECIDE_RCPT, NULL, &decision);
    let_in = decision.verdict;
    if (result == DECIDE_DONE && let_in.let_in && fact_state_get(a->facts, &r, FACT_CONTENT) == FACT_KNOWN)
        result = decide_recipient(a->facts, &r, a->set, DECIDE_CONTENT, &let_in, &decision);
    if (result == DECIDE_NEEDS)
        return;
    plan->is_tried = decision.verdict.kind == VERDICT_ACCEPT;
    if (plan->is_tried)
        return;
    never(plan);
    buf_printf(problem, "with the sender on the white list the rule %s would still keep it out: %s",
               decision.verdict.rule < rule_count ? rules[decision.verdict.rule].name : "?", decision.verdict.sentence);
}

static void say_locked(unsigned rule, struct buf *problem)
{
    buf_printf(problem,
               "the site has locked the rule %s, so only its administrator can let this in: ", rules[rule].name);
    if (strcmp(rules[rule].name, "ip-black-list") == 0)
        buf_add_text(problem, "'ostiary blacklist add !ADDRESS' makes an exception");
    else
        buf_printf(problem, "'ostiary rules unlock %s' gives it back to everybody", rules[rule].name);
}

void allow_plan_make(const struct allow_attempt *a, struct arena *arena, struct allow_plan *plan, struct buf *problem)
{
    unsigned rule = rule_find(a->rule);
    *plan = (struct allow_plan){.outcome = ALLOW_SENDER};
    if (a->verdict != VERDICT_REFUSE && a->verdict != VERDICT_DEFER && a->verdict != VERDICT_FILE) {
        plan->outcome = ALLOW_NOTHING;
        buf_add_text(problem, "it was let in: there is nothing to allow");
    } else if (rule == RULE_NONE) {
        never(plan);
        buf_printf(problem, "it was kept out by no rule of this door (%.*s), so no rule can let it in",
                   SPAN_ARG(span_head(a->rule, 60)));
    } else if (rules[rule].flags & RULE_OF_SENDER) {
        never(plan);
        buf_printf(problem,
                   "the rule %s protects the sender's own address: only its owner can send as it, by logging in",
                   rules[rule].name);
    } else if (a->set->rules[rule].is_locked && rules[rule].group >= GROUP_LOCAL) {
        /* Those that let in are not asked before it; a locked white-list still has everybody's own entries. */
        never(plan);
        say_locked(rule, problem);
    } else if (!a->reverse_path.size) {
        plan_bounces(a, rule, plan, problem);
    } else if (!door_sender_entry(a->reverse_path, a->ip, arena, &plan->sender, problem)) {
        never(plan);
    } else if (a->facts) {
        try_it(a, plan, problem);
    }
}
