/* The rules: one table. A rule looks at facts (policy/facts.h) and its settings, and says what it thinks. Pure: the
 * same facts and settings give the same verdict, always. What the words mean is in doc/rules.md.
 */
#ifndef POLICY_RULE_H
#define POLICY_RULE_H

#include "policy/facts.h"

/* Whose setting: a narrower one replaces a wider one, but for rules that the site locks. */
enum rule_level { LEVEL_SITE, LEVEL_DOMAIN, LEVEL_ACCOUNT, LEVEL_ADDRESS, LEVEL_DEFAULT, LEVEL_COUNT };
const char *rule_level_name(enum rule_level level); /* "site" … "built in" */

/* The order in which they are asked. */
enum rule_group {
    GROUP_LOCKED = 1, /* whatever the site locks, of groups 4 to 6 */
    GROUP_PROTECTION, /* of senders */
    GROUP_LETS_IN,
    GROUP_LOCAL, /* keeps out, costs nothing */
    GROUP_DNS,
    GROUP_CALLS_OUT,
    GROUP_CONTENT,
    GROUP_ACTION, /* decides nothing: what is done with mail that comes in, or how refusals are worded */
};

enum verdict_kind {
    VERDICT_NO_OPINION,
    VERDICT_ACCEPT,
    VERDICT_REFUSE,
    VERDICT_DEFER,
    VERDICT_FILE,
    VERDICT_WATCH, /* would have refused or filed: noted, not done */
};
const char *verdict_name(enum verdict_kind kind); /* "refuse" */

#define VERDICT_SENTENCE_MAX 400
#define VERDICT_EVIDENCE_MAX 200
#define FOLDER_MAX 200

struct verdict {
    enum verdict_kind kind;
    unsigned rule;         /* its place in `rules`; RULE_NONE: nobody said anything */
    enum rule_level level; /* of the setting, or of the list's entry, that decided */
    bool let_in;           /* a rule of group 3 to 6 said accept: content rules that are not locked keep still */
    unsigned code;         /* of the reply: 530 to 554, 451; where kind is REFUSE or DEFER */
    char enhanced[8];      /* "5.7.1" */
    /* Without a final full stop and in lower case, for strangers to read: "your address 192.0.2.7 is listed by
     * zen.example". Printable ASCII: whatever a stranger gave is cleaned. */
    char sentence[VERDICT_SENTENCE_MAX];
    char evidence[VERDICT_EVIDENCE_MAX]; /* the bare fact, for the log and the ledger: "zen.example" */
    char folder[FOLDER_MAX];             /* VERDICT_FILE */
};
#define RULE_NONE UINT32_MAX

/* ---- Settings of a rule ---- */

enum rule_mode { MODE_OFF, MODE_WATCH, MODE_FILE, MODE_ON }; /* the words of RULE=…: "off", "watch", "file", "on" */

enum parameter_type {
    PARAMETER_MODE,     /* enum rule_mode; `words` says which are allowed */
    PARAMETER_SWITCH,   /* off, on */
    PARAMETER_NUMBER,   /* within least..most */
    PARAMETER_SIZE,     /* bytes: "10M" */
    PARAMETER_DURATION, /* seconds: "5m" */
    PARAMETER_WORDS,    /* words with blanks (or commas) between them; kept in lower case, sorted, each once */
    PARAMETER_CHOICE,   /* one of `words` */
    PARAMETER_FOLDER,   /* the name of a mailbox */
    PARAMETER_ADDRESS,  /* local@domain, or empty */
};

struct rule_parameter {
    const char *name; /* "" is the rule's own value: RULE=on; else RULE.name=… */
    enum parameter_type type;
    const char *fallback; /* the default in text form */
    const char *words;    /* of MODE and CHOICE: "off|watch|on" */
    uint64_t least, most; /* of NUMBER, SIZE, DURATION */
    const char *explanation;
};
#define RULE_PARAMETERS_MAX 12

/* One value in force. The text is canonical: two values that mean the same are the same text. */
struct rule_value {
    struct span text;
    uint64_t number; /* of MODE, SWITCH (0, 1), NUMBER, SIZE, DURATION, CHOICE (its place) */
    enum rule_level level;
};

/* The values of one rule, in the order of its parameters. */
struct rule_values {
    struct rule_value value[RULE_PARAMETERS_MAX];
    bool is_locked; /* by the site */
};

