/* The table of rules is in order: names, defaults, texts. */
#include "format/address.h"
#include "policy/decide.h"
#include "policy/door_item.h"
#include "policy/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct buf problem;
};

static int set_up(void **state)
{
    static struct fixture f;
    arena_init(&f.arena, 1 << 20);
    buf_init(&f.problem, 4096);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->arena);
    buf_release(&f->problem);
    return 0;
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < rule_count; i++) {
        const struct rule *rule = &rules[i];
        assert_int_equal(rule_find(span_text(rule->name)), i);
        if (rule->simbeymail)
            assert_int_equal(rule_find(span_text(rule->simbeymail)), i);
        assert_true(strlen(rule->summary) > 20 && rule->summary[strlen(rule->summary) - 1] == '.');
        assert_in_range(rule->parameter_count, 1, RULE_PARAMETERS_MAX);
        assert_string_equal(rule->parameters[0].name, "");
        assert_true(rule->group == GROUP_ACTION ? !rule->keeps_out && !rule->lets_in
                                                : rule->keeps_out || rule->lets_in);
        assert_true(rule->lets_in ? rule->group == GROUP_LETS_IN : true);
        assert_int_equal(rule->content != NULL, rule->needs_of_content != 0);
        assert_true(rule->parameters[0].type == PARAMETER_MODE || rule->parameters[0].type == PARAMETER_SWITCH);
    }
}

/* Defaults are canonical, have an explanation, and where "file" is a mode there is a folder in its place. */
static void test_parameters(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < rule_count; i++) {
        for (size_t k = 0; k < rules[i].parameter_count; k++) {
            const struct rule_parameter *p = &rules[i].parameters[k];
            struct rule_value value = {.level = LEVEL_SITE};
            assert_true(p->name && p->explanation && strlen(p->explanation) > 5);
            assert_true(rule_value_parse(p, span_text(p->fallback), &f->arena, &value, &f->problem));
            assert_true(span_is(value.text, p->fallback));
            assert_int_equal(value.level, LEVEL_SITE);
            for (size_t other = 0; other < k; other++)
                assert_string_not_equal(p->name, rules[i].parameters[other].name);
        }
        if (rules[i].parameters[0].type == PARAMETER_MODE && strstr(rules[i].parameters[0].words, "file"))
            assert_string_equal(rules[i].parameters[VALUE_FOLDER].name, "folder");
    }
}

/* The numbers of rules stand in ledgers everywhere. A row here never changes; a new rule adds one. */
static const char *const numbers[] = {
    "protect-my-address",
    "accept-all",
    "passcode",
    "approved-servers",
    "limited-address",
    "white-list",
    "fetched-white-list",
    "ip-black-list",
    "fetched-ip-black-list",
    "denied-servers",
    "black-list",
    "fetched-black-list",
    "pregreet",
    "helo-not-ip",
    "helo-sane",
    "sender-tld",
    "fetched-strict",
    "max-size",
    "no-ptr",
    "denied-host-names",
    "dnsbl",
    "return-path",
    "greylist",
    "whois",
    "site-script",
    "verify-sender",
    "reverse-sender",
    "attachment-types",
    "block-agent",
    "fetched-block-folder",
    "forward",
    "terse",
};

static void test_numbers(void **state)
{
    uint64_t all = 0;
    assert_true(sizeof numbers / sizeof *numbers <= 63);
    for (unsigned i = 0; i < rule_count; i++) {
        assert_true(rules[i].number < sizeof numbers / sizeof *numbers);
        assert_string_equal(numbers[rules[i].number], rules[i].name);
        assert_false(all & rule_bit(i));
        all |= rule_bit(i);
    }
}

