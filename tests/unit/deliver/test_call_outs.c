/* What of call-backs and WHOIS is pure: what a reply means, what is remembered, how often a server is asked. */
#include "base/clock.h"
#include "deliver/answers.h"
#include "deliver/call_back.h"
#include "deliver/rates.h"
#include "deliver/whois.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define TAKES COURIER__VERDICT__VERDICT_TAKES
#define REFUSES COURIER__VERDICT__VERDICT_REFUSES
#define UNKNOWN COURIER__VERDICT__VERDICT_UNKNOWN

static void verdicts(void **state)
{
    static const struct {
        unsigned code;
        bool is_ours;
        Courier__Verdict verdict;
        struct smtp_enhanced enhanced;
    } rows[] = {
        {0, false, UNKNOWN},
        {250, false, TAKES},
        {251, false, TAKES},
        {252, false, TAKES},
        {421, false, UNKNOWN},
        {450, false, UNKNOWN},
        {452, false, UNKNOWN},
        {499, false, UNKNOWN},
        {500, false, UNKNOWN},
        {501, false, REFUSES},
        {502, false, UNKNOWN},
        {503, false, UNKNOWN},
        {504, false, UNKNOWN},
        {530, false, UNKNOWN},
        {535, false, UNKNOWN},
        {550, false, REFUSES},
        {551, false, REFUSES},
        {552, false, REFUSES},
        {553, false, REFUSES},
        {554, false, REFUSES},
        {555, false, UNKNOWN},
        {599, false, REFUSES},
        {550, true, UNKNOWN},
        {553, true, UNKNOWN},
        /* Of the mailbox, or of us: "your address is in a list". */
        {550, false, REFUSES, {5, 1, 1}},
        {550, false, REFUSES, {5, 2, 1}},
        {550, false, REFUSES, {5, 4, 1}},
        {554, false, UNKNOWN, {5, 7, 1}},
        {550, false, UNKNOWN, {5, 7, 25}},
        {553, false, UNKNOWN, {5, 1, 8}},
        {250, false, TAKES, {2, 1, 5}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct smtp_reply reply = {.code = rows[i].code, .is_ours = rows[i].is_ours, .enhanced = rows[i].enhanced};
        if (call_back_verdict(&reply) != rows[i].verdict)
            print_error("%u\n", rows[i].code);
        assert_int_equal(call_back_verdict(&reply), rows[i].verdict);
    }
}

static void put(struct answers *a, const char *key, const char *text, unsigned seconds)
{
    answers_put(a, span_text(key), span_text(text), seconds);
}

static bool has(struct answers *a, const char *key, const char *text)
{
    return span_is(answers_get(a, span_text(key)), text);
}

static void remembered(void **state)
{
    struct answers a;
    answers_init(&a, 3, 1000, 1);
    put(&a, "a", "one", 60);
    put(&a, "b", "two", 600);
    put(&a, "c", "never", 0);
    assert_true(has(&a, "a", "one"));
    assert_true(has(&a, "b", "two"));
    assert_null(answers_get(&a, span_text("c")).data);
    put(&a, "a", "another", 60);
    assert_true(has(&a, "a", "another"));
    clock_fake_advance(60 * NANOSECONDS);
    assert_null(answers_get(&a, span_text("a")).data);
    assert_true(has(&a, "b", "two"));
    /* By number: the oldest goes. */
    put(&a, "d", "4", 600);
    put(&a, "e", "5", 600);
    put(&a, "f", "6", 600);
    assert_null(answers_get(&a, span_text("b")).data);
    assert_true(has(&a, "d", "4"));
    /* By size: as many go as have to; what fits in no way is not taken, and then nothing of it is left. */
    static char large[700], too_large[2000];
    memset(large, 'x', sizeof large - 1);
    memset(too_large, 'x', sizeof too_large - 1);
    put(&a, "g", large, 600);
    assert_true(has(&a, "g", large));
    assert_true(a.bytes <= 1000);
    put(&a, "h", large, 600);
    assert_null(answers_get(&a, span_text("g")).data);
    put(&a, "h", too_large, 600);
    assert_null(answers_get(&a, span_text("h")).data);
    assert_int_equal(a.bytes, 0);
    assert_int_equal(a.remembered.count, 0);
    map_release(&a.remembered);
}

static void rates(void **state)
{
    static struct rates r; /* lives as long as its process */
    uint64_t now = 7 * NANOSECONDS;
    rates_init(&r);
    for (unsigned minute = 0; minute < 2; minute++) {
        for (unsigned i = 0; i < 3; i++)
            assert_true(rates_take(&r, span_text("mx.test"), 3, now + i));
        assert_false(rates_take(&r, span_text("mx.test"), 3, now + 59 * NANOSECONDS));
        assert_true(rates_take(&r, span_text("mx.test"), 4, now + 59 * NANOSECONDS));
        assert_true(rates_take(&r, span_text("other.test"), 3, now));
        now += 60 * NANOSECONDS;
    }
    for (unsigned i = 0; i < RATES_MAX + 5; i++)
        assert_true(rates_take(&r, span_from(&i, sizeof i), 1, now));
    assert_int_equal(r.map.count, RATES_MAX);
    for (unsigned i = RATES_MAX + 5; i-- > 0;)
        assert_int_equal(rates_take(&r, span_from(&i, sizeof i), 1, now), i < 5);
}

/* Whom a WHOIS server may have us connect to. */
static void referrals(void **state)
{
    struct network network = {.bits = 96 + 8};
    const struct network_list own = {&network, 1};
    static const struct {
        const char *ip;
        uint16_t port;
        bool is_trusted, may;
    } rows[] = {
        {"193.0.6.135", 43, false, true},      {"2001:67c:2e8:22::c100:687", 43, false, true},
        {"193.0.6.135", 25, false, false},     {"193.0.6.135", 4321, false, false},
        {"193.0.6.135", 4321, true, true},     {"192.168.1.1", 43, false, false},
        {"127.0.0.1", 43, false, false},       {"::1", 43, false, false},
        {"169.254.169.254", 43, false, false}, {"::ffff:127.0.0.1", 43, false, false},
        {"10.1.2.3", 43, false, true},         {"10.1.2.3", 4343, false, true},
        {"127.0.0.1", 4343, true, true},
    };
    struct ip_address ip;
    assert_true(ip_address_parse(span_text("10.0.0.0"), &ip));
    memcpy(network.address, ip.bytes, sizeof network.address);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(ip_address_parse(span_text(rows[i].ip), &ip));
        if (whois_may_connect(&own, rows[i].is_trusted, &ip, rows[i].port) != rows[i].may)
            print_error("%s:%u\n", rows[i].ip, (unsigned)rows[i].port);
        assert_int_equal(whois_may_connect(&own, rows[i].is_trusted, &ip, rows[i].port), rows[i].may);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(remembered),
        cmocka_unit_test(rates),
        cmocka_unit_test(referrals),
    };
    clock_fake_start(1790000000ull * NANOSECONDS);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
