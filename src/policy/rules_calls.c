/* Those whose facts cost a connection elsewhere, or the script's process. */
#include "format/utf8.h"
#include "policy/host_name.h"
#include "policy/pattern.h"
#include "policy/rules_internal.h"
#include "policy/ruleset.h"

#include <stdio.h>

/* ---- WHOIS ---- */

/* "as64496" and "64496" mean the same. */
static struct span as_number(struct span as)
{
    return span_starts_nocase(as, (struct span)SPAN("as")) ? span_skip(as, 2) : as;
}

static bool is_among(struct span words, struct span value, bool is_as)
{
    for (struct span word = words_next(&words); word.size; word = words_next(&words))
        if (pattern_matches(is_as ? as_number(word) : word, is_as ? as_number(value) : value))
            return true;
    return false;
}

struct whois_part {
    const char *name;
    struct span value;
    unsigned denied, allowed; /* parameters */
};

/* True when the part says no. Of what WHOIS does not say nothing follows. */
static bool whois_says_no(const struct whois_part *part, const struct rule_values *values)
{
    bool is_as = part->denied == WHOIS_AS;
    struct span allowed = values->value[part->allowed].text;
    if (part->value.size == 0)
        return false;
    return is_among(values->value[part->denied].text, part->value, is_as) ||
           (allowed.size && !is_among(allowed, part->value, is_as));
}

static bool has_words(const struct rule_values *values)
{
    for (unsigned i = WHOIS_COUNTRIES; i <= WHOIS_ALLOW_AS; i++)
        if (values->value[i].text.size)
            return true;
    return false;
}

static bool is_on(const struct ruleset *set, const char *rule)
{
    return ruleset_get(set, rule)->number != MODE_OFF;
}

/* With no words in any list and nobody else who reads it there is nothing to ask for. */
uint32_t rule_whois_needs(const struct facts *facts, const struct recipient_facts *r, const struct ruleset *set,
                          const struct rule_values *values)
{
    return has_words(values) || is_on(set, "site-script") ? FACT_BIT(FACT_WHOIS) : 0;
}

void rule_whois(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                struct verdict *verdict)
{
    const struct whois_part parts[] = {
        {"country", facts->whois.country, WHOIS_COUNTRIES, WHOIS_ALLOW_COUNTRIES},
        {"registry", facts->whois.registry, WHOIS_REGISTRIES, WHOIS_ALLOW_REGISTRIES},
        {"network", facts->whois.network, WHOIS_NETWORKS, WHOIS_ALLOW_NETWORKS},
        {"AS", facts->whois.as_, WHOIS_AS, WHOIS_ALLOW_AS},
    };
    if (!has_words(values))
        return;
    if (facts->state[FACT_WHOIS] == FACT_UNKNOWN)
        rule_unknown(values, verdict, "4.4.3", clean_ip(&facts->ip), "the owner of your address");
    if (facts->state[FACT_WHOIS] != FACT_KNOWN)
        return;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!whois_says_no(&parts[i], values))
            continue;
        struct clean evidence;
        snprintf(evidence.text, sizeof evidence.text, "%s %.100s", parts[i].name, clean(parts[i].value).text);
        verdict_refuse(verdict, 550, "5.7.1", evidence,
                       "your address %s belongs to %s by WHOIS, from where no mail is taken here",
                       clean_ip(&facts->ip).text, evidence.text);
        return;
    }
}

/* ---- The site's script ---- */

static bool is_folder(struct span name)
{
    for (size_t i = 0; i < name.size; i++)
        if ((unsigned char)name.data[i] < ' ' || name.data[i] == 127)
            return false;
    return name.size && name.size < FOLDER_MAX && utf8_is_valid(name);
}

static void script_says(const struct script_fact *script, const struct rule_values *values, struct verdict *verdict)
{
    struct clean text = clean(script->text);
    struct span folder = is_folder(script->text) ? script->text : values->value[VALUE_FOLDER].text;
    switch (script->result) {
    case SCRIPT_NOTHING:
        return;
    case SCRIPT_ACCEPT:
        verdict_accept(verdict, text, "%s", text.text);
        return;
    case SCRIPT_REFUSE:
        verdict_refuse(verdict, 550, "5.7.1", text, "%s", text.text[0] ? text.text : "this site's own rules say no");
        return;
    case SCRIPT_DEFER:
        verdict_defer(verdict, "4.7.1", text, "%s", text.text[0] ? text.text : "this site's own rules say not now");
        return;
    case SCRIPT_FILE:
        verdict_refuse(verdict, 550, "5.7.1", text, "this site's own rules put it into %s", clean(folder).text);
        verdict->kind = VERDICT_FILE;
        snprintf(verdict->folder, sizeof verdict->folder, "%.*s", SPAN_ARG(folder));
        return;
    }
}