/* ---- The table ---- */

/* Says what it thinks by filling in *verdict (kind, sentence, evidence …); leaves it alone for no opinion. `rule` and
 * `level` are filled in by the caller, and so is what MODE_WATCH and MODE_FILE make of a refusal. Called only with all
 * facts of `needs` asked for: KNOWN, ABSENT or UNKNOWN. */
typedef void rule_decide(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                         struct verdict *verdict);
/* Which of the `needs` of keeps_out it needs with these settings and facts: none for verify-sender and <>, … May
 * look at facts that are there, and so name some now and others later. NULL: all of them. */
struct ruleset; /* policy/ruleset.h: what other rules are set to; the site's script wants to see WHOIS where that is on
                 */
typedef uint32_t rule_needs(const struct facts *facts, const struct recipient_facts *r, const struct ruleset *set,
                            const struct rule_values *values);

#define RULE_STRANGERS 1u     /* asked of strangers only: not of members, windows, client networks */
#define RULE_DIRECT 2u        /* asked of mail that comes by SMTP */
#define RULE_FETCHED 4u       /* asked of mail that was fetched */
#define RULE_TWICE 16u        /* the same rule does nothing worse than watch unless rule.sure=on ("said twice") */
#define RULE_OF_SENDER 32u    /* whether it is on is a fact of the sender's own door, not the recipient's setting */
#define RULE_LISTS_LET_IN 64u /* lets_in is asked even where the rule is off: a list's entry counts by itself */
#define RULE_OWN_MIND 128u    /* about a message it may say something else of each recipient with the same values */

struct rule {
    const char *name; /* "white-list" */
    /* For ever: stored rows of the ledger have it (struct decision's `asked`), in 63 bits. A new rule takes the next
     * free one, wherever it stands in the table; that of a rule which is gone is not given again. */
    unsigned number;
    const char *simbeymail; /* "MUI_WHITE_LIST_DIRECT"; NULL: it had none */
    const char *sims;       /* what SIMS called it, or NULL */
    enum rule_group group;
    unsigned flags;
    uint32_t needs; /* FACT_BIT()s of keeps_out */
    uint32_t needs_to_let_in;
    rule_needs *which_needs; /* or NULL */
    rule_decide *lets_in;    /* asked in group 3: accept or nothing; or NULL */
    rule_decide *keeps_out;  /* asked in `group`: or NULL */
    uint32_t needs_of_content;
    unsigned content_switch; /* the parameter that has to be on for `content`; 0: none has to be */
    rule_decide *content; /* of rules of groups 1 to 6 that look at the message, too: asked again in group 7; or NULL */
    const struct rule_parameter *parameters;
    size_t parameter_count;
    const char *summary; /* one plain sentence: what it does */
};

/* Where parameters stand that many rules have. The first one is the rule's own value, a MODE or a SWITCH. */
#define VALUE_MODE 0
#define VALUE_FOLDER 1 /* where the mode "file" is allowed */

extern const struct rule rules[];
extern const size_t rule_count;
#define RULES_MAX 64

/* The rule's place in the table, or RULE_NONE. Also by SimbeyMail's name. */
unsigned rule_find(struct span name);
/* Its bit in a mask of rules (struct decision's `asked`): of its number, not of its place. */
static inline uint64_t rule_bit(unsigned rule)
{
    return UINT64_C(1) << rules[rule].number;
}
/* The mode that the values mean, of a rule with a switch MODE_OFF or MODE_ON. */
enum rule_mode rule_mode_get(const struct rule *rule, const struct rule_values *values);
/* Does it need to be said twice, and was not: it only watches. */
bool rule_is_unsure(const struct rule *rule, const struct rule_values *values);
/* Is it asked of the message, with these values? */
bool rule_looks_at_content(const struct rule *rule, const struct rule_values *values);
/* Splits "sender-tld.tlds" (or "sender-tld"): the rule's number and the parameter's place in it. False: unknown. */
MUST_USE bool rule_parameter_find(struct span name, unsigned *rule, unsigned *parameter);
/* Checks and brings into the canonical form. False with one sentence in `problem`: what is expected. */
MUST_USE bool rule_value_parse(const struct rule_parameter *parameter, struct span text, struct arena *arena,
                               struct rule_value *value, struct buf *problem);

#endif
