/* Door items: what may stand in them, and under which names something is looked up. */
#include "policy/door_item.h"
#include "policy/host_name.h"
#include "policy/pattern.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* `kept` NULL: refused, and `value` (or the name) is what the problem begins with. */
static const struct {
    enum door_kind kind;
    enum rule_level level;
    const char *name, *value, *kept, *kept_value;
} items[] = {
    {DOOR_RULE, LEVEL_ACCOUNT, "white-list", "ON", "white-list", "on"},
    {DOOR_RULE, LEVEL_ADDRESS, "MUI_WHITE_LIST_DIRECT.learn", "on", "white-list.learn", "on"},
    {DOOR_RULE, LEVEL_SITE, "sender-tld.tlds", "org,COM", "sender-tld.tlds", "com org"},
    {DOOR_RULE, LEVEL_SITE, "white-lst", "on", NULL, "there is no rule setting \"white-lst\""},
    {DOOR_RULE, LEVEL_SITE, "white-list", "maybe", NULL, "white-list=maybe: expected off, watch, file or on"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "Aunt.May@B.Example", "my aunt", "aunt.may@b.example", "my aunt"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "@B.Example", "", "@b.example", ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, "b.example", "", "@b.example", ""},
    {DOOR_WHITE, LEVEL_SITE, "*.B.example", "", "*.b.example", ""},
    {DOOR_WHITE, LEVEL_DOMAIN,
     "@b\xc3\xbc"
     "cher.example",
     "", "@xn--bcher-kva.example", ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, " a@b.example ", "", "a@b.example", ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, "a b@c.example", "", NULL, "\"a b@c.example\" is no sender: expected an address like"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "", "", NULL, "\"\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "@", "", NULL, "\"@\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "*", "", NULL, "\"*\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "*.", "", NULL, "\"*.\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "*@b.example", "", "*@b.example", ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, "a@b.example", "x\ny", NULL, "expected a remark of at most 500 bytes"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "A@B.example from 192.0.2.7", "", "a@b.example from 192.0.2.7", ""},
    {DOOR_BLACK, LEVEL_SITE, "a@b.example  FROM  192.0.2.7/32", "", "a@b.example from 192.0.2.7", ""},
    {DOOR_WHITE, LEVEL_ADDRESS, "a@b.example from 192.0.2.7/24", "", "a@b.example from 192.0.2.0/24", ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, "a@b.example from 2001:DB8::7", "", "a@b.example from 2001:db8::7", ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, "a@b.example from 2001:DB8::7/64", "", "a@b.example from 2001:db8::/64", ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, "\"a from b\"@c.example", "", "\"a from b\"@c.example", ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, "\"a from b\"@c.example from 192.0.2.7", "", "\"a from b\"@c.example from 192.0.2.7",
     ""},
    {DOOR_WHITE, LEVEL_ACCOUNT, "a@b.example from 192.0.2.0/23", "", NULL,
     "\"a@b.example from 192.0.2.0/23\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "a@b.example from 2001:db8::/24", "", NULL,
     "\"a@b.example from 2001:db8::/24\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "@b.example from 192.0.2.7", "", NULL, "\"@b.example from 192.0.2.7\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "b.example from 192.0.2.7", "", NULL, "\"b.example from 192.0.2.7\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "a@b.example 192.0.2.7", "", NULL, "\"a@b.example 192.0.2.7\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "a@b.example from mx.b.example", "", NULL,
     "\"a@b.example from mx.b.example\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "from 192.0.2.7", "", NULL, "\"from 192.0.2.7\" is no sender"},
    {DOOR_KNOWN, LEVEL_ACCOUNT, "a@b.example from 192.0.2.7", "", NULL, "\"a@b.example from 192.0.2.7\" is no sender"},
    {DOOR_CODE_FOR, LEVEL_SITE, "a@b.example from 192.0.2.7", "7", NULL, "\"a@b.example from 192.0.2.7\" is no sender"},
    {DOOR_WHITE, LEVEL_DEFAULT, "a@b.example", "", NULL, "white items belong to anybody"},
    {DOOR_KNOWN, LEVEL_ACCOUNT, "a@b.example", "", "a@b.example", ""},
    {DOOR_KNOWN, LEVEL_SITE, "a@b.example", "", NULL, "known items belong to an account"},
    {DOOR_KNOWN, LEVEL_ACCOUNT, "a@b.example", "x", NULL, "nothing may stand behind the name"},
    {DOOR_APPROVED, LEVEL_SITE, "192.0.2.7", "", "192.0.2.7", ""},
    {DOOR_APPROVED, LEVEL_SITE, "192.0.2.7/24", "", "192.0.2.0/24", ""},
    {DOOR_APPROVED, LEVEL_SITE, "192.0.2.7/32", "", "192.0.2.7", ""},
    {DOOR_APPROVED, LEVEL_SITE, "2001:DB8::7/33", "", "2001:db8::/33", ""},
    {DOOR_APPROVED, LEVEL_SITE, "MX.b.example", "", "mx.b.example", ""},
    {DOOR_APPROVED, LEVEL_SITE, "*.b.example", "", "*.b.example", ""},
    {DOOR_APPROVED, LEVEL_SITE, "*.", "", NULL, "\"*.\" is no server"},
    {DOOR_APPROVED, LEVEL_SITE, "192.0.2.0/33", "", NULL, "\"192.0.2.0/33\" is no server"},
    {DOOR_APPROVED, LEVEL_SITE, "192.0.2.0/", "", NULL, "\"192.0.2.0/\" is no server"},
    {DOOR_APPROVED, LEVEL_SITE, "mx b", "", NULL, "\"mx b\" is no server"},
    {DOOR_APPROVED, LEVEL_ACCOUNT, "192.0.2.7", "", NULL, "approved items belong to the site (--site)"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "bob", "", NULL, "\"bob\" is no sender"},
    {DOOR_WHITE, LEVEL_ACCOUNT, "@bob", "", "@bob", ""},
    {DOOR_DENIED, LEVEL_SITE, "@b.example", "", "b.example", ""},
    {DOOR_DENIED, LEVEL_SITE, "localhost", "", "localhost", ""},
    {DOOR_DENIED_NAME, LEVEL_SITE, "DSL.example", "", "dsl.example", ""},
    {DOOR_DENIED_NAME, LEVEL_SITE, "dyn*.*pool", "", "dyn*.*pool", ""},
    {DOOR_DENIED_NAME, LEVEL_SITE, "*", "", NULL, "\"*\" is no part of a host name"},
    {DOOR_DENIED_NAME, LEVEL_SITE, "a..b", "", NULL, "\"a..b\" is no part of a host name"},
    {DOOR_DENIED_NAME, LEVEL_SITE, ".a", "", NULL, "\".a\" is no part of a host name"},
    {DOOR_DENIED_NAME, LEVEL_SITE, "a.", "", NULL, "\"a.\" is no part of a host name"},
    {DOOR_DENIED_NAME, LEVEL_SITE, "", "", NULL, "\"\" is no part of a host name"},
    {DOOR_PASSCODE, LEVEL_ACCOUNT, "Aunt May", "1234", "Aunt May", "1234"},
    {DOOR_PASSCODE, LEVEL_ADDRESS, "x", "12345678901234567890", "x", "12345678901234567890"},
    {DOOR_PASSCODE, LEVEL_ACCOUNT, "x", "123", NULL, "expected a passcode of 4 to 20 digits"},
    {DOOR_PASSCODE, LEVEL_ACCOUNT, "x", "123456789012345678901", NULL, "expected a passcode of 1 to 20 digits"},
    {DOOR_PASSCODE, LEVEL_ACCOUNT, "x", "12a4", NULL, "expected a passcode of 1 to 20 digits"},
    {DOOR_PASSCODE, LEVEL_ACCOUNT, "", "1234", NULL, "expected a name of 1 to 100 bytes"},
    {DOOR_PASSCODE, LEVEL_SITE, "x", "1234", NULL, "passcode items belong to an account or an address"},
    {DOOR_CODE_FOR, LEVEL_SITE, "A@b.example", "7", "a@b.example", "7"},
    {DOOR_CODE_FOR, LEVEL_ACCOUNT, "a@b.example", "x", NULL, "expected a passcode of 1 to 20 digits"},
    {DOOR_ADDRESS, LEVEL_ACCOUNT, "Shop-X7", "", "shop-x7", ""},
    {DOOR_ADDRESS, LEVEL_ACCOUNT, "x", "A@b.example  shop.example *.c.example", "x",
     "a@b.example @shop.example *.c.example"},
    {DOOR_ADDRESS, LEVEL_ACCOUNT, "x", "a.example b@", NULL, "\"b@\" is no sender"},
    {DOOR_ADDRESS, LEVEL_ACCOUNT, "a.b", "", "a.b", ""},
    {DOOR_ADDRESS, LEVEL_ACCOUNT, "a+b", "", NULL, "\"a+b\" can't stand behind the + of an address"},
    {DOOR_ADDRESS, LEVEL_ACCOUNT, "a..b", "", NULL, "\"a..b\" can't stand behind the + of an address"},
    {DOOR_ADDRESS, LEVEL_ACCOUNT, "", "", NULL, "\"\" can't stand behind the + of an address"},
    {DOOR_REMOTE, LEVEL_ACCOUNT, "home", "host=pop.example login=a secret=QQ", "home",
     "host=pop.example login=a secret=QQ"},
    {DOOR_REMOTE, LEVEL_ACCOUNT, "home", "a\001", NULL, "a control character stands in the value"},
    {DOOR_REMOTE, LEVEL_ACCOUNT, "home", "host=pop.example", NULL, "login is missing: the name to log in with"},
    {DOOR_KIND_COUNT, LEVEL_SITE, "x", "", NULL, "there is no kind 12 of door items"},
};

static void test_items(void **state)
{
    struct arena arena;
    struct buf problem;
    arena_init(&arena, 1 << 20);
    buf_init(&problem, 4096);
    for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
        struct span name, value;
        buf_reset(&problem);
        bool good = door_item_check(items[i].kind, items[i].level, span_text(items[i].name), span_text(items[i].value),
                                    &arena, &name, &value, &problem);
        if (good != (items[i].kept != NULL))
            print_error("%s: %.*s\n", items[i].name, SPAN_ARG(buf_span(&problem)));
        assert_int_equal(good, items[i].kept != NULL);
        if (!good) {
            if (!span_starts_nocase(buf_span(&problem), span_text(items[i].kept_value)))
                print_error("%s: %.*s\n", items[i].name, SPAN_ARG(buf_span(&problem)));
            assert_true(span_starts_nocase(buf_span(&problem), span_text(items[i].kept_value)));
            continue;
        }
        assert_true(span_is(name, items[i].kept) && span_is(value, items[i].kept_value));
        /* What was kept is kept the same. */
        struct span again_name, again_value;
        assert_true(
            door_item_check(items[i].kind, items[i].level, name, value, &arena, &again_name, &again_value, &problem));
        assert_true(span_equal(name, again_name) && span_equal(value, again_value));
    }
    arena_release(&arena);
    buf_release(&problem);
}

