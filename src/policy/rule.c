#include "policy/rule.h"

const char *rule_level_name(enum rule_level level)
{
    static const char *const names[LEVEL_COUNT] = {
        [LEVEL_SITE] = "site",       [LEVEL_DOMAIN] = "domain",    [LEVEL_ACCOUNT] = "account",
        [LEVEL_ADDRESS] = "address", [LEVEL_DEFAULT] = "built in",
    };
    return (unsigned)level < LEVEL_COUNT ? names[level] : "?";
}

const char *verdict_name(enum verdict_kind kind)
{
    static const char *const names[] = {
        [VERDICT_NO_OPINION] = "no opinion", [VERDICT_ACCEPT] = "accept", [VERDICT_REFUSE] = "refuse",
        [VERDICT_DEFER] = "defer",           [VERDICT_FILE] = "file",     [VERDICT_WATCH] = "watch",
    };
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

unsigned rule_find(struct span name)
{
    /* Asked several times a recipient: names that begin with another letter are not measured. */
    for (unsigned i = 0; name.size && i < rule_count; i++)
        if (name.data[0] == rules[i].name[0] && span_is(name, rules[i].name))
            return i;
    for (unsigned i = 0; i < rule_count; i++)
        if (rules[i].simbeymail && span_is_nocase(name, rules[i].simbeymail))
            return i;
    return RULE_NONE;
}

bool rule_parameter_find(struct span name, unsigned *rule, unsigned *parameter)
{
    struct span rest = name;
    struct span head = span_cut(&rest, '.');
    unsigned found = rule_find(head);
    if (found == RULE_NONE || (head.size < name.size && rest.size == 0))
        return false;
    for (unsigned i = 0; i < rules[found].parameter_count; i++) {
        if (span_is(rest, rules[found].parameters[i].name)) {
            *rule = found;
            *parameter = i;
            return true;
        }
    }
    return false;
}

enum rule_mode rule_mode_get(const struct rule *rule, const struct rule_values *values)
{
    uint64_t number = values->value[VALUE_MODE].number;
    if (rule->parameters[VALUE_MODE].type == PARAMETER_SWITCH)
        return number ? MODE_ON : MODE_OFF;
    return (enum rule_mode)number;
}

bool rule_is_unsure(const struct rule *rule, const struct rule_values *values)
{
    for (size_t k = 0; k < rule->parameter_count && rule->flags & RULE_TWICE; k++)
        if (strcmp(rule->parameters[k].name, "sure") == 0)
            return values->value[k].number == 0;
    return rule->flags & RULE_TWICE;
}

bool rule_looks_at_content(const struct rule *rule, const struct rule_values *values)
{
    if (rule_mode_get(rule, values) == MODE_OFF)
        return false;
    if (rule->content)
        return !rule->content_switch || values->value[rule->content_switch].number;
    return rule->group == GROUP_CONTENT && rule->keeps_out;
}
