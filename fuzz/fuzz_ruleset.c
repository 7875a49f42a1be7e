/* Rules in force as text, and single values: what was understood is written and read the same. The first byte chooses
 * a parameter for the value. */
#include "policy/ruleset.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_set(struct span text)
{
    static struct ruleset set, again;
    struct arena arena;
    struct buf out, second;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 4 * RULESET_TEXT_MAX);
    buf_init(&second, 4 * RULESET_TEXT_MAX);
    if (ruleset_parse(text, &arena, &set)) {
        ruleset_write(&set, &out);
        require(!buf_failed(&out));
        require(ruleset_parse(buf_span(&out), &arena, &again));
        ruleset_write(&again, &second);
        require(span_equal(buf_span(&out), buf_span(&second)));
        /* With a script that has its own mind nobody shares a class, not even with oneself. */
        (void)ruleset_same_content_class(&set, &again);
        require(ruleset_has_content_rules(&set) == ruleset_has_content_rules(&again));
        require(ruleset_shows_header(&set) == ruleset_shows_header(&again));
        require(ruleset_judges_everybody_apart(&set) == ruleset_judges_everybody_apart(&again));
        require(!ruleset_shows_header(&set) || ruleset_has_content_rules(&set));
    }
    buf_release(&out);
    buf_release(&second);
    arena_release(&arena);
}

static void check_value(unsigned choice, struct span text)
{
    struct arena arena;
    struct buf problem;
    struct rule_value value = {.level = LEVEL_SITE}, again = {.level = LEVEL_SITE};
    const struct rule *rule = &rules[choice % rule_count];
    const struct rule_parameter *p = &rule->parameters[choice / rule_count % rule->parameter_count];
    arena_init(&arena, 1 << 20);
    buf_init(&problem, 2000);
    if (rule_value_parse(p, text, &arena, &value, &problem)) {
        require(problem.size == 0 && memchr(value.text.size ? value.text.data : "x", '\n', value.text.size) == NULL);
        require(rule_value_parse(p, value.text, &arena, &again, &problem));
        require(span_equal(value.text, again.text) && value.number == again.number);
    } else {
        require(problem.size > 0 && !buf_failed(&problem));
    }
    buf_release(&problem);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    check_value(data[0], span_from(data + 1, size - 1));
    check_set(span_from(data, size));
    return 0;
}