static void test_kinds(void **state)
{
    for (unsigned i = 1; i < DOOR_KIND_COUNT; i++) {
        enum door_kind kind;
        assert_true(door_kind_parse(span_text(door_kind_name((enum door_kind)i)), &kind) && kind == i);
    }
    enum door_kind kind;
    assert_false(door_kind_parse((struct span)SPAN("?"), &kind));
    assert_string_equal(door_kind_name(DOOR_KIND_COUNT), "?");
}

/* ---- Keys: written with "|" between them ---- */

static void expect_keys(const struct span *keys, int count, const char *wanted)
{
    struct buf text;
    buf_init(&text, 100000);
    for (int i = 0; i < count; i++)
        buf_printf(&text, "%s%.*s", i ? "|" : "", SPAN_ARG(keys[i]));
    if (!span_is(buf_span(&text), wanted))
        print_error("%.*s\nwanted %s\n", SPAN_ARG(buf_span(&text)), wanted);
    assert_true(span_is(buf_span(&text), wanted));
    buf_release(&text);
}

static void test_keys(void **state)
{
    struct arena arena;
    struct span keys[DOOR_KEYS_MAX], many[DOOR_NAME_KEYS_MAX];
    struct ip_address ip;
    char long_name[600];
    arena_init(&arena, 1 << 20);
    static const struct {
        const char *sender, *keys;
    } senders[] = {
        {"a@x.b.example", "a@x.b.example|@x.b.example|*.b.example|*.example"},
        {"A@B.Example", "a@b.example|@b.example|*.example"},
        {"a@localhost", "a@localhost|@localhost"},
        {"a@[192.0.2.7]", "a@[192.0.2.7]|@[192.0.2.7]"},
        {"\"a@b\"@c.example", "\"a@b\"@c.example|@c.example|*.example"},
        {"", ""},
        {"a", ""},
        {"a@", ""},
    };
    for (size_t i = 0; i < sizeof senders / sizeof *senders; i++)
        expect_keys(keys, door_sender_keys(span_text(senders[i].sender), NULL, &arena, keys, DOOR_KEYS_MAX),
                    senders[i].keys);
    expect_keys(keys, door_host_keys((struct span)SPAN("MX.b.example."), &arena, keys, DOOR_KEYS_MAX),
                "mx.b.example|*.b.example|*.example");
    expect_keys(keys, door_name_keys((struct span)SPAN("a.B.c"), &arena, keys, DOOR_KEYS_MAX), "a.b.c|a.b|b.c|a|b|c");
    /* Where there is no room for all: the name itself, and what is short. */
    expect_keys(keys, door_name_keys((struct span)SPAN("a.B.c."), &arena, keys, 5), "a.b.c|a|b|c");
    expect_keys(keys, door_name_keys((struct span)SPAN("a.B.c"), &arena, keys, 4), "a.b.c|a|b|c");
    expect_keys(keys, door_name_keys((struct span)SPAN("a.B.c"), &arena, keys, 2), "a.b.c");
    expect_keys(keys, door_name_keys((struct span)SPAN("a"), &arena, keys, 1), "a");
    assert_true(ip_address_parse((struct span)SPAN("255.255.255.255"), &ip));
    assert_int_equal(door_address_keys(&ip, &arena, keys, DOOR_KEYS_MAX), 33);
    expect_keys(keys, 3, "255.255.255.255|255.255.255.254/31|255.255.255.252/30");
    assert_true(span_is(keys[32], "0.0.0.0/0"));
    assert_true(ip_address_parse((struct span)SPAN("2001:db8::7"), &ip));
    assert_int_equal(door_address_keys(&ip, &arena, keys, DOOR_KEYS_MAX), 129);
    assert_true(span_is(keys[64], "2001:db8::/64") && span_is(keys[128], "::/0"));
    struct arena full;
    arena_init(&full, 1);
    assert_int_equal(door_name_keys((struct span)SPAN("a.b.c"), &full, keys, DOOR_KEYS_MAX), -ENOMEM);
    assert_int_equal(door_host_keys((struct span)SPAN("a.b.c"), &full, keys, DOOR_KEYS_MAX), -ENOMEM);
    assert_int_equal(door_sender_keys((struct span)SPAN("a@b.c"), &ip, &full, keys, DOOR_KEYS_MAX), -ENOMEM);
    assert_int_equal(door_address_keys(&ip, &full, keys, DOOR_KEYS_MAX), -ENOMEM);
    arena_release(&full);
    /* Whoever makes their host's name long does not hide what lists have of it. */
    char name[256];
    for (size_t i = 0; i < 253; i++)
        name[i] = i % 2 ? '.' : (char)('a' + i / 2 % 26);
    int made = door_name_keys(span_from(name, 253), &arena, many, DOOR_NAME_KEYS_MAX), found = 0;
    for (int i = 0; i < made; i++)
        found += span_is(many[i], "b.c.d.e") || span_is(many[i], "z") || many[i].size == 253;
    assert_true(made <= DOOR_NAME_KEYS_MAX && found >= 3);
    /* Hostile names make no more keys than there is room for. */
    for (size_t i = 0; i < sizeof long_name; i++)
        long_name[i] = i % 2 ? '.' : 'a';
    assert_in_range(door_name_keys(span_from(long_name, sizeof long_name), &arena, keys, DOOR_KEYS_MAX), 1,
                    DOOR_KEYS_MAX);
    assert_int_equal(door_sender_keys(span_from(long_name, sizeof long_name), NULL, &arena, keys, DOOR_KEYS_MAX), 0);
    assert_int_equal(door_name_keys((struct span)SPAN("a..b"), &arena, keys, DOOR_KEYS_MAX), 0);
    memset(long_name, '.', sizeof long_name);
    assert_in_range(door_name_keys(span_from(long_name, sizeof long_name), &arena, keys, DOOR_KEYS_MAX), 0,
                    DOOR_KEYS_MAX);
    arena_release(&arena);
}

