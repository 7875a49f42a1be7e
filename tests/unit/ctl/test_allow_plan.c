#include "ctl/allow_plan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* An attempt as the ledger has it, and what is in force now. */
struct row {
    const char *rules; /* policy/ruleset.h, the text */
    const char *rule, *sender;
    unsigned verdict;
    enum allow_outcome outcome;
    const char *says; /* the entry, the setting, or a part of the problem */
};

static const struct row rows[] = {
    {"2 white-list=on\n", "white-list", "Friend@far.example", VERDICT_REFUSE, ALLOW_SENDER, "friend@far.example"},
    {"2 sender-tld=file\n", "sender-tld", "friend@far.example", VERDICT_FILE, ALLOW_SENDER, "friend@far.example"},
    {"2 passcode=on\n", "passcode", "friend@far.example", VERDICT_DEFER, ALLOW_SENDER, "friend@far.example"},
    {"0! white-list=on\n", "white-list", "friend@far.example", VERDICT_REFUSE, ALLOW_SENDER, "friend@far.example"},
    {"2 white-list=on\n2 white-list.bounces=off\n", "white-list", "", VERDICT_REFUSE, ALLOW_BOUNCES,
     "white-list.bounces"},
    {"2 passcode=on\n2 passcode.bounces=off\n", "passcode", "", VERDICT_REFUSE, ALLOW_BOUNCES, "passcode.bounces"},
    {"2 helo-not-ip=on\n", "helo-not-ip", "", VERDICT_REFUSE, ALLOW_NOT_HERE,
     "rules set alice@example.org helo-not-ip=watch"},
    {"", "white-list", "friend@far.example", VERDICT_ACCEPT, ALLOW_NOTHING, "it was let in"},
    {"", "white-list", "friend@far.example", VERDICT_WATCH, ALLOW_NOTHING, "it was let in"},
    {"", "no-such-user", "friend@far.example", VERDICT_REFUSE, ALLOW_NOT_HERE, "no rule of this door (no-such-user)"},
    {"", "protect-my-address", "a@far.example", VERDICT_REFUSE, ALLOW_NOT_HERE, "protects the sender's own address"},
    {"0! ip-black-list=on\n", "ip-black-list", "friend@far.example", VERDICT_REFUSE, ALLOW_NOT_HERE,
     "ostiary blacklist add"},
    {"0! sender-tld=on\n", "sender-tld", "friend@far.example", VERDICT_REFUSE, ALLOW_NOT_HERE,
     "ostiary rules unlock sender-tld"},
};

static bool contains(struct span text, const char *part)
{
    size_t size = strlen(part);
    for (size_t i = 0; i + size <= text.size; i++)
        if (memcmp(text.data + i, part, size) == 0)
            return true;
    return false;
}

static void check_row(const struct row *row, bool with_facts)
{
    struct arena arena;
    struct ruleset set;
    struct facts facts = {.reverse_path = span_text(row->sender), .helo = SPAN("mx.far.example")};
    struct recipient_facts r = {.recipient = SPAN("alice@example.org"), .account = SPAN("alice@example.org")};
    struct allow_plan plan;
    struct buf problem;
    arena_init(&arena, 1 << 20);
    buf_init(&problem, 4096);
    assert_true(ruleset_parse(span_text(row->rules), &arena, &set));
    struct ip_address ip;
    assert_true(ip_address_parse((struct span)SPAN("192.0.2.7"), &ip));
    struct allow_attempt attempt = {.reverse_path = span_text(row->sender),
                                    .rule = span_text(row->rule),
                                    .ip = with_facts ? &ip : NULL,
                                    .verdict = row->verdict,
                                    .owner = SPAN("alice@example.org"),
                                    .owner_level = LEVEL_ACCOUNT,
                                    .set = &set,
                                    .facts = with_facts ? &facts : NULL,
                                    .r = &r};
    allow_plan_make(&attempt, &arena, &plan, &problem);
    if (plan.outcome != row->outcome)
        fail_msg("%s %s: %d, %.*s", row->rules, row->rule, (int)plan.outcome, SPAN_ARG(buf_span(&problem)));
    if (plan.outcome == ALLOW_SENDER) {
        struct buf wanted;
        buf_init(&wanted, 1000);
        buf_printf(&wanted, "%s%s", row->says, with_facts ? " from 192.0.2.0/24" : "");
        assert_true(span_equal(plan.sender, buf_span(&wanted)));
        buf_release(&wanted);
        assert_int_equal(plan.is_tried, with_facts);
    } else if (plan.outcome == ALLOW_BOUNCES) {
        assert_string_equal(plan.setting, row->says);
    } else if (!contains(buf_span(&problem), row->says)) {
        fail_msg("%s %s: %.*s", row->rules, row->rule, SPAN_ARG(buf_span(&problem)));
    }
    buf_release(&problem);
    arena_release(&arena);
}

static void test_plans(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_row(&rows[i], true);
        check_row(&rows[i], false);
    }
}

/* Another rule that the site has locked would keep it out all the same: that is said instead. */
static void test_what_would_still_refuse(void **state)
{
    struct arena arena;
    struct ruleset set;
    struct facts facts = {.reverse_path = SPAN("friend@far.xyz"), .helo = SPAN("mx.far.xyz")};
    struct recipient_facts r = {.recipient = SPAN("alice@example.org"), .account = SPAN("alice@example.org")};
    struct allow_plan plan;
    struct buf problem;
    arena_init(&arena, 1 << 20);
    buf_init(&problem, 4096);
    assert_true(ruleset_parse(span_text("2 white-list=on\n0! sender-tld=on\n"), &arena, &set));
    struct allow_attempt attempt = {.reverse_path = facts.reverse_path,
                                    .rule = SPAN("white-list"),
                                    .verdict = VERDICT_REFUSE,
                                    .owner_level = LEVEL_ACCOUNT,
                                    .set = &set,
                                    .facts = &facts,
                                    .r = &r};
    allow_plan_make(&attempt, &arena, &plan, &problem);
    assert_int_equal(plan.outcome, ALLOW_NOT_HERE);
    assert_true(contains(buf_span(&problem), "the rule sender-tld would still keep it out"));
    buf_release(&problem);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plans), cmocka_unit_test(test_what_would_still_refuse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
