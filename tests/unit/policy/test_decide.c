/* What holds of all rules alike, and what becomes of their words. */
#include "attempt.h"
#include "rules_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- One refusal of each rule, and what its settings make of it ---- */

/* With the rule's value alone on; `more` are settings beside it. */
static const struct {
    const char *rule, *more, *facts;
    char stage;
} refusals[] = {
    {"passcode", "", "passcode=wrong", 'r'},
    {"limited-address", "", "limited=expired", 'r'},
    {"white-list", "", "", 'r'},
    {"fetched-white-list", "", "fetched", 'r'},
    {"ip-black-list", "", "own-list=listed:x", 'r'},
    {"fetched-ip-black-list", "", "fetched|own-list=listed:x", 'r'},
    {"denied-servers", "", "hit=denied:site:192.0.2.7", 'r'},
    {"black-list", "", "hit=black:site:@b.example", 'r'},
    {"fetched-black-list", "", "fetched|hit=black:site:@b.example", 'r'},
    {"pregreet", "", "early", 'r'},
    {"helo-not-ip", "", "helo=[192.0.2.7]", 'r'},
    {"helo-sane", "", "helo=localhost", 'r'},
    {"sender-tld", "", "from=a@b.de", 'r'},
    {"fetched-strict", "", "fetched|from=a@b.de", 'r'},
    {"max-size", "", "declares=99999999", 'r'},
    {"no-ptr", "", "", 'r'},
    {"denied-host-names", "", "denied-names|claimed=x.dsl|ptr-hit=denied-name:site:dsl", 'r'},
    {"dnsbl", "", "dns=listed:bl.example:x", 'r'},
    {"return-path", "", "return-path=no-domain", 'r'},
    {"greylist", "", "grey=60", 'r'},
    {"whois", "whois.countries=xx", "whois=XX", 'r'},
    {"site-script", "", "script=refuse:no", 'r'},
    {"verify-sender", "", "call-back=refuses:550", 'r'},
    {"reverse-sender", "reverse-sender.sure=on", "reverse=refuses:550", 'r'},
    {"attachment-types", "", "attached=x/y run.exe", 'c'},
    {"block-agent", "block-agent.patterns=x*", "agent=xy", 'c'},
    {"max-size", "", "bytes=99999999", 'c'},
    {"site-script", "site-script.message=on", "bytes=1|script-content=refuse:no", 'c'},
};
#define REFUSALS (sizeof refusals / sizeof *refusals)

static const struct rule *rule_of(size_t i)
{
    unsigned rule = rule_find(span_text(refusals[i].rule));
    assert_int_not_equal(rule, RULE_NONE);
    return &rules[rule];
}

static void judge(const char *settings, const char *facts, char stage, struct buf *answer)
{
    struct attempt *a = malloc(sizeof *a);
    assert_non_null(a);
    buf_reset(answer);
    attempt_init(a, settings, facts);
    attempt_judge(a, stage, answer);
    attempt_release(a);
    free(a);
}

/* The settings of refusal `i` at a level: "2! rule=on|2 more". */
static const char *settings_of(size_t i, const char *level, const char *mode, const char *behind)
{
    static char text[400];
    const char *more = refusals[i].more;
    snprintf(text, sizeof text, "%s %s=%s|%.1s %s%s%s", level, refusals[i].rule, mode, level,
             *more ? more : "terse=off", *behind ? "|" : "", behind);
    return text;
}

static void expect(size_t i, const char *settings, const char *facts_behind, const char *begins)
{
    struct buf answer;
    char facts[400];
    buf_init(&answer, 16384);
    snprintf(facts, sizeof facts, "%s%s%s", refusals[i].facts, *refusals[i].facts && *facts_behind ? "|" : "",
             facts_behind);
    judge(settings, facts, refusals[i].stage, &answer);
    if (!span_starts_nocase(buf_span(&answer), span_text(begins)))
        print_error("settings %s\nfacts %s\nanswer %.*s\nwanted %s\n", settings, facts, SPAN_ARG(buf_span(&answer)),
                    begins);
    assert_true(span_starts_nocase(buf_span(&answer), span_text(begins)));
    buf_release(&answer);
}