/* A sender with where it comes from. */
static void test_keys_from(void **state)
{
    static const struct {
        const char *sender, *ip, *keys, *entry;
    } rows[] = {
        {"A@b.example", "192.0.2.7",
         "a@b.example from 192.0.2.7|a@b.example from 192.0.2.0/24|a@b.example|@b.example|*.example",
         "a@b.example from 192.0.2.0/24"},
        {"a@b", "2001:db8:1:2:3::7", "a@b from 2001:db8:1:2:3::7|a@b from 2001:db8:1:2::/64|a@b|@b",
         "a@b from 2001:db8:1:2::/64"},
        {"", "192.0.2.7", "", NULL},
        {"a", "192.0.2.7", "", NULL},
    };
    struct arena arena;
    struct buf problem;
    struct span keys[DOOR_KEYS_MAX], entry;
    arena_init(&arena, 1 << 20);
    buf_init(&problem, 4096);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address ip;
        assert_true(ip_address_parse(span_text(rows[i].ip), &ip));
        expect_keys(keys, door_sender_keys(span_text(rows[i].sender), &ip, &arena, keys, DOOR_KEYS_MAX), rows[i].keys);
        if (!rows[i].entry)
            continue;
        assert_true(door_sender_entry(span_text(rows[i].sender), &ip, &arena, &entry, &problem));
        assert_true(span_is(entry, rows[i].entry));
        assert_true(door_sender_entry(span_text(rows[i].sender), NULL, &arena, &entry, &problem));
        assert_int_equal(door_entry_network(entry).size, 0);
    }
    static const char *const none[] = {"a b", "b.example", "@b.example", "*.b.example", "a@b.example from 192.0.2.7"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(door_sender_entry(span_text(none[i]), NULL, &arena, &entry, &problem));
    assert_int_equal(door_entry_network((struct span)SPAN("\"a from b\"@c.example")).size, 0);
    assert_true(span_is(door_entry_network((struct span)SPAN("\"a from b\"@c.example from ::1")), "::1"));
    buf_release(&problem);
    arena_release(&arena);
}

