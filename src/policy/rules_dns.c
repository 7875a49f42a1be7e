/* What the DNS says. */
#include "policy/host_name.h"
#include "policy/pattern.h"
#include "policy/rules_internal.h"

void rule_no_ptr(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                 struct verdict *verdict)
{
    struct clean ip = clean_ip(&facts->ip);
    enum fact_state state = (enum fact_state)facts->state[FACT_PTR];
    if (state == FACT_UNKNOWN)
        rule_unknown(values, verdict, "4.4.3", ip, "the name of your address");
    else if (state == FACT_ABSENT || (state == FACT_KNOWN && !facts->ptr.name.size && !facts->ptr.claimed.size))
        verdict_refuse(verdict, 550, "5.7.25", ip, "your address %s has no name in the DNS (PTR)", ip.text);
    else if (state == FACT_KNOWN && !facts->ptr.name.size && values->value[NO_PTR_CONFIRMED].number)
        verdict_refuse(verdict, 550, "5.7.25", clean(facts->ptr.claimed),
                       "the name %s of your address %s does not lead back to it", clean(facts->ptr.claimed).text,
                       ip.text);
}

uint32_t rule_denied_host_names_needs(const struct facts *facts, const struct recipient_facts *r,
                                      const struct ruleset *set, const struct rule_values *values)
{
    return r->has_denied_names ? FACT_BIT(FACT_PTR) : 0;
}

/* Also by a name that nothing proves: who claims to be called so may not complain. */
void rule_denied_host_names(const struct facts *facts, const struct recipient_facts *r,
                            const struct rule_values *values, struct verdict *verdict)
{
    if (facts->state[FACT_PTR] == FACT_UNKNOWN) {
        rule_unknown(values, verdict, "4.4.3", clean_ip(&facts->ip), "the name of your address");
        return;
    }
    for (size_t i = 0; facts->state[FACT_PTR] == FACT_KNOWN && i < facts->ptr.hit_count; i++) {
        const struct list_hit *hit = &facts->ptr.hits[i];
        if (hit->kind != LIST_KIND_DENIED_NAME)
            continue;
        struct clean name = clean(facts->ptr.name.size ? facts->ptr.name : facts->ptr.claimed);
        verdict->level = hit->level < LEVEL_COUNT ? (enum rule_level)hit->level : LEVEL_SITE;
        verdict_refuse(verdict, 550, "5.7.1", name, "hosts called like %s are not let in here (yours is %s)",
                       clean(hit->entry).text, name.text);
        return;
    }
}

/* Whom the site's own list excepts is asked about no further. */
static bool is_excepted(const struct facts *facts)
{
    return facts->state[FACT_OWN_LIST] == FACT_KNOWN && facts->own_list.result == OWN_LIST_EXCEPTED;
}

uint32_t rule_dnsbl_needs(const struct facts *facts, const struct recipient_facts *r, const struct ruleset *set,
                          const struct rule_values *values)
{
    return is_excepted(facts) ? 0 : FACT_BIT(FACT_DNS_LISTS);
}

static bool is_chosen(const struct dns_list_fact *list, const struct rule_values *values)
{
    struct span zones = values->value[DNSBL_ZONES].text;
    return zones.size == 0 || words_have(zones, list->zone);
}

static void say_listed(const struct facts *facts, const struct dns_list_fact *list, struct verdict *verdict)
{
    struct clean ip = clean_ip(&facts->ip), evidence = clean(list->zone);
    verdict_refuse(verdict, 554, "5.7.1", evidence, "your address %s is listed by %s%s%s", ip.text, evidence.text,
                   list->reason.size ? ": " : "", clean(list->reason).text);
}

void rule_dnsbl(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                struct verdict *verdict)
{
    const struct dns_list_fact *black = NULL;
    bool is_unknown = facts->state[FACT_DNS_LISTS] == FACT_UNKNOWN;
    if (is_excepted(facts))
        return;
    for (size_t i = 0; facts->state[FACT_DNS_LISTS] == FACT_KNOWN && i < facts->dns_list_count; i++) {
        const struct dns_list_fact *list = &facts->dns_lists[i];
        if (list->is_white && list->result == DNS_LIST_FACT_LISTED)
            return;
        if (list->is_white || !is_chosen(list, values))
            continue;
        is_unknown |= list->result == DNS_LIST_FACT_UNKNOWN;
        if (!black && list->result == DNS_LIST_FACT_LISTED)
            black = list;
    }
    if (black)
        say_listed(facts, black, verdict);
    else if (is_unknown)
        rule_unknown(values, verdict, "4.4.3", clean_ip(&facts->ip), "your address");
}

