/* Attempts to bring a message in, written as one line of text, and what the rules say of them, as another: so that a
 * test of a rule is a row. Test code: what is wrong with a row ends the program. */
#ifndef TEST_POLICY_ATTEMPT_H
#define TEST_POLICY_ATTEMPT_H

#include "policy/decide.h"

struct attempt {
    struct arena arena;
    struct facts facts;
    struct recipient_facts r;
    struct ruleset set;
    struct dns_list_fact dns_lists[DNS_LIST_FACTS_MAX];
    struct attachment_fact attachments[ATTACHMENT_FACTS_MAX];
    struct ip_address hops[8];
};

/* `settings`: lines of policy/ruleset.h with "|" between them. `facts`: "key=value|key=value|…", see attempt.c. What is
 * not said is the same everywhere: a@b.example at 192.0.2.7, mx.b.example, writes to bob@example.org, and whatever may
 * be asked is absent. */
void attempt_init(struct attempt *a, const char *settings, const char *facts);
void attempt_release(struct attempt *a);

/* "refuse 550 5.7.1 white-list account: sentence", "accept", "accept white-list site: …", "file Junk dnsbl site: …",
 * "needs ptr whois"; behind it for each rule that only watched "; watch RULE LEVEL: …". `stage` 'r': at RCPT; 'c': at
 * the end of DATA, behind what was said at RCPT, which has to be an accept. */
void attempt_judge(struct attempt *a, char stage, struct buf *out);

#endif
