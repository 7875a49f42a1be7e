/* The table of rules, in the order in which they are asked within their group. */
#include "policy/rules_internal.h"

#define K (1ull << 10)
#define G (1ull << 30)

/* ---- Parameters that many rules have ---- */

#define MODE_PARAMETER(by_default)                                                                                     \
    {                                                                                                                  \
        .name = "", .type = PARAMETER_MODE, .fallback = by_default, .words = "off|watch|file|on",                      \
        .explanation = "off: it is not asked. watch: what it would refuse is noted, and taken all the same. file: it " \
                       "goes to the folder. on: it is refused."                                                        \
    }
#define SWITCH_PARAMETER(parameter, by_default, what)                                            \
    {                                                                                            \
        .name = parameter, .type = PARAMETER_SWITCH, .fallback = by_default, .explanation = what \
    }
#define WORDS_PARAMETER(parameter, by_default, what)                                            \
    {                                                                                           \
        .name = parameter, .type = PARAMETER_WORDS, .fallback = by_default, .explanation = what \
    }
#define FOLDER_PARAMETER                                                                        \
    {                                                                                           \
        .name = "folder", .type = PARAMETER_FOLDER, .fallback = "Junk",                         \
        .explanation = "Where the mode \"file\" puts what it would refuse. " FOLDERS_ARE_HIDDEN \
    }
#define FOLDERS_ARE_HIDDEN "POP3 shows the INBOX only: an administrator reads the others with 'ostiary mail export'."
#define UNKNOWN_PARAMETER(by_default)                                                                                  \
    {                                                                                                                  \
        .name = "on-unknown", .type = PARAMETER_CHOICE, .fallback = by_default, .words = "pass|defer",                 \
        .explanation = "When nobody could say: pass has no opinion, defer asks the sender to come again (451). It is " \
                       "never a refusal."                                                                              \
    }

#define TLDS "com edu gov int mil net org"
#define EXECUTABLES "bat cmd com cpl exe hta jar js jse lnk msi pif ps1 scr vbe vbs wsf wsh"

static const struct rule_parameter switched_off[] = {SWITCH_PARAMETER("", "off", "off or on.")};
static const struct rule_parameter switched_on[] = {SWITCH_PARAMETER("", "on", "off or on.")};
static const struct rule_parameter plain_off[] = {MODE_PARAMETER("off"), FOLDER_PARAMETER};
static const struct rule_parameter plain_on[] = {MODE_PARAMETER("on"), FOLDER_PARAMETER};

static const struct rule_parameter passcode[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER,
    [PASSCODE_BOUNCES] =
        SWITCH_PARAMETER("bounces", "on", "Reports about undelivered mail (from <>) need no passcode.")};

static const struct rule_parameter white_list[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER,
    [WHITE_LIST_LEARN] = SWITCH_PARAMETER("learn", "off", "People one has written to are let in, too."),
    [WHITE_LIST_BOUNCES] =
        SWITCH_PARAMETER("bounces", "on", "Reports about undelivered mail (from <>) need not be on the list.")};

static const struct rule_parameter fetched_white_list[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER,
    [FETCHED_WHITE_LIST_NOTICE] = SWITCH_PARAMETER("notice", "off",
                                                   "A refused sender is told so, once a day, but never a list, an "
                                                   "automatic sender or a forged one."),
    [FETCHED_WHITE_LIST_CARBON_COPY] = {.name = "carbon-copy",
                                        .type = PARAMETER_ADDRESS,
                                        .fallback = "",
                                        .explanation = "Where a copy of what was refused goes; empty: nowhere."}};

static const struct rule_parameter sender_tld[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER,
    [SENDER_TLD_TLDS] = WORDS_PARAMETER("tlds", TLDS, "The top-level domains that are taken: \"com org de\".")};

static const struct rule_parameter max_size[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER,
    [MAX_SIZE_SIZE] = {.name = "size",
                       .type = PARAMETER_SIZE,
                       .fallback = "10M",
                       .least = K,
                       .most = 100 * G,
                       .explanation = "The largest message that is taken."}};