static void test_every_rule_has_a_refusal(void **state)
{
    for (size_t i = 0; i < rule_count; i++) {
        bool found = !rules[i].keeps_out || (rules[i].flags & RULE_OF_SENDER);
        for (size_t k = 0; k < REFUSALS; k++)
            found |= rule_of(k) == &rules[i] && (refusals[k].stage == 'r' || rules[i].group == GROUP_CONTENT);
        assert_true(found);
    }
}

/* on, watch, file, off; each level is named; where the rule is off nothing is said. */
static void test_modes(void **state)
{
    static const char *const levels[] = {"0", "1", "2", "3"};
    char wanted[100];
    for (size_t i = 0; i < REFUSALS; i++) {
        const char *name = refusals[i].rule;
        bool by_list = strstr(refusals[i].facts, "hit=") != NULL; /* then the level is the entry's */
        bool defers = strcmp(name, "greylist") == 0;
        for (unsigned level = 0; level < 4; level++) {
            const char *words = by_list ? "site" : rule_level_name((enum rule_level)level);
            struct buf answer;
            buf_init(&answer, 16384);
            judge(settings_of(i, levels[level], "on", ""), refusals[i].facts, refusals[i].stage, &answer);
            snprintf(wanted, sizeof wanted, " %s %s: ", name, words);
            assert_true(span_starts_nocase(buf_span(&answer), span_text(defers ? "defer 451 4" : "refuse 55")));
            assert_non_null(memmem(answer.data, answer.size, wanted, strlen(wanted)));
            buf_release(&answer);
        }
        snprintf(wanted, sizeof wanted, "accept; watch %s ", name);
        expect(i, settings_of(i, "2", "watch", ""), "", wanted);
        snprintf(wanted, sizeof wanted, "file Junk %s ", name);
        if (!defers)
            expect(i, settings_of(i, "2", "file", ""), "", wanted);
        expect(i, settings_of(i, "2", "off", ""), "", "accept");
    }
}

/* Postmaster hears everybody, unless the site locks a rule that looks at the client, the sender or the message. */
static void test_postmaster(void **state)
{
    for (size_t i = 0; i < REFUSALS; i++) {
        bool lets_in = rule_of(i)->group == GROUP_LETS_IN;
        expect(i, settings_of(i, "0", "on", ""), "postmaster", "accept");
        bool defers = strcmp(refusals[i].rule, "greylist") == 0;
        expect(i, settings_of(i, "0!", "on", ""), "postmaster", lets_in ? "accept" : defers ? "defer" : "refuse");
    }
}

/* What the site has locked nobody else switches off, and no accept spares from. */
static void test_locks(void **state)
{
    char behind[200];
    for (size_t i = 0; i < REFUSALS; i++) {
        const char *refused = strcmp(refusals[i].rule, "greylist") == 0 ? "defer" : "refuse";
        for (const char *level = "123"; *level; level++) {
            snprintf(behind, sizeof behind, "%c %s=off", *level, refusals[i].rule);
            expect(i, settings_of(i, "0!", "on", behind), "", refused);
            expect(i, settings_of(i, "0", "on", behind), "", "accept");
        }
        bool lets_in = rule_of(i)->group == GROUP_LETS_IN;
        expect(i, settings_of(i, "0!", "on", "2 accept-all=on"), "", lets_in ? "accept" : refused);
        expect(i, settings_of(i, "0", "on", "2 accept-all=on"), "", "accept accept-all");
    }
}

/* Members, windows and client networks skip what is asked of strangers only. */
static void test_standing(void **state)
{
    static const char *const standings[] = {"standing=member|as=c@d.example", "standing=window|as=c@d.example",
                                            "standing=network"};
    for (size_t i = 0; i < REFUSALS; i++) {
        bool skipped = rule_of(i)->flags & RULE_STRANGERS;
        for (unsigned k = 0; k < 3; k++)
            expect(i, settings_of(i, "2", "on", ""), standings[k], skipped ? "accept" : "refuse");
    }
}

/* ---- Nobody is refused for what nobody knows ---- */

/* Each rule, in each mode, with on-unknown either way, with each way in which its facts may be missing: whatever else
 * stands in the facts, there is no refusal and no file. */
