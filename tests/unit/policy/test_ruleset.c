/* Rules in force: what replaces what, the text they travel in, and classes. */
#include "policy/ruleset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct ruleset a, b;
    struct buf text;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    arena_init(&f->arena, 1 << 20);
    buf_init(&f->text, RULESET_TEXT_MAX);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->arena);
    buf_release(&f->text);
    free(f);
    return 0;
}

/* Lines with "|" between them, and the lines that they come to. */
static const struct {
    const char *lines, *in_force;
} merges[] = {
    {"", ""},
    {"2 white-list=on", "2 white-list=on\n"},
    {"0 white-list=on|2 white-list=off", "2 white-list=off\n"},
    {"0 white-list=on|1 white-list=file|2 white-list.learn=on", "1 white-list=file\n2 white-list.learn=on\n"},
    {"3 sender-tld.tlds=ORG com,ORG", "3 sender-tld.tlds=com org\n"},
    {"0! dnsbl=on|2 dnsbl=off|3 dnsbl.zones=x.example", "0! dnsbl=on\n"},
    {"2 dnsbl=off|3 dnsbl.zones=x.example|0! dnsbl=on", "0! dnsbl=on\n"},
    {"0 dnsbl.zones=x.example|0! dnsbl=on", "0! dnsbl=on\n0! dnsbl.zones=x.example\n"},
    {"0! dnsbl=on|0 dnsbl.zones=x.example", "0! dnsbl=on\n0! dnsbl.zones=x.example\n"},
    {"0! dnsbl=on|2 no-ptr=on", "2 no-ptr=on\n0! dnsbl=on\n"},
    {"2 of-tomorrow=on|2 dnsbl=sometimes|2 dnsbl=off", "2 dnsbl=off\n"},
    {"2! dnsbl=off", ""},
    {"2 forward.to=", "2 forward.to=\n"},
    {"2 dnsbl.folder=a=b", "2 dnsbl.folder=a=b\n"},
};

static void parse(struct fixture *f, const char *lines, struct ruleset *set)
{
    char text[1000];
    snprintf(text, sizeof text, "%s", lines);
    for (char *c = text; *c; c++)
        *c = *c == '|' ? '\n' : *c;
    assert_true(ruleset_parse(span_text(text), &f->arena, set));
}

static void test_merges(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
        buf_reset(&f->text);
        parse(f, merges[i].lines, &f->a);
        ruleset_write(&f->a, &f->text);
        if (!span_is(buf_span(&f->text), merges[i].in_force))
            print_error("%s: %.*s\n", merges[i].lines, SPAN_ARG(buf_span(&f->text)));
        assert_true(span_is(buf_span(&f->text), merges[i].in_force));
        /* What was written says the same. */
        assert_true(ruleset_parse(buf_span(&f->text), &f->arena, &f->b));
        for (size_t rule = 0; rule < rule_count; rule++) {
            assert_int_equal(f->a.rules[rule].is_locked, f->b.rules[rule].is_locked);
            for (size_t k = 0; k < rules[rule].parameter_count; k++) {
                const struct rule_value *x = &f->a.rules[rule].value[k], *y = &f->b.rules[rule].value[k];
                if (!span_equal(x->text, y->text) || x->number != y->number || x->level != y->level)
                    print_error("%s: %s.%s\n", merges[i].lines, rules[rule].name, rules[rule].parameters[k].name);
                assert_true(span_equal(x->text, y->text) && x->number == y->number && x->level == y->level);
            }
        }
    }
}

static void test_bad_texts(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "white-list=on",    "2white-list=on", "2  ", "4 white-list=on", "x white-list=on", "2 white-list",
        "2? white-list=on", "22 dnsbl=on",    "\n",  "2! \n2 a=b",      "-1 dnsbl=on",     " 2 dnsbl=on"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ruleset_parse(span_text(bad[i]), &f->arena, &f->a));
}

