/* About the message itself. */
#include "policy/pattern.h"
#include "policy/rules_internal.h"

void rule_max_size(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                   struct verdict *verdict)
{
    struct clean most = clean(values->value[MAX_SIZE_SIZE].text);
    uint64_t limit = values->value[MAX_SIZE_SIZE].number;
    if (facts->state[FACT_CONTENT] == FACT_KNOWN && limit && facts->content.size > limit)
        verdict_refuse(verdict, 552, "5.2.3", most, "the message is larger than %s, the most that is taken here",
                       most.text);
}

/* Windows opens "run.exe. ." as run.exe. */
static struct span trim_name(struct span name)
{
    while (name.size && strchr(". \t", name.data[name.size - 1]))
        name = span_head(name, name.size - 1);
    return name;
}

static struct span extension(struct span name)
{
    size_t dot = span_find_last(name, '.');
    return span_skip(name, dot + 1);
}

/* "image/svg+xml" and "application/x-*" are types, "*.exe" and "invoice*.zip" are names, "exe" and ".exe" are what a
 * name ends in. */
static bool is_of_type(struct span word, const struct attachment_fact *a)
{
    struct span name = trim_name(a->name);
    if (span_find(word, '/') < word.size)
        return pattern_matches(word, a->type);
    if (span_find(word, '*') < word.size || span_find(word, '?') < word.size)
        return name.size && pattern_matches(word, name);
    return name.size && span_equal_nocase(word.data[0] == '.' ? span_skip(word, 1) : word, extension(name));
}

void rule_attachment_types(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                           struct verdict *verdict)
{
    const struct content_fact *content = &facts->content;
    if (facts->state[FACT_CONTENT] != FACT_KNOWN)
        return;
    for (size_t i = 0; i < content->attachment_count; i++) {
        const struct attachment_fact *a = &content->attachments[i];
        struct span words = values->value[ATTACHMENT_TYPES_TYPES].text;
        for (struct span word = words_next(&words); word.size; word = words_next(&words)) {
            if (!is_of_type(word, a))
                continue;
            struct clean name = clean(a->name.size ? a->name : a->type);
            verdict_refuse(verdict, 550, "5.7.1", name, "the attachment %s is of a kind that is not taken here (%s)",
                           name.text, clean(word).text);
            return;
        }
    }
    /* Else two hundred pictures would hide a program. */
    if (content->has_more_attachments && values->value[ATTACHMENT_TYPES_TYPES].text.size)
        verdict_refuse(verdict, 550, "5.7.1", clean(span_text("too many")),
                       "the message has so many attachments, or such long names of them, that not all can be checked");
}

void rule_block_agent(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                      struct verdict *verdict)
{
    /* A pattern is tried against so many bytes and no more. */
    struct span agent = span_head(facts->content.user_agent, 500);
    if (facts->state[FACT_CONTENT] != FACT_KNOWN || agent.size == 0)
        return;
    struct span word = words_match(values->value[BLOCK_AGENT_PATTERNS].text, agent);
    if (word.size)
        verdict_refuse(verdict, 550, "5.7.1", clean(agent), "mail written with %s is not taken here (%s)",
                       clean(agent).text, clean(word).text);
}