static void test_unknown_never_refuses(void **state)
{
    static const char *const modes[] = {"off", "watch", "file", "on"};
    struct buf answer;
    buf_init(&answer, 16384);
    for (size_t i = 0; i < REFUSALS; i++) {
        const struct rule *rule = rule_of(i);
        uint32_t needs = refusals[i].stage == 'c' && rule->content ? rule->needs_of_content : rule->needs;
        for (unsigned n = 0; n < 4 * 2 * 2 && needs; n++) {
            char settings[400], facts[500];
            const char *mode = modes[n % 4], *unknown = n & 4 ? "defer" : "pass", *level = n & 8 ? "0!" : "2";
            if (strcmp(refusals[i].rule, "greylist") == 0 && n % 4 == MODE_FILE)
                continue;
            snprintf(settings, sizeof settings, "%s %s=%s|2 %s.on-unknown=%s|2 %s", level, refusals[i].rule, mode,
                     refusals[i].rule, unknown, *refusals[i].more ? refusals[i].more : "terse=off");
            snprintf(facts, sizeof facts, "%s", refusals[i].facts);
            for (unsigned fact = 0; fact < FACT_COUNT; fact++)
                if (needs & FACT_BIT(fact))
                    snprintf(facts + strlen(facts), sizeof facts - strlen(facts), "%sstate=%s:unknown",
                             *facts ? "|" : "", fact_name((enum fact)fact));
            judge(settings, facts, refusals[i].stage, &answer);
            bool is_taken = span_starts_nocase(buf_span(&answer), span_text("accept"));
            bool is_deferred = span_starts_nocase(buf_span(&answer), span_text("defer 451 4."));
            if (!is_taken && !is_deferred)
                print_error("settings %s\nfacts %s\nanswer %.*s\n", settings, facts, SPAN_ARG(buf_span(&answer)));
            assert_true(is_taken || is_deferred);
        }
    }
    buf_release(&answer);
}

/* All rules on at once, all facts damning but each in a random state: whatever refuses has only known facts. */
static const char all_on[] =
    "2 passcode=on|2 white-list=watch|2 ip-black-list=on|2 denied-servers=on|2 pregreet=on|2 helo-not-ip=watch|"
    "2 helo-sane=watch|2 sender-tld=watch|2 max-size=on|2 no-ptr=on|2 dnsbl=on|2 return-path=on|2 greylist=on|"
    "2 whois=on|2 whois.countries=xx|2 site-script=on|2 site-script.message=on|2 verify-sender=on|2 reverse-sender=on|"
    "2 reverse-sender.sure=on|2 attachment-types=on|2 block-agent=on|2 block-agent.patterns=x*";
static const char damning[] = "passcode=right:May|own-list=listed:x|denied-names|claimed=x.dsl|"
                              "ptr-hit=denied-name:site:dsl|dns=listed:bl.example:x|return-path=no-domain|grey=60|"
                              "whois=XX|script=refuse:no|call-back=refuses:550|reverse=refuses:550|"
                              "attached=x/y run.exe|agent=xy|bytes=99999999|script-content=refuse:no";

static uint32_t known_needs(const struct attempt *a, const struct rule *rule, bool content)
{
    uint32_t needs = content && rule->content ? rule->needs_of_content : rule->needs, known = 0;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        if (fact_state_get(&a->facts, &a->r, (enum fact)fact) != FACT_UNKNOWN)
            known |= FACT_BIT(fact);
    return needs & known;
}

static void check_combination(struct attempt *a, bool content)
{
    struct decision d;
    const struct verdict before = {.kind = VERDICT_ACCEPT, .rule = RULE_NONE, .level = LEVEL_DEFAULT};
    enum decide_result result = decide_recipient(&a->facts, &a->r, &a->set, content ? DECIDE_CONTENT : DECIDE_RCPT,
                                                 content ? &before : NULL, &d);
    if (result == DECIDE_NEEDS) {
        assert_int_not_equal(d.needs, 0);
        for (unsigned fact = 0; fact < FACT_COUNT; fact++)
            if (d.needs & FACT_BIT(fact))
                assert_int_equal(fact_state_get(&a->facts, &a->r, (enum fact)fact), FACT_NOT_ASKED);
        return;
    }
    assert_true(d.verdict.kind == VERDICT_ACCEPT || d.verdict.kind == VERDICT_REFUSE ||
                d.verdict.kind == VERDICT_DEFER);
    if (d.verdict.kind != VERDICT_REFUSE)
        return;
    const struct rule *rule = &rules[d.verdict.rule];
    uint32_t needs = content && rule->content ? rule->needs_of_content : rule->needs;
    assert_true(!needs || known_needs(a, rule, content));
    if (needs && !(needs & (needs - 1))) /* of a single fact: that one */
        assert_int_equal(known_needs(a, rule, content), needs);
}

