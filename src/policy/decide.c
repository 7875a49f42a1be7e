#include "policy/decide.h"

#include "policy/sentence.h"

#include <stdio.h>

/* One walk over the table. */
struct walk {
    const struct facts *facts;
    const struct recipient_facts *r;
    const struct ruleset *set;
    struct decision *decision;
    uint64_t keepers; /* a bit for each rule, by its place, that might keep the mail out */
    bool has_file;    /* decision->verdict has a folder already */
};

enum said { SAID_NOTHING, SAID_END, SAID_WAIT };

/* ---- Which rules are asked ---- */

static bool concerns(const struct walk *w, unsigned rule)
{
    unsigned flags = rules[rule].flags;
    if ((flags & RULE_STRANGERS) && w->facts->standing != STANDING_STRANGER)
        return false;
    if ((flags & (RULE_DIRECT | RULE_FETCHED)) == 0)
        return true;
    return (flags & (w->facts->is_fetched ? RULE_FETCHED : RULE_DIRECT)) != 0;
}

static enum rule_mode mode_of(const struct walk *w, unsigned rule)
{
    return rules[rule].flags & RULE_OF_SENDER ? MODE_ON : rule_mode_get(&rules[rule], &w->set->rules[rule]);
}

static uint32_t missing(const struct walk *w, uint32_t needs)
{
    uint32_t result = 0;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        if ((needs & FACT_BIT(fact)) && fact_state_get(w->facts, w->r, (enum fact)fact) == FACT_NOT_ASKED)
            result |= FACT_BIT(fact);
    return result;
}

/* ---- What a rule's word comes to ---- */

static void watch(struct walk *w, const struct verdict *verdict)
{
    struct decision *d = w->decision;
    if (d->watched_count == DECISION_WATCHED_MAX)
        return;
    d->watched[d->watched_count] = *verdict;
    d->watched[d->watched_count++].kind = VERDICT_WATCH;
}

/* The first folder stays. */
static void file(struct walk *w, struct verdict *verdict)
{
    if (w->has_file)
        return;
    verdict->kind = VERDICT_FILE;
    w->decision->verdict = *verdict;
    w->has_file = true;
}

static bool only_watches(const struct walk *w, unsigned rule)
{
    return mode_of(w, rule) == MODE_WATCH || rule_is_unsure(&rules[rule], &w->set->rules[rule]);
}

static enum said accept(struct walk *w, const struct verdict *verdict)
{
    if (!w->has_file)
        w->decision->verdict = *verdict;
    w->decision->verdict.let_in = true;
    return SAID_END;
}

static enum said weigh(struct walk *w, struct verdict *verdict)
{
    const struct rule_values *values = &w->set->rules[verdict->rule];
    if (verdict->kind == VERDICT_NO_OPINION) {
        w->decision->asked |= rule_bit(verdict->rule);
        return SAID_NOTHING;
    }
    /* A rule with two halves may have been asked before, by its other one. */
    w->decision->asked &= ~rule_bit(verdict->rule);
    bool is_list_entry = verdict->kind == VERDICT_ACCEPT && (rules[verdict->rule].flags & RULE_LISTS_LET_IN);
    if (!is_list_entry && only_watches(w, verdict->rule)) {
        if (verdict->kind != VERDICT_ACCEPT)
            watch(w, verdict);
        return SAID_NOTHING;
    }
    if (verdict->kind == VERDICT_ACCEPT)
        return accept(w, verdict);
    if (verdict->kind == VERDICT_REFUSE && mode_of(w, verdict->rule) == MODE_FILE) {
        snprintf(verdict->folder, sizeof verdict->folder, "%.*s", SPAN_ARG(values->value[VALUE_FOLDER].text));
        verdict->kind = VERDICT_FILE;
    }
    if (verdict->kind == VERDICT_FILE) {
        file(w, verdict);
        return SAID_NOTHING;
    }
    w->decision->verdict = *verdict;
    return SAID_END;
}

