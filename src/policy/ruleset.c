#include "policy/ruleset.h"

#include <stdlib.h>

/* The built-in values are the same for everybody: their texts stand in the table, so they are read once. */
static const struct ruleset *built_in(void)
{
    static struct ruleset defaults;
    static bool is_ready;
    if (is_ready)
        return &defaults;
    struct arena arena;
    struct buf problem;
    arena_init(&arena, 256u << 10);
    buf_init(&problem, 1000);
    for (size_t i = 0; i < rule_count; i++) {
        for (size_t k = 0; k < rules[i].parameter_count; k++) {
            const struct rule_parameter *p = &rules[i].parameters[k];
            struct rule_value *value = &defaults.rules[i].value[k];
            value->level = LEVEL_DEFAULT;
            if (!rule_value_parse(p, span_text(p->fallback), &arena, value, &problem))
                abort(); /* the table contradicts itself */
            value->text = span_text(p->fallback);
        }
    }
    buf_release(&problem);
    arena_release(&arena);
    is_ready = true;
    return &defaults;
}

void ruleset_init(struct ruleset *set)
{
    memcpy(set->rules, built_in()->rules, rule_count * sizeof *set->rules);
}

/* What narrower levels had said of a rule counts no more. */
static void lock(struct ruleset *set, unsigned rule)
{
    for (size_t k = 0; k < rules[rule].parameter_count; k++)
        if (set->rules[rule].value[k].level != LEVEL_SITE)
            set->rules[rule].value[k] = built_in()->rules[rule].value[k];
    set->rules[rule].is_locked = true;
}

static bool may_be_set(enum rule_level level, bool is_locked)
{
    return (unsigned)level < LEVEL_DEFAULT && (!is_locked || level == LEVEL_SITE);
}

bool ruleset_put(struct ruleset *set, struct arena *arena, struct span name, struct span text, enum rule_level level,
                 bool is_locked)
{
    unsigned rule, parameter;
    struct rule_value value = {.level = level};
    struct buf problem;
    if (!rule_parameter_find(name, &rule, &parameter) || !may_be_set(level, is_locked))
        return false;
    if (set->rules[rule].is_locked && level != LEVEL_SITE)
        return true; /* it is known, and does not count */
    buf_init(&problem, 1000);
    bool is_good = rule_value_parse(&rules[rule].parameters[parameter], text, arena, &value, &problem);
    buf_release(&problem);
    if (!is_good)
        return false;
    if (is_locked)
        lock(set, rule);
    set->rules[rule].value[parameter] = value;
    return true;
}

static void write_value(unsigned rule, size_t parameter, const struct rule_values *values, struct buf *out)
{
    const struct rule_value *value = &values->value[parameter];
    const char *name = rules[rule].parameters[parameter].name;
    buf_add_u64(out, value->level);
    if (values->is_locked)
        buf_add_char(out, '!');
    buf_add_char(out, ' ');
    buf_add_text(out, rules[rule].name);
    if (*name) {
        buf_add_char(out, '.');
        buf_add_text(out, name);
    }
    buf_add_char(out, '=');
    buf_add_span(out, value->text);
    buf_add_char(out, '\n');
}

void ruleset_write(const struct ruleset *set, struct buf *out)
{
    for (unsigned i = 0; i < rule_count; i++)
        for (size_t k = 0; k < rules[i].parameter_count; k++)
            if (set->rules[i].value[k].level != LEVEL_DEFAULT)
                write_value(i, k, &set->rules[i], out);
}

/* "2 white-list=on", "0! ip-black-list=on". False where it is no such line or there is no memory. */
static bool put_line(struct ruleset *set, struct arena *arena, struct span line)
{
    struct span text = line;
    struct span head = span_cut(&text, ' ');
    bool is_locked = head.size == 2 && head.data[1] == '!';
    if ((head.size != 1 && !is_locked) || head.data[0] < '0' || head.data[0] >= '0' + LEVEL_DEFAULT)
        return false;
    if (span_find(text, '=') == text.size)
        return false;
    struct span name = span_cut(&text, '=');
    /* What a newer program wrote is passed over, but not what there is no memory for: a rule would be missing. */
    return ruleset_put(set, arena, name, text, (enum rule_level)(head.data[0] - '0'), is_locked) ||
           arena_alloc(arena, text.size + 64) != NULL;
}

bool ruleset_parse(struct span text, struct arena *arena, struct ruleset *set)
{
    ruleset_init(set);
    if (text.size > RULESET_TEXT_MAX)
        return false;
    while (text.size)
        if (!put_line(set, arena, span_cut(&text, '\n')))
            return false;
    return true;
}

const struct rule_value *ruleset_get(const struct ruleset *set, const char *name)
{
    unsigned rule, parameter;
    if (!rule_parameter_find(span_text(name), &rule, &parameter))
        abort(); /* the caller's name is a literal */
    return &set->rules[rule].value[parameter];
}

/* May it give two recipients two answers? To file is to take, and to watch is, too. */
static bool can_disagree(const struct ruleset *set, unsigned rule)
{
    if (!rule_looks_at_content(&rules[rule], &set->rules[rule]))
        return false;
    enum rule_mode mode = rule_mode_get(&rules[rule], &set->rules[rule]);
    return mode == MODE_ON || (mode == MODE_FILE && (rules[rule].flags & RULE_OWN_MIND));
}

bool ruleset_same_content_class(const struct ruleset *a, const struct ruleset *b)
{
    for (unsigned i = 0; i < rule_count; i++) {
        bool in_a = can_disagree(a, i), in_b = can_disagree(b, i);
        if (in_a != in_b || (in_a && (rules[i].flags & RULE_OWN_MIND)))
            return false;
        if (in_a && a->rules[i].is_locked != b->rules[i].is_locked)
            return false;
        for (size_t k = 0; in_a && k < rules[i].parameter_count; k++)
            if (!span_equal(a->rules[i].value[k].text, b->rules[i].value[k].text))
                return false;
    }
    return true;
}

bool ruleset_has_content_rules(const struct ruleset *set)
{
    for (unsigned i = 0; i < rule_count; i++)
        if (rule_looks_at_content(&rules[i], &set->rules[i]))
            return true;
    return false;
}

bool ruleset_shows_header(const struct ruleset *set)
{
    for (unsigned i = 0; i < rule_count; i++)
        if ((rules[i].needs_of_content & FACT_BIT(FACT_SCRIPT_CONTENT)) &&
            rule_looks_at_content(&rules[i], &set->rules[i]))
            return true;
    return false;
}

bool ruleset_judges_everybody_apart(const struct ruleset *set)
{
    for (unsigned i = 0; i < rule_count; i++)
        if ((rules[i].flags & RULE_OWN_MIND) && set->rules[i].is_locked && can_disagree(set, i))
            return true;
    return false;
}