static void test_random_states(void **state)
{
    struct attempt *a = malloc(sizeof *a);
    uint64_t seed = 88172645463325252ull;
    assert_non_null(a);
    attempt_init(a, all_on, damning);
    a->r.passcode = PASSCODE_NONE;
    a->facts.reverse_path = span_text("a@b.example");
    for (unsigned n = 0; n < 20000; n++) {
        for (unsigned fact = 0; fact < FACT_COUNT; fact++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            fact_state_set(&a->facts, &a->r, (enum fact)fact, (enum fact_state)(seed >> 33 & 3));
        }
        ruleset_init(&a->set);
        attempt_release(a);
        attempt_init(a, n & 1 ? all_on + sizeof "2 passcode=on" : all_on, damning);
        for (unsigned fact = 0; fact < FACT_COUNT; fact++)
            fact_state_set(&a->facts, &a->r, (enum fact)fact, (enum fact_state)(seed >> (2 * fact) & 3));
        if (n & 1)
            a->r.passcode = PASSCODE_NONE;
        check_combination(a, n & 2);
    }
    attempt_release(a);
    free(a);
}

/* ---- Order ---- */

/* Facts of later groups are not asked for before they matter, and those of one group at once; but those of the DNS and
 * of call-outs together, and the script when all that it may see is there. */
static void test_order_of_needs(void **state)
{
    static const char settings[] = "2 no-ptr=on|2 greylist=on|2 whois=on|2 whois.countries=xx|2 site-script=on|"
                                   "2 verify-sender=on|2 reverse-sender=watch";
    static const struct {
        const char *facts, *answer;
    } rows[] = {
        {"own-list=nothing", "needs ptr dns-lists return-path whois call-back reverse-call-back"},
        {"own-list=nothing|ptr=mx.b.example", "needs dns-lists return-path whois call-back reverse-call-back"},
        {"own-list=nothing|ptr=1.dyn.b.example",
         "needs dns-lists return-path greylist whois call-back reverse-call-back"},
        {"own-list=nothing|ptr=mx.b.example|dns=not:bl.example:|return-path=takes",
         "needs whois call-back reverse-call-back"},
        {"own-list=nothing|ptr=mx.b.example|dns=not:bl.example:|return-path=takes|whois=DE",
         "needs script call-back reverse-call-back"},
        {"own-list=nothing|ptr=mx.b.example|dns=not:bl.example:|return-path=takes|whois=XX",
         "refuse 550 5.7.1 whois account: your address 192.0.2.7 belongs to country XX by WHOIS, from where no mail is "
         "taken here"},
        {"own-list=listed:x",
         "refuse 554 5.7.1 ip-black-list built in: your address 192.0.2.7 is listed by this site's black list: x"},
        {"hit=white:account:@b.example", "accept white-list account: <a@b.example> is on the white list (@b.example)"},
        {"postmaster", "accept"},
    };
    struct buf answer;
    buf_init(&answer, 16384);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct attempt *a = malloc(sizeof *a);
        struct attempt fresh;
        assert_non_null(a);
        buf_reset(&answer);
        attempt_init(a, settings, rows[i].facts);
        fresh = *a;
        for (unsigned fact = 0; fact < FACT_COUNT; fact++)
            if (fact_state_get(&fresh.facts, &fresh.r, (enum fact)fact) == FACT_ABSENT)
                fact_state_set(&a->facts, &a->r, (enum fact)fact, FACT_NOT_ASKED);
        attempt_judge(a, 'r', &answer);
        if (!span_is(buf_span(&answer), rows[i].answer))
            print_error("%s: %.*s\n", rows[i].facts, SPAN_ARG(buf_span(&answer)));
        assert_true(span_is(buf_span(&answer), rows[i].answer));
        attempt_release(a);
        free(a);
    }
    buf_release(&answer);
}

