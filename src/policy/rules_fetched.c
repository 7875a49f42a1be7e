/* Of mail that was fetched from a remote account: the hop that brought it to the provider, and those before it. */
#include "policy/rules_internal.h"

enum { FETCHED_STRICT_TLDS = 2 };

/* The provider's own customers sit behind whatever they like. */
void rule_fetched_strict(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                         struct verdict *verdict)
{
    if (facts->is_local_to_provider)
        return;
    if (!says_helo_is_address(facts, verdict))
        says_tld(facts, values->value[FETCHED_STRICT_TLDS].text, verdict);
}

void rule_fetched_ip_black_list(const struct facts *facts, const struct recipient_facts *r,
                                const struct rule_values *values, struct verdict *verdict)
{
    bool by_name = facts->own_list.result == OWN_LIST_NAME_LISTED;
    if (facts->state[FACT_OWN_LIST] != FACT_KNOWN || facts->own_list.result == OWN_LIST_EXCEPTED)
        return;
    bool is_origin = facts->own_list.result == OWN_LIST_LISTED || by_name;
    if (!is_origin && facts->hop_list.result != OWN_LIST_LISTED)
        return;
    struct clean ip = clean_ip(is_origin ? &facts->ip : &facts->hop_list.hop);
    struct span reason = is_origin ? facts->own_list.reason : facts->hop_list.reason;
    verdict_refuse(verdict, 554, "5.7.1", ip, "it came through %s, which is listed by this site's black list%s%s",
                   ip.text, reason.size ? ": " : "", clean(reason).text);
}