/* What the script may look at comes before it. */
uint32_t rule_site_script_needs(const struct facts *facts, const struct recipient_facts *r, const struct ruleset *set,
                                const struct rule_values *values)
{
    bool lacks_ptr = facts->state[FACT_PTR] == FACT_NOT_ASKED;
    bool lacks_whois = facts->state[FACT_WHOIS] == FACT_NOT_ASKED && is_on(set, "whois");
    if (!lacks_ptr && !lacks_whois)
        return FACT_BIT(FACT_SCRIPT);
    return (lacks_ptr ? FACT_BIT(FACT_PTR) : 0) | (lacks_whois ? FACT_BIT(FACT_WHOIS) : 0);
}

void rule_site_script(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                      struct verdict *verdict)
{
    if (r->script_state == FACT_KNOWN)
        script_says(&r->script, values, verdict);
    else if (r->script_state == FACT_UNKNOWN)
        rule_unknown(values, verdict, "4.3.0", clean(r->recipient), "what this site's own rules say");
}

void rule_site_script_content(const struct facts *facts, const struct recipient_facts *r,
                              const struct rule_values *values, struct verdict *verdict)
{
    if (r->script_content_state == FACT_KNOWN)
        script_says(&r->script_content, values, verdict);
    else if (r->script_content_state == FACT_UNKNOWN)
        rule_unknown(values, verdict, "4.3.0", clean(r->recipient), "what this site's own rules say");
}

/* ---- Call-backs ---- */

/* Never of <> and postmasters: nobody's call-back is called back, so two servers that ask one another never loop. */
static bool is_to_be_asked(const struct facts *facts)
{
    size_t at = span_find_last(facts->reverse_path, '@');
    struct span local_part = span_head(facts->reverse_path, at);
    return at < facts->reverse_path.size && !span_equal_nocase(local_part, (struct span)SPAN("postmaster"));
}

uint32_t rule_verify_sender_needs(const struct facts *facts, const struct recipient_facts *r, const struct ruleset *set,
                                  const struct rule_values *values)
{
    return is_to_be_asked(facts) ? FACT_BIT(FACT_CALL_BACK) | FACT_BIT(FACT_REVERSE_CALL_BACK) : 0;
}

void rule_verify_sender(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                        struct verdict *verdict)
{
    struct clean reply = clean(facts->call_back.reply);
    if (!is_to_be_asked(facts))
        return;
    if (facts->state[FACT_CALL_BACK] == FACT_UNKNOWN && values->value[ON_UNKNOWN].number)
        verdict_defer(verdict, "4.4.3", clean(facts->reverse_path),
                      "your sender's own server could not be asked about %s now, please try again later",
                      sender_shown(facts).text);
    if (facts->state[FACT_CALL_BACK] == FACT_KNOWN && facts->call_back.result == CALL_BACK_REFUSES)
        verdict_refuse(verdict, 550, "5.7.1", reply, "your sender's own server takes no mail for %s: %s",
                       sender_shown(facts).text, reply.text);
}

void rule_reverse_sender(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                         struct verdict *verdict)
{
    struct clean reply = clean(facts->reverse_call_back.reply);
    if (!is_to_be_asked(facts))
        return;
    if (facts->state[FACT_REVERSE_CALL_BACK] == FACT_UNKNOWN)
        rule_unknown(values, verdict, "4.4.3", clean_ip(&facts->ip), "what your own server says of its sender");
    if (facts->state[FACT_REVERSE_CALL_BACK] == FACT_KNOWN && facts->reverse_call_back.result == CALL_BACK_REFUSES)
        verdict_refuse(verdict, 550, "5.7.1", reply, "the server at your address %s takes no mail for %s itself: %s",
                       clean_ip(&facts->ip).text, sender_shown(facts).text, reply.text);
}