static const struct rule_parameter denied_host_names[] = {MODE_PARAMETER("on"),
                                                          FOLDER_PARAMETER, [ON_UNKNOWN] = UNKNOWN_PARAMETER("pass")};

static const struct rule_parameter no_ptr[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER, [ON_UNKNOWN] = UNKNOWN_PARAMETER("pass"),
    [NO_PTR_CONFIRMED] =
        SWITCH_PARAMETER("confirmed", "off", "A name that does not lead back to the address is none, either.")};

static const struct rule_parameter dnsbl[] = {
    MODE_PARAMETER("on"), FOLDER_PARAMETER, [ON_UNKNOWN] = UNKNOWN_PARAMETER("pass"),
    [DNSBL_ZONES] =
        WORDS_PARAMETER("zones", "", "Which of the site's DNS lists count: \"zen.example bl.example\"; empty: all.")};

static const struct rule_parameter return_path[] = {MODE_PARAMETER("on"),
                                                    FOLDER_PARAMETER, [ON_UNKNOWN] = UNKNOWN_PARAMETER("defer")};

static const struct rule_parameter greylist[] = {
    {.name = "",
     .type = PARAMETER_MODE,
     .fallback = "off",
     .words = "off|watch|on",
     .explanation = "off: it is not asked. watch: what it would put off is noted. on: the sender is asked to come "
                    "again."},
    [GREYLIST_WAIT] = {.name = "wait",
                       .type = PARAMETER_DURATION,
                       .fallback = "5m",
                       .least = 1,
                       .most = 300,
                       .explanation = "After which time it is let in."},
    [GREYLIST_ONLY] = {.name = "only",
                       .type = PARAMETER_CHOICE,
                       .fallback = "suspicious",
                       .words = "suspicious|all",
                       .explanation = "suspicious: servers without a name, with a home connection's, or with another "
                                      "than they say. all: every new one."}};

static const struct rule_parameter whois[] = {
    MODE_PARAMETER("off"),
    FOLDER_PARAMETER,
    [ON_UNKNOWN] = UNKNOWN_PARAMETER("pass"),
    [WHOIS_COUNTRIES] = WORDS_PARAMETER("countries", "", "Countries that nothing is taken from: \"xx yy\"."),
    [WHOIS_REGISTRIES] = WORDS_PARAMETER("registries", "", "Registries that nothing is taken from: \"lacnic\"."),
    [WHOIS_NETWORKS] = WORDS_PARAMETER("networks", "", "Names of networks that nothing is taken from: \"example-*\"."),
    [WHOIS_AS] = WORDS_PARAMETER("as", "", "Autonomous systems that nothing is taken from: \"as64496\"."),
    [WHOIS_ALLOW_COUNTRIES] = WORDS_PARAMETER("allow-countries", "", "Only these countries; empty: all."),
    [WHOIS_ALLOW_REGISTRIES] = WORDS_PARAMETER("allow-registries", "", "Only these registries; empty: all."),
    [WHOIS_ALLOW_NETWORKS] = WORDS_PARAMETER("allow-networks", "", "Only networks of these names; empty: all."),
    [WHOIS_ALLOW_AS] = WORDS_PARAMETER("allow-as", "", "Only these autonomous systems; empty: all.")};

static const struct rule_parameter site_script[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER, [ON_UNKNOWN] = UNKNOWN_PARAMETER("pass"),
    [SITE_SCRIPT_MESSAGE] =
        SWITCH_PARAMETER("message", "off",
                         "It is asked again when the message is there. Since it may say something else for each "
                         "recipient, senders without PRDR then have to bring it to each of them one at a time.")};

static const struct rule_parameter verify_sender[] = {MODE_PARAMETER("off"),
                                                      FOLDER_PARAMETER, [ON_UNKNOWN] = UNKNOWN_PARAMETER("defer")};

