#include "base/clock.h"
#include "ctl/ledger_text.h"
#include "ctl/replay.h"
#include "ipc/binary.h"
#include "policy/decide.h"

/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* An attempt of a stranger of whom everything was asked that is asked without settings. */
struct attempt {
    struct arena arena;
    struct buf blob;
    StoreWrite__LedgerRow row;
    StoreWrite__LedgerEntry entry;
};

static void attempt_start(struct attempt *a, const char *sender, enum verdict_kind verdict, const char *rule,
                          bool asked_dns)
{
    struct facts facts = {.reverse_path = span_text(sender), .helo = span_text("mail.b.example")};
    struct recipient_facts r = {.recipient = span_text("bob@example.test"), .account = span_text("bob@example.test")};
    arena_init(&a->arena, 1 << 20);
    buf_init(&a->blob, FACTS_SIZE_MAX);
    assert_true(ip_address_parse(span_text("192.0.2.7"), &facts.ip));
    for (unsigned fact = 0; asked_dns && fact < FACT_COUNT; fact++)
        if (fact == FACT_OWN_LIST || fact == FACT_RETURN_PATH)
            fact_state_set(&facts, &r, (enum fact)fact, FACT_KNOWN);
        else if (fact == FACT_DNS_LISTS || fact == FACT_PTR)
            fact_state_set(&facts, &r, (enum fact)fact, FACT_ABSENT);
    facts_write(&facts, &r, false, &a->blob);
    store_write__ledger_row__init(&a->row);
    store_write__ledger_entry__init(&a->entry);
    a->entry.row = &a->row;
    a->row.at = 1764000000ull * NANOSECONDS;
    a->row.attempts = 1;
    a->row.verdict = verdict;
    a->row.level = LEVEL_ACCOUNT;
    a->row.rule = binary_from_span(span_text(rule));
    a->row.recipient = binary_from_span(span_text("bob@example.test"));
    a->row.reverse_path = binary_from_span(span_text(sender));
    a->row.facts = binary_from_span(buf_span(&a->blob));
}

static void attempt_stop(struct attempt *a)
{
    buf_release(&a->blob);
    arena_release(&a->arena);
}

static void with(struct attempt *a, struct ruleset *set, const char *name, const char *value)
{
    assert_true(ruleset_put(set, &a->arena, span_text(name), span_text(value), LEVEL_ACCOUNT, false));
}