/* A rule that there was no memory for must not be passed over. */
static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    struct arena small;
    arena_init(&small, 64);
    assert_false(ruleset_parse(
        (struct span)SPAN("2 sender-tld.tlds=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &small, &f->a));
    arena_release(&small);
    char *huge = calloc(1, RULESET_TEXT_MAX + 1);
    assert_non_null(huge);
    assert_false(ruleset_parse(span_from(huge, RULESET_TEXT_MAX + 1), &f->arena, &f->a));
    free(huge);
}

static void test_put(void **state)
{
    struct fixture *f = *state;
    const struct span on = SPAN("on"), dnsbl = SPAN("dnsbl"), unknown = SPAN("x");
    ruleset_init(&f->a);
    assert_false(ruleset_put(&f->a, &f->arena, unknown, on, LEVEL_SITE, false));
    assert_false(ruleset_put(&f->a, &f->arena, dnsbl, unknown, LEVEL_SITE, false));
    assert_false(ruleset_put(&f->a, &f->arena, dnsbl, on, LEVEL_DEFAULT, false));
    assert_false(ruleset_put(&f->a, &f->arena, dnsbl, on, LEVEL_ACCOUNT, true));
    assert_true(ruleset_put(&f->a, &f->arena, dnsbl, on, LEVEL_DOMAIN, false));
    assert_int_equal(ruleset_get(&f->a, "dnsbl")->level, LEVEL_DOMAIN);
    assert_int_equal(ruleset_get(&f->a, "greylist.wait")->number, 300);
    assert_int_equal(ruleset_get(&f->a, "greylist.wait")->level, LEVEL_DEFAULT);
}

static const struct {
    const char *a, *b;
    bool same, has_rules; /* has_rules: of a */
} classes[] = {
    {"", "", true, false},
    {"2 dnsbl=off", "2 white-list=on", true, false},
    {"2 block-agent=on|2 block-agent.patterns=x", "", false, true},
    {"2 block-agent=on|2 block-agent.patterns=x", "0 block-agent=on|1 block-agent.patterns=X", true, true},
    {"2 block-agent=on|2 block-agent.patterns=x", "2 block-agent=on|2 block-agent.patterns=y", false, true},
    {"2 block-agent=watch", "", true, true},
    {"2 block-agent=file", "", true, true},
    {"2 block-agent=file", "2 block-agent=on", false, true},
    {"2 max-size=on", "2 max-size=on|2 max-size.size=10240K", true, true},
    {"2 max-size=on", "2 max-size=on|2 max-size.size=9M", false, true},
    {"2 max-size.size=9M", "", true, false},
    {"0! max-size=on", "0 max-size=on", false, true},
    {"0! max-size=on", "0! max-size=on|2 max-size=off", true, true},
    {"2 site-script=on", "2 site-script=on", true, false},
    {"2 site-script=on|2 site-script.message=on", "2 site-script=on|2 site-script.message=on", false, true},
    {"2 site-script=file|2 site-script.message=on", "2 site-script=file|2 site-script.message=on", false, true},
    {"2 site-script=watch|2 site-script.message=on", "", true, true},
};

static void test_classes(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        parse(f, classes[i].a, &f->a);
        parse(f, classes[i].b, &f->b);
        assert_int_equal(ruleset_same_content_class(&f->a, &f->b), classes[i].same);
        assert_int_equal(ruleset_same_content_class(&f->b, &f->a), classes[i].same);
        assert_int_equal(ruleset_has_content_rules(&f->a), classes[i].has_rules);
    }
}

static void test_judges_apart(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *lines;
        bool apart;
    } rows[] = {
        {"", false},
        {"0! site-script=on", false},
        {"0 site-script=on|0 site-script.message=on", false},
        {"0! site-script=on|0 site-script.message=on", true},
        {"0! site-script=file|0 site-script.message=on", true},
        {"0! site-script=watch|0 site-script.message=on", false},
        {"0! block-agent=on", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        parse(f, rows[i].lines, &f->a);
        assert_int_equal(ruleset_judges_everybody_apart(&f->a), rows[i].apart);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_merges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_classes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_judges_apart, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