/* What the store may keep for one person, all of it as long as it can be: that has room in the text that travels. */
static void test_the_longest_rules_fit(void **state)
{
    struct arena arena;
    struct buf out, longest, problem;
    static struct ruleset set;
    arena_init(&arena, 4 << 20);
    buf_init(&out, RULESET_TEXT_MAX);
    buf_init(&longest, DOOR_VALUE_MAX);
    buf_init(&problem, 4096);
    for (size_t i = 0; i < DOOR_VALUE_MAX; i++)
        buf_add_char(&longest, i % 11 == 10 ? ' ' : (char)('a' + (i / 11 / (i % 11 < 5 ? 1 : 26) + i % 11) % 26));
    ruleset_init(&set);
    for (unsigned i = 0; i < rule_count; i++)
        for (size_t k = 0; k < rules[i].parameter_count; k++) {
            const struct rule_parameter *p = &rules[i].parameters[k];
            struct rule_value *value = &set.rules[i].value[k];
            struct span text = buf_span(&longest);
            if (p->type == PARAMETER_FOLDER)
                text = span_head(text, FOLDER_MAX - 1);
            else if (p->type != PARAMETER_WORDS)
                text = span_head(text, p->type == PARAMETER_ADDRESS ? PATH_MAX_SMTP : 24);
            /* The words as they are: sorted or not, they are not longer than what was set. */
            value->text = text;
            value->level = LEVEL_SITE;
            set.rules[i].is_locked = true;
        }
    ruleset_write(&set, &out);
    assert_false(buf_failed(&out));
    assert_true(out.size > RULESET_TEXT_MAX / 2); /* it is about something */
    buf_release(&problem);
    buf_release(&longest);
    buf_release(&out);
    arena_release(&arena);
}

static const struct {
    const char *simbeymail, *rule;
} flags[] = {
    {"MUI_ALLOW_ALL", "accept-all"},
    {"MUI_CHECK_PASSCODE", "passcode"},
    {"MUI_CHECK_APPROVED", "approved-servers"},
    {"MUI_CHECK_DENIED", "denied-servers"},
    {"MUI_CHECK_SOURCE", "verify-sender"},
    {"MUI_SECURE_SMTP", "protect-my-address"},
    {"MUI_VERIFY_DENIED", "denied-host-names"},
    {"MUI_CHECK_PLUGIN", "site-script"},
    {"MUI_WHITE_LIST_DIRECT", "white-list"},
    {"MUI_WHITE_LIST_PROXY", "fetched-white-list"},
    {"MUI_PROXY_BLOCK_FOLDER", "fetched-block-folder"},
    {"MUI_CHECK_HELO_NOT_IP", "helo-not-ip"},
    {"MUI_REVERSE_SENDER_CHECK", "reverse-sender"},
    {"MUI_CHECK_SENDER_TYPE", "sender-tld"},
    {"MUI_CHECK_WHOIS", "whois"},
    {"MUI_FORWARD_MAIL", "forward"},
    {"MUI_PROXY_STRICT", "fetched-strict"},
    {"MUI_BLACK_LIST_PROXY", "fetched-black-list"},
    {"MUI_BLOCK_BY_AGENT", "block-agent"},
    {"MUI_IP_BLACK_LIST", "ip-black-list"},
    {"MUI_IP_PROXY_LIST", "fetched-ip-black-list"},
};

static void test_flags(void **state)
{
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        unsigned rule = rule_find(span_text(flags[i].simbeymail));
        assert_int_not_equal(rule, RULE_NONE);
        assert_string_equal(rules[rule].name, flags[i].rule);
    }
}

/* On where nobody has set anything; everything else is a person's choice. */
static void test_built_in(void **state)
{
    static const char *const on = "approved-servers limited-address ip-black-list denied-servers black-list "
                                  "fetched-black-list denied-host-names dnsbl return-path fetched-block-folder";
    struct ruleset set;
    memset(&set, 0, sizeof set);
    ruleset_init(&set);
    for (size_t i = 0; i < rule_count; i++) {
        bool is_on = words_have(span_text(on), span_text(rules[i].name));
        assert_int_equal(rule_mode_get(&rules[i], &set.rules[i]), is_on ? MODE_ON : MODE_OFF);
        assert_int_equal(set.rules[i].value[0].level, LEVEL_DEFAULT);
    }
    assert_false(ruleset_has_content_rules(&set));
}