/* The loop of policy/decide.h ends, since each turn learns something. */
static void test_loop_ends(void **state)
{
    struct attempt *a = malloc(sizeof *a);
    struct decision d;
    assert_non_null(a);
    attempt_init(a, all_on, "passcode=none");
    a->set.rules[rule_find((struct span)SPAN("passcode"))].value[0].number = MODE_OFF;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        fact_state_set(&a->facts, &a->r, (enum fact)fact, FACT_NOT_ASKED);
    unsigned turns = 0;
    while (decide_recipient(&a->facts, &a->r, &a->set, DECIDE_RCPT, NULL, &d) == DECIDE_NEEDS) {
        assert_in_range(++turns, 1, FACT_COUNT);
        for (unsigned fact = 0; fact < FACT_COUNT; fact++)
            if (d.needs & FACT_BIT(fact))
                fact_state_set(&a->facts, &a->r, (enum fact)fact, FACT_UNKNOWN);
    }
    assert_in_range(turns, 2, 5);
    assert_int_equal(d.verdict.kind, VERDICT_DEFER); /* return-path, of which nobody could say */
    attempt_release(a);
    free(a);
}

/* Rules that were asked and said nothing are named: for `ostiary explain`. */
static void test_asked(void **state)
{
    struct attempt *a = malloc(sizeof *a);
    struct decision d;
    assert_non_null(a);
    attempt_init(a, "2 helo-not-ip=on|2 sender-tld=on|2 sender-tld.tlds=example", "dns=listed:bl.example:x");
    assert_int_equal(decide_recipient(&a->facts, &a->r, &a->set, DECIDE_RCPT, NULL, &d), DECIDE_DONE);
    assert_string_equal(rules[d.verdict.rule].name, "dnsbl");
    static const struct {
        const char *rule;
        bool asked;
    } rows[] = {{"helo-not-ip", true}, {"sender-tld", true},   {"ip-black-list", true}, {"dnsbl", false},
                {"no-ptr", false},     {"return-path", false}, {"white-list", true},    {"fetched-strict", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(d.asked >> rule_find(span_text(rows[i].rule)) & 1, rows[i].asked);
    assert_string_equal(d.verdict.evidence, "bl.example");
    attempt_release(a);
    /* A rule with two halves that decides was not silent. */
    attempt_init(a, "2 white-list=on", "");
    assert_int_equal(decide_recipient(&a->facts, &a->r, &a->set, DECIDE_RCPT, NULL, &d), DECIDE_DONE);
    assert_string_equal(rules[d.verdict.rule].name, "white-list");
    assert_int_equal(d.asked >> d.verdict.rule & 1, 0);
    attempt_release(a);
    free(a);
}

/* ---- The reply ---- */

static const struct {
    const char *recipient, *sentence, *help;
    enum verdict_kind kind;
    uint64_t reference;
    bool terse;
    const char *reply;
} replies[] = {
    {"bob@example.org", "your address 192.0.2.7 is listed by zen.example", "", VERDICT_REFUSE, 0x39e6dfc35aull, false,
     "bob@example.org does not take this: your address 192.0.2.7 is listed by zen.example. Reference 77KD-ZGTT"},
    {"bob@example.org", "x", "", VERDICT_REFUSE, 1, true, "bob@example.org does not take this. Reference 0000-0001"},
    {"bob@example.org", "x", "", VERDICT_DEFER, 1, false,
     "bob@example.org does not take this now: x. Reference 0000-0001"},
    {"bob@example.org", "x", "https://example.org/refused", VERDICT_REFUSE, 1, false,
     "bob@example.org does not take this: x. Reference 0000-0001, see https://example.org/refused"},
    {"bob@example.org", "x", "", VERDICT_REFUSE, 0, false, "bob@example.org does not take this: x"},
    {"bob@example.org", "x", "https://e.example/", VERDICT_REFUSE, 0, true,
     "bob@example.org does not take this. See https://e.example/"},
    {"b\xc3\xb6"
     "b\r\n250 ok@example.org",
     "a\nb", "", VERDICT_REFUSE, 0, false, "b??b??250 ok@example.org does not take this: a?b"},
    {"bob@example.org", "", "", VERDICT_REFUSE, 0, false, "bob@example.org does not take this"},
};

static void test_replies(void **state)
{
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct verdict v = {.kind = replies[i].kind};
        struct recipient_facts r = {.recipient = span_text(replies[i].recipient)};
        snprintf(v.sentence, sizeof v.sentence, "%s", replies[i].sentence);
        buf_reset(&out);
        decision_write_reply(&v, &r, replies[i].reference, replies[i].terse, span_text(replies[i].help), &out);
        if (!span_is(buf_span(&out), replies[i].reply))
            print_error("%.*s\n", SPAN_ARG(buf_span(&out)));
        assert_true(span_is(buf_span(&out), replies[i].reply));
    }
    buf_release(&out);
}

/* However long and strange what strangers give: one line, printable, within 512 octets with its codes. */
static void test_hostile_facts(void **state)
{
    char long_text[3000];
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof long_text; i++)
        long_text[i] = (char)(i * 7);
    const struct span hostile = {long_text, sizeof long_text};
    for (size_t i = 0; i < REFUSALS; i++) {
        struct attempt *a = malloc(sizeof *a);
        struct decision d;
        const struct verdict before = {.kind = VERDICT_ACCEPT, .rule = RULE_NONE};
        assert_non_null(a);
        attempt_init(a, settings_of(i, "2", "on", ""), refusals[i].facts);
        a->facts.helo =
            strcmp(refusals[i].rule, "helo-sane") && strcmp(refusals[i].rule, "helo-not-ip") ? hostile : a->facts.helo;
        a->facts.reverse_path = a->r.recipient = a->facts.ptr.claimed = a->facts.own_list.reason = hostile;
        a->facts.call_back.reply = a->facts.reverse_call_back.reply = a->r.script.text = hostile;
        a->r.script_content.text = a->r.passcode_name = hostile;
        if (a->facts.dns_list_count)
            a->dns_lists[0].reason = hostile;
        if (a->r.hit_count)
            a->r.hits[0].entry = hostile;
        decide_recipient(&a->facts, &a->r, &a->set, refusals[i].stage == 'c' ? DECIDE_CONTENT : DECIDE_RCPT,
                         refusals[i].stage == 'c' ? &before : NULL, &d);
        assert_true(d.verdict.kind == VERDICT_REFUSE || d.verdict.kind == VERDICT_DEFER);
        buf_reset(&out);
        decision_write_reply(&d.verdict, &a->r, 0xffffffffffull, false, hostile, &out);
        assert_false(buf_failed(&out));
        assert_in_range(out.size, 20, DECISION_REPLY_MAX);
        assert_non_null(memmem(out.data, out.size, ". Reference ZZZZ-ZZZZ", 21));
        for (size_t k = 0; k < out.size; k++)
            assert_in_range(out.data[k], ' ', '~');
        for (const char *c = d.verdict.evidence; *c; c++)
            assert_in_range(*c, ' ', '~');
        attempt_release(a);
        free(a);
    }
    buf_release(&out);
}

