/* The functions behind the table of rules (policy/rules.c), by group, and what they share. */
#ifndef POLICY_RULES_INTERNAL_H
#define POLICY_RULES_INTERNAL_H

#include "policy/rule.h"
#include "policy/sentence.h"

/* rules_lists.c: who is let in by name, and what stored lists keep out. */
rule_decide rule_accept_all, rule_passcode_lets_in, rule_passcode_keeps_out, rule_approved_servers,
    rule_white_list_lets_in, rule_white_list_keeps_out, rule_limited_address_lets_in, rule_limited_address_keeps_out,
    rule_protect_my_address, rule_black_list, rule_denied_servers;
rule_needs rule_approved_servers_needs;

/* rules_client.c: what the client is called and how it behaves; costs nothing. */
rule_decide rule_helo_not_ip, rule_sender_tld, rule_helo_sane, rule_pregreet, rule_ip_black_list, rule_declared_size;

/* rules_dns.c */
rule_decide rule_no_ptr, rule_denied_host_names, rule_dnsbl, rule_return_path, rule_greylist;
rule_needs rule_denied_host_names_needs, rule_dnsbl_needs, rule_greylist_needs;

/* rules_calls.c: those whose facts cost a connection or a process. */
rule_decide rule_whois, rule_site_script, rule_site_script_content, rule_verify_sender, rule_reverse_sender;
rule_needs rule_verify_sender_needs, rule_whois_needs, rule_site_script_needs;

/* rules_fetched.c */
rule_decide rule_fetched_strict, rule_fetched_ip_black_list;

/* rules_content.c */
rule_decide rule_max_size, rule_attachment_types, rule_block_agent;

/* Where the parameters of a rule stand that has others than mode and folder. */
enum { WHITE_LIST_LEARN = 2, WHITE_LIST_BOUNCES };
enum { FETCHED_WHITE_LIST_NOTICE = 2, FETCHED_WHITE_LIST_CARBON_COPY };
enum { PASSCODE_BOUNCES = 2 };
enum { SENDER_TLD_TLDS = 2 };
enum { MAX_SIZE_SIZE = 2 };
enum { ON_UNKNOWN = 2 }; /* of each rule that has it */
enum { NO_PTR_CONFIRMED = 3 };
enum { DNSBL_ZONES = 3 };
enum { GREYLIST_WAIT = 1, GREYLIST_ONLY };
enum {
    WHOIS_COUNTRIES = 3,
    WHOIS_REGISTRIES,
    WHOIS_NETWORKS,
    WHOIS_AS,
    WHOIS_ALLOW_COUNTRIES,
    WHOIS_ALLOW_REGISTRIES,
    WHOIS_ALLOW_NETWORKS,
    WHOIS_ALLOW_AS
};
enum { SITE_SCRIPT_MESSAGE = 3 };
enum { REVERSE_SENDER_SURE = 3 };
enum { ATTACHMENT_TYPES_TYPES = 2 };
enum { BLOCK_AGENT_PATTERNS = 2 };

/* A fact is UNKNOWN: says "defer" with this sentence where the rule's on-unknown is so, else nothing. */
void rule_unknown(const struct rule_values *values, struct verdict *verdict, const char *enhanced,
                  struct clean evidence, const char *what);
/* The domain of the reverse path; empty for <>. */
struct span sender_domain(const struct facts *facts);
/* As it is shown: "<a@b.example>". */
struct clean sender_shown(const struct facts *facts);
/* Brought by the recipient's own account: nothing personal keeps that out. */
bool is_from_oneself(const struct facts *facts, const struct recipient_facts *r);

/* Shared by helo-not-ip, sender-tld and fetched-strict. */
bool says_helo_is_address(const struct facts *facts, struct verdict *verdict);
void says_tld(const struct facts *facts, struct span tlds, struct verdict *verdict);

#endif