/* NULL as `canonical`: refused, and `problem` is what is said. */
static const struct {
    const char *name, *text, *canonical;
    uint64_t number;
    const char *problem;
} values[] = {
    {"dnsbl", "on", "on", MODE_ON, NULL},
    {"dnsbl", "FILE", "file", MODE_FILE, NULL},
    {"dnsbl", "watch", "watch", MODE_WATCH, NULL},
    {"dnsbl", "yes", NULL, 0, "expected off, watch, file or on"},
    {"dnsbl", "", NULL, 0, "expected off, watch, file or on"},
    {"greylist", "file", NULL, 0, "expected off, watch or on"},
    {"greylist", "on", "on", MODE_ON, NULL},
    {"accept-all", "On", "on", 1, NULL},
    {"accept-all", "watch", NULL, 0, "expected off or on"},
    {"greylist.wait", "90", "90s", 90, NULL},
    {"greylist.wait", "5m", "5m", 300, NULL},
    {"greylist.wait", "6m", NULL, 0, "expected a time from 1s to 5m"},
    {"greylist.wait", "0", NULL, 0, "expected a time from 1s to 5m"},
    {"greylist.only", "ALL", "all", 1, NULL},
    {"greylist.only", "some", NULL, 0, "expected suspicious or all"},
    {"max-size.size", "1024K", "1M", 1 << 20, NULL},
    {"max-size.size", "1048576", "1M", 1 << 20, NULL},
    {"max-size.size", "big", NULL, 0, "expected a size from 1K to 100G"},
    {"sender-tld.tlds", " ORG,com  net com ", "com net org", 0, NULL},
    {"sender-tld.tlds", "", "", 0, NULL},
    {"sender-tld.tlds", "a\tb", NULL, 0, "expected words with blanks between them, without control characters"},
    {"dnsbl.folder", " Spam ", "Spam", 0, NULL},
    {"dnsbl.folder", "", NULL, 0, "expected the name of a mailbox, at most 199 bytes"},
    {"dnsbl.on-unknown", "Defer", "defer", 1, NULL},
    {"forward.to", "Bob@EXAMPLE.org", "Bob@example.org", 0, NULL},
    {"forward.to", "", "", 0, NULL},
    {"forward.to", "bob", NULL, 0, "expected an address like bob@example.org"},
};

static void test_values(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        unsigned rule, parameter;
        struct rule_value value = {.level = LEVEL_DOMAIN, .number = 77};
        buf_reset(&f->problem);
        assert_true(rule_parameter_find(span_text(values[i].name), &rule, &parameter));
        bool parsed = rule_value_parse(&rules[rule].parameters[parameter], span_text(values[i].text), &f->arena, &value,
                                       &f->problem);
        assert_int_equal(parsed, values[i].canonical != NULL);
        if (parsed) {
            assert_true(span_is(value.text, values[i].canonical));
            assert_int_equal(value.number, values[i].number);
        } else {
            assert_true(span_is(buf_span(&f->problem), values[i].problem));
            assert_int_equal(value.number, 77);
        }
        assert_int_equal(value.level, LEVEL_DOMAIN);
    }
}

static void test_names(void **state)
{
    unsigned rule, parameter;
    static const char *const unknown[] = {"", ".", "dnsbl.", "dnsbl.zone", "dns", "dnsbl.zones.x", ".zones", "Dnsbl"};
    assert_true(rule_parameter_find((struct span)SPAN("dnsbl"), &rule, &parameter) && parameter == 0);
    assert_true(rule_parameter_find((struct span)SPAN("dnsbl.zones"), &rule, &parameter));
    assert_string_equal(rules[rule].parameters[parameter].name, "zones");
    assert_true(rule_parameter_find((struct span)SPAN("mui_white_list_direct.learn"), &rule, &parameter));
    assert_string_equal(rules[rule].name, "white-list");
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_false(rule_parameter_find(span_text(unknown[i]), &rule, &parameter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_the_longest_rules_fit),
        cmocka_unit_test_setup_teardown(test_parameters, set_up, tear_down),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_built_in),
        cmocka_unit_test_setup_teardown(test_values, set_up, tear_down),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