static void test_references(void **state)
{
    static const struct {
        const char *text;
        uint64_t reference;
        bool good;
    } rows[] = {
        {"7F3K-2QXD", 0, true},   {"7f3k2qxd", 0, true},
        {"0000-0001", 1, true},   {"oOoO-OoOi", 1, true},
        {"0000000L", 1, true},    {"ZZZZ-ZZZZ", 0xffffffffffull, true},
        {"", 0, false},           {"7F3K-2QX", 0, false},
        {"7F3K-2QXDA", 0, false}, {"7F3-K2QXD", 0, false},
        {"U000-0000", 0, false},  {"7F3K-2QX-", 0, false},
        {"7F3K 2QXD", 0, false},  {"-7F3K2QXD", 0, false},
        {"7F3K--2QX", 0, false},  {"7F3K\xc3-2QX", 0, false},
    };
    char text[10];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t reference = 77;
        assert_int_equal(reference_parse(span_text(rows[i].text), &reference), rows[i].good);
        if (!rows[i].good) {
            assert_int_equal(reference, 77);
            continue;
        }
        if (rows[i].reference)
            assert_int_equal(reference, rows[i].reference);
        reference_write(reference, text);
        uint64_t again;
        assert_true(reference_parse(span_text(text), &again) && again == reference);
    }
    reference_write(0x39e6dfc35aull, text);
    assert_string_equal(text, "77KD-ZGTT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_rule_has_a_refusal),
        cmocka_unit_test(test_modes),
        cmocka_unit_test(test_postmaster),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_standing),
        cmocka_unit_test(test_unknown_never_refuses),
        cmocka_unit_test(test_random_states),
        cmocka_unit_test(test_order_of_needs),
        cmocka_unit_test(test_loop_ends),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_hostile_facts),
        cmocka_unit_test(test_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