static const struct rule_parameter reverse_sender[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER, [ON_UNKNOWN] = UNKNOWN_PARAMETER("pass"),
    [REVERSE_SENDER_SURE] = SWITCH_PARAMETER("sure", "off",
                                             "Without it the rule only watches, since many good servers that send "
                                             "don't receive.")};

static const struct rule_parameter attachment_types[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER,
    [ATTACHMENT_TYPES_TYPES] =
        WORDS_PARAMETER("types", EXECUTABLES,
                        "What is not taken: what names end in (\"exe\"), patterns of names (\"invoice*.zip\") or MIME "
                        "types (\"application/x-*\").")};

static const struct rule_parameter block_agent[] = {
    MODE_PARAMETER("off"), FOLDER_PARAMETER,
    [BLOCK_AGENT_PATTERNS] = WORDS_PARAMETER("patterns", "",
                                             "Patterns of programs that are not wanted; * stands for any text, ? for "
                                             "one character, a blank, too: \"*bulk?mailer*\".")};

static const struct rule_parameter fetched_block_folder[] = {
    SWITCH_PARAMETER("", "on", "on: it goes to the folder. off: it is deleted."),
    {.name = "folder",
     .type = PARAMETER_FOLDER,
     .fallback = "Blocked",
     .explanation = "The folder's name. " FOLDERS_ARE_HIDDEN}};

static const struct rule_parameter forward[] = {
    SWITCH_PARAMETER("", "off", "off or on."),
    {.name = "to", .type = PARAMETER_ADDRESS, .fallback = "", .explanation = "Where it goes on to."},
    SWITCH_PARAMETER("keep", "on", "The mailbox keeps a copy.")};

/* ---- The table ---- */

#define PARAMETERS(array) .parameters = (array), .parameter_count = sizeof(array) / sizeof *(array)

