/* What the client calls itself and how it behaves: known without asking anybody. */
#include "policy/host_name.h"
#include "policy/pattern.h"
#include "policy/rules_internal.h"

#include <stdio.h>

void rule_unknown(const struct rule_values *values, struct verdict *verdict, const char *enhanced,
                  struct clean evidence, const char *what)
{
    if (values->value[ON_UNKNOWN].number)
        verdict_defer(verdict, enhanced, evidence, "%s could not be looked up now, please try again later", what);
}

bool says_helo_is_address(const struct facts *facts, struct verdict *verdict)
{
    struct ip_address ip;
    if (!facts->helo.size || !host_name_is_address(facts->helo, &ip))
        return false;
    verdict_refuse(verdict, 550, "5.7.1", clean(facts->helo), "your server calls itself %s, which is no name",
                   clean(facts->helo).text);
    return true;
}

void rule_helo_not_ip(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                      struct verdict *verdict)
{
    says_helo_is_address(facts, verdict);
}

/* People write the words with a dot or without. */
static bool has_tld(struct span tlds, struct span label)
{
    for (struct span word = words_next(&tlds); word.size; word = words_next(&tlds))
        if (span_equal_nocase(word.data[0] == '.' ? span_skip(word, 1) : word, label))
            return true;
    return false;
}

/* ".de" behind `before`; of an address, which has no such end, `otherwise`. */
static struct clean tld_shown(struct span name, const char *before, const char *otherwise)
{
    struct ip_address ip;
    struct clean shown;
    if (host_name_is_address(name, &ip))
        return clean(span_text(otherwise));
    snprintf(shown.text, sizeof shown.text, "%s.%.64s", before, clean(span_head(host_name_last_label(name), 64)).text);
    return shown;
}

void says_tld(const struct facts *facts, struct span tlds, struct verdict *verdict)
{
    struct span domain = sender_domain(facts);
    if (tlds.size == 0)
        return;
    if (domain.size && !has_tld(tlds, host_name_last_label(domain)))
        verdict_refuse(verdict, 550, "5.7.1", clean(domain), "mail from %s is not taken (your sender is %s)",
                       tld_shown(domain, "", "addresses without a domain").text, sender_shown(facts).text);
    else if (facts->helo.size && !has_tld(tlds, host_name_last_label(facts->helo)))
        verdict_refuse(verdict, 550, "5.7.1", clean(facts->helo), "mail from %s is not taken (yours calls itself %s)",
                       tld_shown(facts->helo, "servers in ", "servers without a name").text, clean(facts->helo).text);
}

void rule_sender_tld(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                     struct verdict *verdict)
{
    says_tld(facts, values->value[SENDER_TLD_TLDS].text, verdict);
}

static bool is_nothing(const struct ip_address *ip)
{
    static const struct ip_address zeros;
    return ip_address_equal(ip, &zeros);
}

void rule_helo_sane(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                    struct verdict *verdict)
{
    struct ip_address ip;
    struct span name = facts->helo;
    if (!name.size)
        return;
    if (name.data[name.size - 1] == '.') /* "localhost." is no more of a name */
        name = span_head(name, name.size - 1);
    if (host_name_is_address(facts->helo, &ip)) {
        bool is_ours = !is_nothing(&ip) && ip_address_equal(&ip, &facts->own_ip);
        if (is_ours && !ip_address_equal(&facts->ip, &facts->own_ip))
            verdict_refuse(verdict, 550, "5.7.1", clean(facts->helo), "your server calls itself %s, which is us",
                           clean(facts->helo).text);
    } else if (facts->own_name.size && span_equal_nocase(name, facts->own_name)) {
        verdict_refuse(verdict, 550, "5.7.1", clean(facts->helo), "your server calls itself %s, which is us",
                       clean(facts->helo).text);
    } else if (span_find(name, '.') == name.size) {
        verdict_refuse(verdict, 550, "5.7.1", clean(facts->helo), "your server calls itself %s, which is no full name",
                       clean(facts->helo).text);
    }
}

void rule_pregreet(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                   struct verdict *verdict)
{
    if (facts->spoke_early)
        verdict_refuse(verdict, 550, "5.7.1", clean_ip(&facts->ip),
                       "your server at %s spoke before it was greeted, as only spam programs do",
                       clean_ip(&facts->ip).text);
}

void rule_ip_black_list(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                        struct verdict *verdict)
{
    bool by_name = facts->own_list.result == OWN_LIST_NAME_LISTED;
    if (facts->state[FACT_OWN_LIST] != FACT_KNOWN || (facts->own_list.result != OWN_LIST_LISTED && !by_name))
        return;
    struct clean who = by_name ? clean(facts->ptr.name) : clean_ip(&facts->ip);
    verdict_refuse(verdict, 554, "5.7.1", who, "your %s %s is listed by this site's black list%s%s",
                   by_name ? "host's name" : "address", who.text, facts->own_list.reason.size ? ": " : "",
                   clean(facts->own_list.reason).text);
}

void rule_declared_size(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                        struct verdict *verdict)
{
    uint64_t most = values->value[MAX_SIZE_SIZE].number;
    if (most && facts->declared_size > most)
        verdict_refuse(verdict, 552, "5.2.3", clean(values->value[MAX_SIZE_SIZE].text),
                       "the message is larger than %s, the most that is taken here",
                       clean(values->value[MAX_SIZE_SIZE].text).text);
}