static enum said ask(struct walk *w, unsigned rule, rule_decide *decide)
{
    const struct rule_values *values = &w->set->rules[rule];
    struct verdict verdict;
    verdict.kind = VERDICT_NO_OPINION;
    verdict.rule = rule;
    verdict.level = values->value[VALUE_MODE].level;
    verdict.let_in = false;
    verdict.code = 0;
    verdict.enhanced[0] = verdict.sentence[0] = verdict.evidence[0] = verdict.folder[0] = '\0';
    decide(w->facts, w->r, values, &verdict);
    return weigh(w, &verdict);
}

/* ---- Groups ---- */

static uint32_t needs_of(const struct walk *w, unsigned rule)
{
    const struct rule *row = &rules[rule];
    uint32_t needs =
        row->which_needs ? row->which_needs(w->facts, w->r, w->set, &w->set->rules[rule]) & row->needs : row->needs;
    return missing(w, needs);
}

/* Group 3: whoever lets in is believed at once, whatever other rules of the group still have to learn. */
static enum said ask_who_lets_in(struct walk *w)
{
    uint32_t needs = 0;
    for (unsigned i = 0; i < rule_count; i++) {
        bool always = rules[i].flags & RULE_LISTS_LET_IN;
        if (!rules[i].lets_in || !concerns(w, i) || (!always && mode_of(w, i) < MODE_FILE))
            continue;
        uint32_t lacks = missing(w, rules[i].needs_to_let_in);
        if (rules[i].which_needs)
            lacks &= rules[i].which_needs(w->facts, w->r, w->set, &w->set->rules[i]);
        needs |= lacks;
        if (!lacks && ask(w, i, rules[i].lets_in) == SAID_END)
            return SAID_END;
    }
    w->decision->needs = needs;
    return needs ? SAID_WAIT : SAID_NOTHING;
}

static bool is_in(const struct walk *w, unsigned rule, enum rule_group group)
{
    const struct rule *row = &rules[rule];
    bool locked = w->set->rules[rule].is_locked && row->group >= GROUP_LOCAL && row->group <= GROUP_CALLS_OUT;
    return group == GROUP_LOCKED ? locked : row->group == group && !locked;
}

static void find_keepers(struct walk *w)
{
    for (unsigned i = 0; i < rule_count; i++)
        if (rules[i].keeps_out && mode_of(w, i) != MODE_OFF && concerns(w, i))
            w->keepers |= UINT64_C(1) << i;
}

/* Takes the next of the keepers that are left; those there are must not be none. */
static unsigned take_keeper(uint64_t *left)
{
    unsigned rule = (unsigned)__builtin_ctzll(*left);
    *left &= *left - 1;
    return rule;
}

/* In the order of the table. A rule whose facts are there speaks only while none before it lacks any: the first word
 * counts. What all of the group lack is named at once. */
static enum said ask_who_keeps_out(struct walk *w, enum rule_group group)
{
    uint32_t needs = 0;
    for (uint64_t left = w->keepers; left;) {
        unsigned i = take_keeper(&left);
        if (!is_in(w, i, group))
            continue;
        needs |= needs_of(w, i);
        if (!needs && ask(w, i, rules[i].keeps_out) == SAID_END)
            return SAID_END;
    }
    w->decision->needs = needs;
    return needs ? SAID_WAIT : SAID_NOTHING;
}

/* What the call-outs will lack is fetched together with what the DNS group lacks, but for the script's word: it is to
 * see what the others brought. */
static uint32_t needs_of_call_outs(const struct walk *w)
{
    uint32_t needs = 0;
    for (uint64_t left = w->keepers; left;) {
        unsigned i = take_keeper(&left);
        if (is_in(w, i, GROUP_CALLS_OUT))
            needs |= needs_of(w, i);
    }
    return needs & ~FACT_BIT(FACT_SCRIPT);
}