const struct rule rules[] = {
    /* Of senders */
    {.name = "protect-my-address",
     .number = 0,
     .simbeymail = "MUI_SECURE_SMTP",
     .group = GROUP_PROTECTION,
     .flags = RULE_DIRECT | RULE_OF_SENDER,
     .keeps_out = rule_protect_my_address,
     PARAMETERS(switched_off),
     .summary = "Mail that claims to be from this member is taken only from this member, who has logged in."},

    /* What lets in */
    {.name = "accept-all",
     .number = 1,
     .simbeymail = "MUI_ALLOW_ALL",
     .group = GROUP_LETS_IN,
     .lets_in = rule_accept_all,
     PARAMETERS(switched_off),
     .summary = "Takes whatever the other rules say. Quota, size limits and what the site has locked remain."},
    {.name = "passcode",
     .number = 2,
     .simbeymail = "MUI_CHECK_PASSCODE",
     .group = GROUP_LETS_IN,
     .flags = RULE_DIRECT,
     .lets_in = rule_passcode_lets_in,
     .keeps_out = rule_passcode_keeps_out,
     PARAMETERS(passcode),
     .summary = "Takes mail only with one of this person's passcodes behind the address (RCPT TO:<address> 1234)."},
    {.name = "approved-servers",
     .number = 3,
     .simbeymail = "MUI_CHECK_APPROVED",
     .group = GROUP_LETS_IN,
     .flags = RULE_STRANGERS,
     .needs_to_let_in = FACT_BIT(FACT_PTR),
     .which_needs = rule_approved_servers_needs,
     .lets_in = rule_approved_servers,
     PARAMETERS(switched_on),
     .summary = "Takes what comes from a server on the site's list of approved ones, by its address or by a name that "
                "the DNS proves."},
    {.name = "limited-address",
     .number = 4,
     .group = GROUP_LETS_IN,
     .flags = RULE_DIRECT,
     .lets_in = rule_limited_address_lets_in,
     .keeps_out = rule_limited_address_keeps_out,
     PARAMETERS(plain_on),
     .summary = "Holds addresses that were made for a time or for certain senders (alice+shop-x7@) to what they were "
                "made for, and takes that."},
    {.name = "white-list",
     .number = 5,
     .simbeymail = "MUI_WHITE_LIST_DIRECT",
     .group = GROUP_LETS_IN,
     .flags = RULE_DIRECT | RULE_LISTS_LET_IN,
     .lets_in = rule_white_list_lets_in,
     .keeps_out = rule_white_list_keeps_out,
     PARAMETERS(white_list),
     .summary = "Takes mail only from senders on the white list. What stands on it is let in also where this is off."},
    {.name = "fetched-white-list",
     .number = 6,
     .simbeymail = "MUI_WHITE_LIST_PROXY",
     .group = GROUP_LETS_IN,
     .flags = RULE_FETCHED | RULE_LISTS_LET_IN,
     .lets_in = rule_white_list_lets_in,
     .keeps_out = rule_white_list_keeps_out,
     PARAMETERS(fetched_white_list),
     .summary = "Takes mail that is fetched from remote accounts only from senders on the white list."},

    /* What keeps out and costs nothing */
    {.name = "ip-black-list",
     .number = 7,
     .simbeymail = "MUI_IP_BLACK_LIST",
     .sims = "the black list",
     .group = GROUP_LOCAL,
     .flags = RULE_DIRECT | RULE_STRANGERS,
     .needs = FACT_BIT(FACT_OWN_LIST),
     .keeps_out = rule_ip_black_list,
     PARAMETERS(plain_on),
     .summary = "Refuses servers on the site's own list of addresses and host names."},
    {.name = "fetched-ip-black-list",
     .number = 8,
     .simbeymail = "MUI_IP_PROXY_LIST",
     .group = GROUP_LOCAL,
     .flags = RULE_FETCHED,
     .needs = FACT_BIT(FACT_OWN_LIST),
     .keeps_out = rule_fetched_ip_black_list,
     PARAMETERS(plain_off),
     .summary = "Refuses fetched mail that came through a server on the site's own list of addresses and host names; "
                "private addresses are skipped."},
    {.name = "denied-servers",
     .number = 9,
     .simbeymail = "MUI_CHECK_DENIED",
     .group = GROUP_LOCAL,
     .flags = RULE_STRANGERS,
     .keeps_out = rule_denied_servers,
     PARAMETERS(plain_on),
     .summary = "Refuses what comes from an address, by a HELO name or from a sender's domain on the site's list of "
                "denied ones; spam.example there is this name only, *.spam.example all below it."},
    {.name = "black-list",
     .number = 10,
     .group = GROUP_LOCAL,
     .flags = RULE_DIRECT,
     .keeps_out = rule_black_list,
     PARAMETERS(plain_on),
     .summary = "Refuses senders on the black list."},
    {.name = "fetched-black-list",
     .number = 11,
     .simbeymail = "MUI_BLACK_LIST_PROXY",
     .group = GROUP_LOCAL,
     .flags = RULE_FETCHED,
     .keeps_out = rule_black_list,
     PARAMETERS(plain_on),
     .summary = "Refuses mail that is fetched from remote accounts from senders on the black list."},
    {.name = "pregreet",
     .number = 12,
     .group = GROUP_LOCAL,
     .flags = RULE_DIRECT | RULE_STRANGERS,
     .keeps_out = rule_pregreet,
     PARAMETERS(plain_off),
     .summary = "Refuses clients that speak before they are greeted. It is looked for from the second connection on "
                "after somebody "
                "has set the rule, and not at an address that has once waited."},
    {.name = "helo-not-ip",
     .number = 13,
     .simbeymail = "MUI_CHECK_HELO_NOT_IP",
     .group = GROUP_LOCAL,
     .flags = RULE_DIRECT | RULE_STRANGERS,
     .keeps_out = rule_helo_not_ip,
     PARAMETERS(plain_off),
     .summary = "Refuses servers that call themselves by an address (HELO 192.0.2.7 or [192.0.2.7])."},
    {.name = "helo-sane",
     .number = 14,
     .group = GROUP_LOCAL,
     .flags = RULE_DIRECT | RULE_STRANGERS,
     .keeps_out = rule_helo_sane,
     PARAMETERS(plain_off),
     .summary = "Refuses servers that call themselves by our name or address, or by a name without a dot."},
    {.name = "sender-tld",
     .number = 15,
     .simbeymail = "MUI_CHECK_SENDER_TYPE",
     .group = GROUP_LOCAL,
     .flags = RULE_DIRECT | RULE_STRANGERS,
     .keeps_out = rule_sender_tld,
     PARAMETERS(sender_tld),
     .summary = "Takes mail only where the sender's domain and the HELO name end in certain top-level domains."},
    {.name = "fetched-strict",
     .number = 16,
     .simbeymail = "MUI_PROXY_STRICT",
     .group = GROUP_LOCAL,
     .flags = RULE_FETCHED,
     .keeps_out = rule_fetched_strict,
     PARAMETERS(sender_tld),
     .summary = "What helo-not-ip and sender-tld say, of mail that is fetched, by what the provider wrote of the "
                "server it came from; not of the provider's own customers."},
    {.name = "max-size",
     .number = 17,
     .group = GROUP_LOCAL,
     .keeps_out = rule_declared_size,
     .needs_of_content = FACT_BIT(FACT_CONTENT),
     .content = rule_max_size,
     PARAMETERS(max_size),
     .summary = "Refuses messages that are too large."},

    /* What needs the DNS */
    {.name = "no-ptr",
     .number = 18,
     .group = GROUP_DNS,
     .flags = RULE_STRANGERS,
     .needs = FACT_BIT(FACT_PTR),
     .keeps_out = rule_no_ptr,
     PARAMETERS(no_ptr),
     .summary = "Refuses servers whose address has no name in the DNS."},
    {.name = "denied-host-names",
     .number = 19,
     .simbeymail = "MUI_VERIFY_DENIED",
     .group = GROUP_DNS,
     .flags = RULE_STRANGERS,
     .needs = FACT_BIT(FACT_PTR),
     .which_needs = rule_denied_host_names_needs,
     .keeps_out = rule_denied_host_names,
     PARAMETERS(denied_host_names),
     .summary =
         "Refuses servers whose name in the DNS has a run of labels in it that is on the site's list of denied ones."},
    {.name = "dnsbl",
     .number = 20,
     .sims = "the black-listing server (RBL)",
     .group = GROUP_DNS,
     .flags = RULE_STRANGERS,
     .needs = FACT_BIT(FACT_DNS_LISTS),
     .which_needs = rule_dnsbl_needs,
     .keeps_out = rule_dnsbl,
     PARAMETERS(dnsbl),
     .summary = "Refuses servers that the DNS lists of the site, or those that were chosen among them, list."},
    {.name = "return-path",
     .number = 21,
     .sims = "the check of return-paths",
     .group = GROUP_DNS,
     .flags = RULE_DIRECT | RULE_STRANGERS,
     .needs = FACT_BIT(FACT_RETURN_PATH),
     .keeps_out = rule_return_path,
     PARAMETERS(return_path),
     .summary = "Refuses senders whose domain takes no mail by the DNS, so that no answer could reach them."},
    {.name = "greylist",
     .number = 22,
     .group = GROUP_DNS,
     .flags = RULE_DIRECT | RULE_STRANGERS,
     .needs = FACT_BIT(FACT_PTR) | FACT_BIT(FACT_GREYLIST),
     .which_needs = rule_greylist_needs,
     .keeps_out = rule_greylist,
     PARAMETERS(greylist),
     .summary = "Asks servers that look like home computers to come again in a few minutes, once."},

    /* Those that call out */
    {.name = "whois",
     .number = 23,
     .simbeymail = "MUI_CHECK_WHOIS",
     .group = GROUP_CALLS_OUT,
     .flags = RULE_STRANGERS,
     .needs = FACT_BIT(FACT_WHOIS),
     .which_needs = rule_whois_needs,
     .keeps_out = rule_whois,
     PARAMETERS(whois),
     .summary = "Refuses servers by the country, registry, network or autonomous system that WHOIS tells, and hands "
                "its text to the site's script."},
    {.name = "site-script",
     .number = 24,
     .simbeymail = "MUI_CHECK_PLUGIN",
     .group = GROUP_CALLS_OUT,
     .flags = RULE_STRANGERS | RULE_OWN_MIND,
     .needs = FACT_BIT(FACT_SCRIPT) | FACT_BIT(FACT_PTR) | FACT_BIT(FACT_WHOIS),
     .which_needs = rule_site_script_needs,
     .keeps_out = rule_site_script,
     .needs_of_content = FACT_BIT(FACT_CONTENT) | FACT_BIT(FACT_SCRIPT_CONTENT),
     .content_switch = SITE_SCRIPT_MESSAGE,
     .content = rule_site_script_content,
     PARAMETERS(site_script),
     .summary = "Asks the site's own script; where the rule whois is on it sees what WHOIS says, too."},
    {.name = "verify-sender",
     .number = 25,
     .simbeymail = "MUI_CHECK_SOURCE",
     .group = GROUP_CALLS_OUT,
     .flags = RULE_DIRECT | RULE_STRANGERS,
     .needs = FACT_BIT(FACT_CALL_BACK),
     .which_needs = rule_verify_sender_needs,
     .keeps_out = rule_verify_sender,
     PARAMETERS(verify_sender),
     .summary = "Asks the sender's own server whether it takes mail for the sender; refused there is refused here."},
    {.name = "reverse-sender",
     .number = 26,
     .simbeymail = "MUI_REVERSE_SENDER_CHECK",
     .group = GROUP_CALLS_OUT,
     .flags = RULE_DIRECT | RULE_STRANGERS | RULE_TWICE,
     .needs = FACT_BIT(FACT_REVERSE_CALL_BACK),
     .which_needs = rule_verify_sender_needs,
     .keeps_out = rule_reverse_sender,
     PARAMETERS(reverse_sender),
     .summary = "Asks at port 25 of the address that the mail comes from whether it takes mail for the sender. An "
                "experiment: it only watches unless reverse-sender.sure=on as well."},

    /* About the message */
    {.name = "attachment-types",
     .number = 27,
     .group = GROUP_CONTENT,
     .needs = FACT_BIT(FACT_CONTENT),
     .keeps_out = rule_attachment_types,
     PARAMETERS(attachment_types),
     .summary = "Refuses messages with attachments of certain kinds."},
    {.name = "block-agent",
     .number = 28,
     .simbeymail = "MUI_BLOCK_BY_AGENT",
     .group = GROUP_CONTENT,
     .needs = FACT_BIT(FACT_CONTENT),
     .keeps_out = rule_block_agent,
     PARAMETERS(block_agent),
     .summary = "Refuses messages that certain programs wrote (X-Mailer: or User-Agent:)."},

    /* What is done with it */
    {.name = "fetched-block-folder",
     .number = 29,
     .simbeymail = "MUI_PROXY_BLOCK_FOLDER",
     .group = GROUP_ACTION,
     .flags = RULE_FETCHED,
     PARAMETERS(fetched_block_folder),
     .summary = "Puts refused mail that was fetched into a folder instead of deleting it."},
    {.name = "forward",
     .number = 30,
     .simbeymail = "MUI_FORWARD_MAIL",
     .group = GROUP_ACTION,
     PARAMETERS(forward),
     .summary = "Sends what was delivered on to another address."},
    {.name = "terse",
     .number = 31,
     .group = GROUP_ACTION,
     PARAMETERS(switched_off),
     .summary = "Tells refused senders no reason, only the reference under which it can be looked up."},
};
const size_t rule_count = sizeof rules / sizeof *rules;
_Static_assert(sizeof rules / sizeof *rules <= RULES_MAX, "struct ruleset has 64 places");
