#include "policy/facts.h"

static const char *const names[FACT_COUNT] = {
    [FACT_PTR] = "ptr",
    [FACT_OWN_LIST] = "own-list",
    [FACT_DNS_LISTS] = "dns-lists",
    [FACT_RETURN_PATH] = "return-path",
    [FACT_GREYLIST] = "greylist",
    [FACT_WHOIS] = "whois",
    [FACT_SCRIPT] = "script",
    [FACT_CALL_BACK] = "call-back",
    [FACT_REVERSE_CALL_BACK] = "reverse-call-back",
    [FACT_CONTENT] = "content",
    [FACT_SCRIPT_CONTENT] = "script-content",
};

const char *fact_name(enum fact fact)
{
    return names[fact];
}

enum fact_state fact_state_get(const struct facts *facts, const struct recipient_facts *r, enum fact fact)
{
    switch (fact) {
    case FACT_GREYLIST:
        return r->greylist_state;
    case FACT_SCRIPT:
        return r->script_state;
    case FACT_SCRIPT_CONTENT:
        return r->script_content_state;
    default:
        return facts->state[fact];
    }
}

void fact_state_set(struct facts *facts, struct recipient_facts *r, enum fact fact, enum fact_state state)
{
    switch (fact) {
    case FACT_GREYLIST:
        r->greylist_state = (unsigned char)state;
        break;
    case FACT_SCRIPT:
        r->script_state = (unsigned char)state;
        break;
    case FACT_SCRIPT_CONTENT:
        r->script_content_state = (unsigned char)state;
        break;
    default:
        facts->state[fact] = (unsigned char)state;
    }
}