static enum said ask_about_envelope(struct walk *w)
{
    find_keepers(w);
    enum said said = ask_who_keeps_out(w, GROUP_LOCKED);
    if (said != SAID_NOTHING || w->r->hears_everybody)
        return said;
    for (enum rule_group group = GROUP_PROTECTION; group <= GROUP_CALLS_OUT; group++) {
        if (group == GROUP_LETS_IN)
            said = ask_who_lets_in(w);
        if (said == SAID_NOTHING)
            said = ask_who_keeps_out(w, group);
        if (said == SAID_WAIT && group == GROUP_DNS)
            w->decision->needs |= needs_of_call_outs(w);
        if (said != SAID_NOTHING)
            return said;
    }
    return SAID_NOTHING;
}

static enum said ask_about_content(struct walk *w, bool only_locked)
{
    uint32_t needs = 0;
    for (unsigned i = 0; i < rule_count; i++) {
        if ((only_locked && !w->set->rules[i].is_locked) || !concerns(w, i) ||
            !rule_looks_at_content(&rules[i], &w->set->rules[i]))
            continue;
        needs |= missing(w, rules[i].content ? rules[i].needs_of_content : rules[i].needs);
        if (needs || ask(w, i, rules[i].content ? rules[i].content : rules[i].keeps_out) == SAID_NOTHING)
            continue;
        if (w->decision->verdict.kind == VERDICT_REFUSE || w->decision->verdict.kind == VERDICT_DEFER)
            return SAID_END;
        only_locked = true; /* it was let in */
    }
    w->decision->needs = needs;
    return needs ? SAID_WAIT : SAID_NOTHING;
}

/* ---- The answer ---- */

static void begin(struct walk *w, const struct verdict *accepted_by)
{
    struct decision *d = w->decision;
    d->needs = 0;
    d->watched_count = 0;
    d->asked = 0;
    if (accepted_by) {
        d->verdict = *accepted_by;
        w->has_file = accepted_by->kind == VERDICT_FILE;
        return;
    }
    memset(&d->verdict, 0, sizeof d->verdict);
    d->verdict.kind = VERDICT_ACCEPT;
    d->verdict.rule = RULE_NONE;
    d->verdict.level = LEVEL_DEFAULT;
}

enum decide_result decide_recipient(const struct facts *facts, const struct recipient_facts *r,
                                    const struct ruleset *set, enum decide_stage stage,
                                    const struct verdict *accepted_by, struct decision *decision)
{
    struct walk w = {.facts = facts, .r = r, .set = set, .decision = decision};
    begin(&w, stage == DECIDE_CONTENT ? accepted_by : NULL);
    enum said said = stage == DECIDE_CONTENT ? ask_about_content(&w, r->hears_everybody || decision->verdict.let_in)
                                             : ask_about_envelope(&w);
    return said == SAID_WAIT ? DECIDE_NEEDS : DECIDE_DONE;
}

/* ---- The reply ---- */

#define RECIPIENT_SHOWN_MAX 120
#define HELP_PAGE_SHOWN_MAX 200

void decision_write_reply(const struct verdict *verdict, const struct recipient_facts *r, uint64_t reference,
                          bool terse, struct span help_page, struct buf *out)
{
    struct buf tail;
    char shown[10];
    size_t start = out->size;
    buf_init(&tail, 400);
    if (reference) {
        reference_write(reference, shown);
        buf_printf(&tail, ". Reference %s", shown);
    }
    if (help_page.size) {
        buf_add_text(&tail, reference ? ", see " : ". See ");
        clean_write(help_page, HELP_PAGE_SHOWN_MAX, &tail);
    }
    clean_write(r->recipient, RECIPIENT_SHOWN_MAX, out);
    buf_add_text(out, verdict->kind == VERDICT_DEFER ? " does not take this now" : " does not take this");
    if (!terse && verdict->sentence[0]) {
        buf_add_text(out, ": ");
        clean_write(span_text(verdict->sentence), DECISION_REPLY_MAX - tail.size - (out->size - start), out);
    }
    buf_add_span(out, buf_span(&tail));
    out->failed |= buf_failed(&tail);
    buf_release(&tail);
}