static void test_name_patterns(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } rows[] = {
        {"dsl", "7.dsl.b.example", true},
        {"dsl", "7.adsl.b.example", false},
        {"*dsl", "7.adsl.b.example", true},
        {"dsl.b", "7.dsl.b.example", true},
        {"dsl.example", "7.dsl.b.example", false},
        {"b.example", "7.b.example.", true},
        {"DYN*", "x.dynamic.example", true},
        {"dyn*", "x.adyn.example", false},
        {"*-*-*-*", "1-2-3-4.example", true},
        {"*-*-*-*", "1-2-3.example", false},
        {"a.b.c", "a.b", false},
        {"a*.*c", "ab.bc", true},
        {"a*c", "ab.bc", false},
        {"", "a", false},
        {"a", "", false},
        {"*", "a", true},
        {"a", "a..b", false},
        {"a", ".", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(door_name_matches(span_text(rows[i].pattern), span_text(rows[i].name)), rows[i].matches);
}

static void test_entries(void **state)
{
    const struct span entries = SPAN("a@b.example @shop.example *.c.example");
    static const struct {
        const char *sender;
        bool is_among;
    } rows[] = {
        {"a@b.example", true},       {"A@B.example", true},
        {"b@b.example", false},      {"x@shop.example", true},
        {"x@a.shop.example", false}, {"x@d.c.example", true},
        {"x@c.example", false},      {"x@dc.example", false},
        {"x@.c.example", false},     {"", false},
        {"@shop.example", true},     {"shop.example", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(door_sender_is_among(entries, span_text(rows[i].sender)), rows[i].is_among);
    assert_false(door_sender_is_among((struct span){NULL, 0}, (struct span)SPAN("a@b.example")));
}

/* ---- Patterns and host names ---- */

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"", "", true},         {"", "a", false},           {"*", "", true},
        {"*", "abc", true},     {"a*", "ABC", true},        {"*c", "abc", true},
        {"*b*", "abc", true},   {"*d*", "abc", false},      {"a?c", "abc", true},
        {"a?c", "ac", false},   {"a*b*c", "axxbxxc", true}, {"a*b*c", "axxcxxb", false},
        {"**a**", "bab", true}, {"?", "", false},           {"*?", "a", true},
        {"a*a", "a", false},    {"*ab", "aab", true},       {"*aab", "aaaab", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(pattern_matches(span_text(rows[i].pattern), span_text(rows[i].text)), rows[i].matches);
    /* What would take a backtracking matcher longer than the universe lasts. */
    char text[5000], pattern[1000];
    memset(text, 'a', sizeof text);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i % 2 ? 'a' : '*';
    pattern[sizeof pattern - 1] = 'b';
    assert_false(pattern_matches(span_from(pattern, sizeof pattern), span_from(text, sizeof text)));
}

static void test_dynamic_names(void **state)
{
    static const struct {
        const char *name, *ip;
        bool dynamic;
    } rows[] = {
        {"mx.b.example", "192.0.2.7", false},          {"192-0-2-7.b.example", "192.0.2.7", true},
        {"7.2.0.192.b.example", "192.0.2.7", true},    {"c0000207.b.example", "192.0.2.7", true},
        {"192-0-2-8.b.example", "192.0.2.7", false},   {"p7.dip0.b.example", "192.0.2.7", false},
        {"a.pool.b.example", "192.0.2.7", true},       {"dhcp7.b.example", "192.0.2.7", true},
        {"carpool.b.example", "192.0.2.7", false},     {"x-dyn-y.b.example", "192.0.2.7", true},
        {"customer-7.b.example", "192.0.2.7", true},   {"", "192.0.2.7", false},
        {"mail.ipswitch.example", "192.0.2.7", false}, {"mx.b.example", "2001:db8::7", false},
        {"cable-1.b.example", "2001:db8::7", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address ip;
        assert_true(ip_address_parse(span_text(rows[i].ip), &ip));
        assert_int_equal(host_name_looks_dynamic(span_text(rows[i].name), &ip), rows[i].dynamic);
    }
}

static void test_host_names(void **state)
{
    assert_true(span_is(host_name_last_label((struct span)SPAN("a.b.Com.")), "Com"));
    assert_true(span_is(host_name_last_label((struct span)SPAN("com")), "com"));
    assert_true(span_is(host_name_last_label((struct span)SPAN("")), ""));
    assert_true(host_name_fits((struct span)SPAN("mail.B.example"), (struct span)SPAN("out7.b.example.")));
    assert_true(host_name_fits((struct span)SPAN("b.example"), (struct span)SPAN("out7.b.example")));
    assert_false(host_name_fits((struct span)SPAN("mail.c.example"), (struct span)SPAN("out7.b.example")));
    assert_false(host_name_fits((struct span)SPAN("localhost"), (struct span)SPAN("out7.b.example")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),     cmocka_unit_test(test_kinds),         cmocka_unit_test(test_keys),
        cmocka_unit_test(test_keys_from), cmocka_unit_test(test_name_patterns), cmocka_unit_test(test_entries),
        cmocka_unit_test(test_patterns),  cmocka_unit_test(test_dynamic_names), cmocka_unit_test(test_host_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