static void test_outcomes(void **state)
{
    (void)state;
    const struct {
        const char *sender;
        enum verdict_kind verdict;
        const char *rule;
        bool asked_dns;
        const char *before, *after, *value; /* settings; NULL: none */
        enum replay_outcome outcome;
        uint32_t lacks;
    } cases[] = {
        {"a@b.example", VERDICT_ACCEPT, "", true, NULL, "sender-tld", "on", REPLAY_REFUSED, 0},
        {"a@b.org", VERDICT_ACCEPT, "", true, NULL, "helo-not-ip", "on", REPLAY_SAME, 0},
        {"a@b.example", VERDICT_ACCEPT, "", true, NULL, "sender-tld", "watch", REPLAY_SAME, 0},
        {"a@b.example", VERDICT_ACCEPT, "", true, NULL, "sender-tld", "file", REPLAY_FILED, 0},
        {"a@b.example", VERDICT_REFUSE, "sender-tld", true, "sender-tld", "sender-tld", "off", REPLAY_LET_IN, 0},
        {"a@b.example", VERDICT_REFUSE, "sender-tld", false, "sender-tld", "sender-tld", "off", REPLAY_MISSING,
         FACT_BIT(FACT_OWN_LIST)},
        {"a@b.example", VERDICT_ACCEPT, "", true, NULL, "whois", "on", REPLAY_MISSING, FACT_BIT(FACT_WHOIS)},
        {"a@b.example", VERDICT_REFUSE, "no-such-user", true, NULL, "sender-tld", "on", REPLAY_NO_RULES, 0},
        {"a@b.example", VERDICT_REFUSE, "sender-tld", true, "sender-tld", "helo-not-ip", "on", REPLAY_LET_IN, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attempt a;
        struct ruleset before, after;
        struct verdict verdict;
        uint32_t lacks;
        ruleset_init(&before);
        ruleset_init(&after);
        attempt_start(&a, cases[i].sender, cases[i].verdict, cases[i].rule, cases[i].asked_dns);
        if (cases[i].before)
            with(&a, &before, cases[i].before, "on");
        with(&a, &after, cases[i].after, cases[i].value);
        if (strcmp(cases[i].after, "whois") == 0)
            with(&a, &after, "whois.countries", "xx");
        enum replay_outcome outcome = replay_row(&a.row, &before, &after, 0, &a.arena, &verdict, &lacks);
        if (outcome != cases[i].outcome)
            fail_msg("case %zu: outcome %d, not %d (lacks %x)", i, outcome, cases[i].outcome, lacks);
        if (outcome == REPLAY_MISSING && (cases[i].lacks & ~lacks))
            fail_msg("case %zu: %x is not said to be missing, only %x", i, cases[i].lacks, lacks);
        if (outcome == REPLAY_REFUSED)
            assert_true(strlen(verdict.sentence) > 0);
        attempt_stop(&a);
    }
}

static void test_broken_facts_are_no_facts(void **state)
{
    (void)state;
    struct attempt a;
    struct ruleset set;
    struct verdict verdict;
    uint32_t lacks;
    ruleset_init(&set);
    attempt_start(&a, "a@b.example", VERDICT_ACCEPT, "", true);
    a.row.facts = binary_from_span(span_text("no facts at all"));
    assert_int_equal(replay_row(&a.row, &set, &set, 0, &a.arena, &verdict, &lacks), REPLAY_NO_FACTS);
    a.row.facts = binary_from_span(span_head(buf_span(&a.blob), a.blob.size / 2));
    assert_int_equal(replay_row(&a.row, &set, &set, 0, &a.arena, &verdict, &lacks), REPLAY_NO_FACTS);
    a.row.facts.len = 0;
    assert_int_equal(replay_row(&a.row, &set, &set, 0, &a.arena, &verdict, &lacks), REPLAY_NO_FACTS);
    attempt_stop(&a);
}

/* A site without DNS lists has nobody to ask: that is no lack. */
static void test_moot_facts_are_not_missing(void **state)
{
    (void)state;
    struct attempt a;
    struct ruleset before, after;
    struct verdict verdict;
    uint32_t lacks, moot = FACT_BIT(FACT_OWN_LIST) | FACT_BIT(FACT_DNS_LISTS) | FACT_BIT(FACT_RETURN_PATH);
    ruleset_init(&before);
    ruleset_init(&after);
    attempt_start(&a, "a@b.example", VERDICT_REFUSE, "sender-tld", false);
    with(&a, &before, "sender-tld", "on");
    assert_int_equal(replay_row(&a.row, &before, &after, 0, &a.arena, &verdict, &lacks), REPLAY_MISSING);
    assert_int_equal(replay_row(&a.row, &before, &after, moot, &a.arena, &verdict, &lacks), REPLAY_LET_IN);
    attempt_stop(&a);
}

static void test_counts_and_doubts(void **state)
{
    (void)state;
    struct replay replay = {0};
    struct attempt a;
    struct verdict verdict = {.kind = VERDICT_REFUSE, .sentence = "your domain ends in .example"};
    attempt_start(&a, "a@b.example", VERDICT_ACCEPT, "", true);
    for (int i = 0; i < 20; i++) {
        a.entry.fate = i == 17  ? STORE_WRITE__FATE__FATE_ANSWERED
                       : i == 3 ? STORE_WRITE__FATE__FATE_READ
                                : STORE_WRITE__FATE__FATE_DELETED;
        a.row.at = (2000000000ull - (uint64_t)i) * NANOSECONDS;
        replay_add(&replay, &a.entry, REPLAY_REFUSED, &verdict, 0);
    }
    a.row.attempts = 500;
    replay_add(&replay, &a.entry, REPLAY_LET_IN, &verdict, 0);
    replay_add(&replay, &a.entry, REPLAY_MISSING, &verdict, FACT_BIT(FACT_WHOIS));
    assert_int_equal(replay.rows, 22);
    assert_int_equal(replay.attempts[REPLAY_REFUSED], 20);
    assert_int_equal(replay.attempts[REPLAY_LET_IN], 500);
    assert_int_equal(replay.lacks[FACT_WHOIS], 500);
    assert_int_equal(replay.lost[STORE_WRITE__FATE__FATE_DELETED], 18);
    assert_int_equal(replay.doubtful[0].fate, STORE_WRITE__FATE__FATE_ANSWERED);
    assert_int_equal(replay.doubtful[1].fate, STORE_WRITE__FATE__FATE_READ);
    assert_int_equal(replay.doubtful[9].fate, STORE_WRITE__FATE__FATE_DELETED);
    /* Of the same weight the newest stay. */
    assert_true(replay.doubtful[2].at == 2000000000ull * NANOSECONDS);
    struct buf out;
    buf_init(&out, 65536);
    replay_write(&replay, &out);
    buf_add_char(&out, '\0');
    const char *const wanted[] = {"20  more would be refused", "1  of them were answered",
                                  "18  of them are deleted",   "500  fewer would be kept out",
                                  "500  lack what WHOIS says", "your domain ends in .example"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(out.data, wanted[i]))
            fail_msg("\"%s\" is not in:\n%s", wanted[i], out.data);
    buf_release(&out);
    attempt_stop(&a);
}

/* ---- Words ---- */

static void test_times(void **state)
{
    (void)state;
    const uint64_t now = 1764000000ull * NANOSECONDS;
    const struct {
        const char *text;
        bool good;
        uint64_t seconds;
    } cases[] = {{"7d", true, 1764000000 - 7 * 86400},
                 {"12h", true, 1764000000 - 12 * 3600},
                 {"2025-11-24", true, 1763942400},
                 {"2025-11-24T16:00", true, 1764000000},
                 {"36500d", true, 0},
                 {"0", false, 0},
                 {"-7d", false, 0},
                 {"2025-02-30", false, 0},
                 {"2025-13-01", false, 0},
                 {"2025-11-24T25:00", false, 0},
                 {"2025-11-24x", false, 0},
                 {"", false, 0},
                 {"yesterday", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t at = 0;
        if (ledger_time_parse(span_text(cases[i].text), now, &at) != cases[i].good)
            fail_msg("\"%s\"", cases[i].text);
        if (cases[i].good)
            assert_true(at == cases[i].seconds * NANOSECONDS);
    }
}

static void test_an_explanation(void **state)
{
    (void)state;
    struct attempt a;
    struct buf out;
    const struct ledger_setting settings[] = {{.owner = span_text("bob@example.test"),
                                               .name = span_text("sender-tld"),
                                               .value = span_text("on"),
                                               .set_by = span_text("admin"),
                                               .level = LEVEL_ACCOUNT,
                                               .set_at = 1763942400ull * NANOSECONDS}};
    attempt_start(&a, "a@b.example", VERDICT_REFUSE, "sender-tld", true);
    a.row.reference = 1;
    a.row.attempts = 3;
    a.row.last_at = a.row.at + NANOSECONDS;
    a.row.ip = binary_from_span(span_text("192.0.2.7"));
    a.row.helo = binary_from_span(span_text("evil\x1b[2J"));
    a.row.sentence = binary_from_span(span_text("your domain ends in .example"));
    a.row.evidence = binary_from_span(span_text("b.example"));
    a.row.reply = binary_from_span(span_text("550 5.7.1 no"));
    a.row.asked = 1ull << rule_find(span_text("helo-not-ip"));
    a.entry.account = binary_from_span(span_text("bob@example.test"));
    buf_init(&out, 65536);
    ledger_write_explanation(&a.entry, settings, 1, false, &out);
    buf_add_char(&out, '\0');
    const char *const wanted[] = {"Reference 0000-0001: mail from a@b.example for bob@example.test was refused on",
                                  "2 more attempts",
                                  "192.0.2.7",
                                  "evil?[2J",
                                  "Why: your domain ends in .example",
                                  "Rule sender-tld: ",
                                  "set by admin on 2025-11-24",
                                  "Evidence: b.example",
                                  "The sender was told: 550 5.7.1 no",
                                  "said nothing: helo-not-ip.",
                                  "ostiary allow 0000-0001",
                                  "ostiary rules unset bob@example.test sender-tld"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(out.data, wanted[i]))
            fail_msg("\"%s\" is not in:\n%s", wanted[i], out.data);
    /* The site's default is not theirs to take away, but to switch off for themselves. */
    a.row.level = LEVEL_DEFAULT;
    buf_reset(&out);
    ledger_write_explanation(&a.entry, NULL, 0, true, &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.data, "ostiary my rules set bob@example.test sender-tld=off"));
    /* Where a wider level or the program has it on, taking the setting away would not do; and there is a list. */
    const struct ledger_setting black = {.owner = span_text("bob@example.test"),
                                         .name = span_text("black-list"),
                                         .value = span_text("on"),
                                         .set_by = span_text("admin"),
                                         .level = LEVEL_ACCOUNT};
    const struct ledger_setting both[] = {settings[0], {.name = span_text("sender-tld"), .level = LEVEL_SITE}};
    a.row.level = LEVEL_ACCOUNT;
    buf_reset(&out);
    ledger_write_explanation(&a.entry, both, 2, false, &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.data, "ostiary rules set bob@example.test sender-tld=off"));
    a.row.rule = binary_from_span(span_text("black-list"));
    a.row.asked |= 1ull << rule_find(span_text("black-list"));
    a.row.fetched = true;
    buf_reset(&out);
    ledger_write_explanation(&a.entry, &black, 1, true, &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.data, "ostiary my rules set bob@example.test black-list=off"));
    assert_non_null(strstr(out.data, "ostiary my list show bob@example.test black"));
    assert_non_null(strstr(out.data, "said nothing: helo-not-ip."));
    assert_non_null(strstr(out.data, "What was done: 550 5.7.1 no"));
    /* No rule's refusal has no rule to switch off. */
    a.row.rule = binary_from_span(span_text("no-such-user"));
    buf_reset(&out);
    ledger_write_explanation(&a.entry, NULL, 0, false, &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.data, "there is no such address here"));
    assert_null(strstr(out.data, "To let such mail in"));
    assert_non_null(strstr(out.data, "ostiary account add bob@example.test"));
    /* What a stranger asked for is not a command of theirs. */
    a.entry.account.len = 0;
    a.row.recipient = binary_from_span(span_text("x;reboot@example.test"));
    buf_reset(&out);
    ledger_write_explanation(&a.entry, NULL, 0, false, &out);
    buf_add_char(&out, '\0');
    assert_non_null(strstr(out.data, "ostiary account add ADDRESS\n"));
    buf_release(&out);
    attempt_stop(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_broken_facts_are_no_facts),
        cmocka_unit_test(test_counts_and_doubts),
        cmocka_unit_test(test_moot_facts_are_not_missing),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_an_explanation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