void rule_return_path(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                      struct verdict *verdict)
{
    struct clean sender = sender_shown(facts);
    if (facts->reverse_path.size == 0)
        return;
    if (facts->state[FACT_RETURN_PATH] == FACT_UNKNOWN) {
        if (values->value[ON_UNKNOWN].number)
            verdict_defer(verdict, "4.4.3", clean(facts->reverse_path),
                          "your return-path %s could not be checked, since its domain can't be looked up now; please "
                          "try again later",
                          sender.text);
        return;
    }
    if (facts->state[FACT_RETURN_PATH] != FACT_KNOWN)
        return;
    if (facts->return_path == RETURN_PATH_NO_DOMAIN)
        verdict_refuse(verdict, 550, "5.1.8", clean(facts->reverse_path),
                       "your return-path %s has a domain without MX, A or AAAA records: no answer could reach you",
                       sender.text);
    else if (facts->return_path == RETURN_PATH_NULL_MX)
        verdict_refuse(verdict, 550, "5.7.27", clean(facts->reverse_path),
                       "your return-path %s has a domain that takes no mail (null MX): no answer could reach you",
                       sender.text);
}

/* ---- Greylisting ---- */

static bool is_listed_white(const struct facts *facts, const struct recipient_facts *r)
{
    for (size_t i = 0; i < r->hit_count; i++)
        if (r->hits[i].kind == LIST_KIND_WHITE || r->hits[i].kind == LIST_KIND_KNOWN ||
            r->hits[i].kind == LIST_KIND_APPROVED)
            return true;
    for (size_t i = 0; facts->state[FACT_DNS_LISTS] == FACT_KNOWN && i < facts->dns_list_count; i++)
        if (facts->dns_lists[i].is_white && facts->dns_lists[i].result == DNS_LIST_FACT_LISTED)
            return true;
    return is_excepted(facts);
}

/* Why the client looks like a home computer rather than a mail server, or NULL. */
static const char *suspicion(const struct facts *facts)
{
    struct ip_address ip;
    struct span name = facts->ptr.name.size ? facts->ptr.name : facts->ptr.claimed;
    if (facts->state[FACT_PTR] == FACT_ABSENT)
        return "it has no name in the DNS";
    if (facts->state[FACT_PTR] != FACT_KNOWN)
        return NULL;
    if (!facts->ptr.name.size)
        return "its name in the DNS does not lead back to it";
    if (host_name_looks_dynamic(name, &facts->ip))
        return "its name looks like a home connection's";
    if (facts->helo.size && (host_name_is_address(facts->helo, &ip) || !host_name_fits(facts->helo, name)))
        return "it calls itself by another name";
    return NULL;
}

static bool is_everybody(const struct rule_values *values)
{
    return values->value[GREYLIST_ONLY].number != 0;
}

uint32_t rule_greylist_needs(const struct facts *facts, const struct recipient_facts *r, const struct ruleset *set,
                             const struct rule_values *values)
{
    if (is_listed_white(facts, r))
        return 0;
    if (is_everybody(values))
        return FACT_BIT(FACT_GREYLIST);
    if (facts->state[FACT_PTR] == FACT_NOT_ASKED)
        return FACT_BIT(FACT_PTR);
    return suspicion(facts) ? FACT_BIT(FACT_GREYLIST) : 0;
}

void rule_greylist(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                   struct verdict *verdict)
{
    const char *why = is_everybody(values) ? "everybody does the first time" : suspicion(facts);
    unsigned most = (unsigned)values->value[GREYLIST_WAIT].number;
    if (is_listed_white(facts, r) || !why || r->greylist_state != FACT_KNOWN || r->greylist_wait == 0)
        return;
    unsigned wait = r->greylist_wait < most ? r->greylist_wait : most;
    verdict_defer(verdict, "4.7.1", clean(span_text(why)),
                  "your server %s has to try again in %u seconds, since %s; this happens once",
                  clean_ip(&facts->ip).text, wait, why);
}
