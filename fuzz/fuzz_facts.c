/* Stored facts from a hostile disk or process: what was understood is written and read the same, and the rules decide
 * from it without a fault, the same way twice, and never refuse for what is unknown. */
#include "policy/decide.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_round_trip(const struct facts *facts, const struct recipient_facts *r, struct arena *arena)
{
    struct facts again;
    struct recipient_facts r_again;
    struct buf first, second;
    buf_init(&first, FACTS_SIZE_MAX);
    buf_init(&second, FACTS_SIZE_MAX);
    facts_write(facts, r, true, &first);
    require(!buf_failed(&first));
    require(facts_parse(buf_span(&first), arena, &again, &r_again));
    facts_write(&again, &r_again, true, &second);
    require(span_equal(buf_span(&first), buf_span(&second)));
    buf_release(&first);
    buf_release(&second);
}

static void check_text(const char *text)
{
    for (; *text; text++)
        require(*text >= ' ' && *text < 127);
}

/* All rules on, so that each looks at the facts. */
static void set_all(struct ruleset *set)
{
    ruleset_init(set);
    for (size_t i = 0; i < rule_count; i++)
        set->rules[i].value[0].number = rules[i].parameters[0].type == PARAMETER_SWITCH ? 0 : MODE_ON;
}

static void check_decision(const struct facts *facts, const struct recipient_facts *r, enum decide_stage stage)
{
    static struct ruleset set;
    static struct decision d, again;
    const struct verdict before = {.kind = VERDICT_ACCEPT, .rule = RULE_NONE};
    const struct verdict *accepted_by = stage == DECIDE_CONTENT ? &before : NULL;
    struct buf reply;
    set_all(&set);
    enum decide_result result = decide_recipient(facts, r, &set, stage, accepted_by, &d);
    require(decide_recipient(facts, r, &set, stage, accepted_by, &again) == result && again.needs == d.needs);
    require((result == DECIDE_NEEDS) == (d.needs != 0));
    if (result == DECIDE_NEEDS)
        return;
    require(d.verdict.kind == again.verdict.kind && d.verdict.rule == again.verdict.rule && d.asked == again.asked);
    check_text(d.verdict.sentence);
    check_text(d.verdict.evidence);
    buf_init(&reply, 1000);
    decision_write_reply(&d.verdict, r, 1, false, r->recipient, &reply);
    require(!buf_failed(&reply) && reply.size < 500);
    buf_release(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct facts facts;
    struct recipient_facts r;
    arena_init(&arena, 1 << 20);
    if (facts_parse(span_from(data, size), &arena, &facts, &r)) {
        check_round_trip(&facts, &r, &arena);
        check_decision(&facts, &r, DECIDE_RCPT);
        check_decision(&facts, &r, DECIDE_CONTENT);
    }
    arena_release(&arena);
    return 0;
}
