/* What a script sees, what it may return, what it finds around it, and that no call leaves anything to the next. */
#include "script/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct script_limits limits = {.memory = 8u << 20, .steps = 100000};

static char printed[4096];

static void take_line(void *context, struct span line)
{
    size_t size = strlen(printed);
    snprintf(printed + size, sizeof printed - size, "%.*s\n", SPAN_ARG(line));
}

static const struct script_printer printer = {take_line, NULL};

static struct attachment_fact attachments[] = {{SPAN("application/zip"), SPAN("inv\xc3\xb6ice.zip")},
                                               {SPAN("image/png"), SPAN("")}};
static struct dns_list_fact lists[] = {
    {SPAN("zen.example"), SPAN("spam source"), false, DNS_LIST_FACT_LISTED},
    {SPAN("white.example"), SPAN(""), true, DNS_LIST_FACT_UNKNOWN},
};

static void fill(struct facts *facts, struct recipient_facts *r, bool has_content)
{
    *facts = (struct facts){.helo = SPAN("client.example"),
                            .reverse_path = SPAN("a@example.net"),
                            .is_tls = true,
                            .declared_size = 77,
                            .dns_lists = lists,
                            .dns_list_count = 2};
    assert_true(ip_address_parse(span_text("192.0.2.7"), &facts->ip));
    facts->state[FACT_PTR] = facts->state[FACT_DNS_LISTS] = facts->state[FACT_WHOIS] = FACT_KNOWN;
    facts->ptr.name = span_text("host.example");
    facts->whois =
        (struct whois_fact){SPAN("netname: X\ncountry: DE\n"), SPAN("DE"), SPAN("RIPE"), SPAN("X"), SPAN("")};
    *r = (struct recipient_facts){.recipient = SPAN("bob@example.org"), .account = SPAN("bob@example.org")};
    if (!has_content)
        return;
    facts->state[FACT_CONTENT] = FACT_KNOWN;
    facts->content = (struct content_fact){
        .size = 1234,
        .header = SPAN("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-Spam: 1\r\nX-SPAM: 2\r\n folded\r\nno colon\r\n\r\n"),
        .from = SPAN("A <a@example.net>"),
        .subject = SPAN("Gr\xc3\xbc\xc3\x9f"
                        "e"),
        .is_automatic = true,
        .attachments = attachments,
        .attachment_count = 2};
}

static struct script *load(const char *text)
{
    struct buf problem;
    buf_init(&problem, 1000);
    struct script *script = script_new("/etc/rules.lua", span_text(text), &limits, &printer, &problem);
    if (!script)
        print_error("%s\n%.*s\n", text, SPAN_ARG(buf_span(&problem)));
    assert_non_null(script);
    buf_release(&problem);
    return script;
}

static void run(const char *text, bool has_content, struct script_outcome *outcome)
{
    struct facts facts;
    struct recipient_facts r;
    struct script *script = load(text);
    fill(&facts, &r, has_content);
    script_check(script, &facts, &r, 1795331468, &printer, outcome);
    script_free(script);
}

#define CHECK(body) "function check(mail) " body " end"

/* ---- Answers ---- */

static void test_answers(void **state)
{
    static const struct {
        const char *text;
        enum script_result result;
        const char *expected; /* of the text, or in the problem */
    } rows[] = {
        {CHECK(""), SCRIPT_NOTHING, ""},
        {CHECK("return"), SCRIPT_NOTHING, ""},
        {CHECK("return nil"), SCRIPT_NOTHING, ""},
        {CHECK("return 'accept'"), SCRIPT_ACCEPT, ""},
        {CHECK("return 'reject', 'go ' .. mail.ip"), SCRIPT_REFUSE, "go 192.0.2.7"},
        {CHECK("return 'defer', 42"), SCRIPT_DEFER, "42"},
        {CHECK("return 'file', 'Lists'"), SCRIPT_FILE, "Lists"},
        {CHECK("return 'reject', ('x'):rep(1000000)"), SCRIPT_REFUSE, NULL},
        /* Everything else is no opinion, and says where. */
        {"\n\n" CHECK("return 'refuse'"), SCRIPT_NOTHING, "/etc/rules.lua:3: check returned \"refuse\"; it may"},
        {CHECK("return true"), SCRIPT_NOTHING, "/etc/rules.lua:1: check returned a boolean; it may"},
        {CHECK("return {}"), SCRIPT_NOTHING, "returned a table; it may"},
        {CHECK("return nil, 'why'"), SCRIPT_NOTHING, "returned a nil; it may"},
        {CHECK("return 'reject', {}"), SCRIPT_NOTHING, "returned a table; it may"},
        {CHECK("return 'reject', 'a', 'b'"), SCRIPT_NOTHING, "returned more than two values; it may"},
        {CHECK("return 'file'"), SCRIPT_NOTHING, "/etc/rules.lua:1: check returned \"file\" without a folder"},
        {"\n" CHECK("local a = nil .. 'x'"), SCRIPT_NOTHING, "/etc/rules.lua:2: attempt to concatenate a nil value"},
        {CHECK("error('bad luck')"), SCRIPT_NOTHING, "/etc/rules.lua:1: bad luck"},
        {CHECK("error('bad luck', 0)"), SCRIPT_NOTHING, "/etc/rules.lua: bad luck"},
        {CHECK("error('a\\nb')"), SCRIPT_NOTHING, "/etc/rules.lua:1: a b"},
        {CHECK("error(('x'):rep(100000))"), SCRIPT_NOTHING, "/etc/rules.lua:1: xxxx"},
        {CHECK("error({})"), SCRIPT_NOTHING, "/etc/rules.lua: it raised an error that is no text but a table"},
        {CHECK("error()"), SCRIPT_NOTHING, "/etc/rules.lua: it raised an error that is no text but a nil"},
        {CHECK("error(setmetatable({}, {__tostring = function() while true do end end}))"), SCRIPT_NOTHING,
         "/etc/rules.lua: it raised an error that is no text but a table"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script_outcome outcome;
        run(rows[i].text, false, &outcome);
        bool is_wrong = outcome.answer.result == SCRIPT_NOTHING && rows[i].expected[0];
        if (outcome.answer.result != rows[i].result)
            print_error("%s: %s\n", rows[i].text, outcome.problem);
        assert_int_equal(outcome.answer.result, rows[i].result);
        if (is_wrong && !strstr(outcome.problem, rows[i].expected))
            fail_msg("%s: '%s', not '%s'", rows[i].text, outcome.problem, rows[i].expected);
        if (!is_wrong) {
            assert_string_equal(outcome.problem, "");
            if (rows[i].expected)
                assert_string_equal(outcome.answer.text, rows[i].expected);
            else
                assert_int_equal(outcome.answer.text_size, SCRIPT_TEXT_MAX - 1);
        }
    }
}

/* ---- The mail ---- */

static void expect_all(const char *const *rows, size_t count, bool has_content)
{
    for (size_t i = 0; i < count; i++) {
        char text[1000];
        struct script_outcome outcome;
        snprintf(text, sizeof text, CHECK("assert(%s) return 'accept'"), rows[i]);
        run(text, has_content, &outcome);
        if (outcome.answer.result != SCRIPT_ACCEPT)
            fail_msg("%s: %s", rows[i], outcome.problem);
    }
}

static void test_mail_at_rcpt(void **state)
{
    static const char *const rows[] = {
        "mail.stage == 'rcpt'",
        "mail.time == 1795331468",
        "mail.ip == '192.0.2.7'",
        "mail.ptr == 'host.example' and mail.ptr_claimed == nil",
        "mail.helo == 'client.example'",
        "mail.sender == 'a@example.net' and mail.sender_account == nil",
        "mail.recipient == 'bob@example.org' and mail.account == 'bob@example.org'",
        "mail.tls == true and mail.fetched == false and mail.early == false",
        "mail.standing == 'stranger'",
        "mail.size == 77",
        "mail.whois.country == 'DE' and mail.whois.registry == 'RIPE' and mail.whois.network == 'X'",
        "mail.whois.as == nil and mail.whois.text:find('netname: (%a)') == 1",
        "#mail.dns_lists == 2 and mail.dns_lists[1].zone == 'zen.example'",
        "mail.dns_lists['zen.example'].listed and mail.dns_lists['zen.example'].reason == 'spam source'",
        "mail.dns_lists['white.example'].white and mail.dns_lists['white.example'].result == 'unknown'",
        "mail.headers == nil and mail.header == nil and mail.subject == nil and mail.attachments == nil",
    };
    expect_all(rows, sizeof rows / sizeof *rows, false);
}

static void test_mail_with_content(void **state)
{
    static const char *const rows[] = {
        "mail.stage == 'content'",
        "mail.size == 1234",
        "mail.subject == 'Gr\xc3\xbc\xc3\x9f"
        "e' and mail.from == 'A <a@example.net>'",
        "mail.automatic and mail.message_id == nil",
        "#mail.attachments == 2 and mail.attachments[1].type == 'application/zip'",
        "mail.attachments[1].name:match('zip$') and mail.attachments[2].name == ''",
        "mail.header('SUBJECT') == mail.subject and mail:header('subject') == mail.subject",
        "mail.header('x-none') == nil",
        "not pcall(mail.header)",
        "#mail.headers['x-spam'] == 2 and mail.headers['x-spam'][2] == '2 folded'",
        "mail.header('X-Spam') == '1'",
        "mail.headers['X-Spam'] == nil",
    };
    expect_all(rows, sizeof rows / sizeof *rows, true);
}

/* A struct of zeros is an attempt of which nothing is known: facts that nobody asked for are nil. */
static void test_nothing_known(void **state)
{
    struct facts facts = {.is_fetched = true};
    struct recipient_facts r = {.hit_count = 0};
    struct script_outcome outcome;
    struct script *script = load(
        CHECK("assert(mail.ptr == nil and mail.whois == nil and mail.dns_lists == nil and mail.helo == nil and "
              "mail.sender == '' and mail.recipient == '' and mail.size == nil and mail.fetched) return 'accept'"));
    script_check(script, &facts, &r, 0, NULL, &outcome);
    assert_string_equal(outcome.problem, "");
    assert_int_equal(outcome.answer.result, SCRIPT_ACCEPT);
    script_free(script);
}

/* ---- What is there and what is not ---- */

static void test_surroundings(void **state)
{
    static const char *const rows[] = {
        "not io and not os and not debug and not package and not require and not coroutine",
        "not load and not loadfile and not loadstring and not dofile and not collectgarbage and not warn and not "
        "xpcall",
        "not string.dump and not math.random and not math.randomseed and not _G.os",
        "('x'):rep(3) == 'xxx' and ('a.b'):gsub('%.', '-') == 'a-b'",
        "getmetatable('').__index == string and not ('').dump",
        "_G._G == _G and _ENV == _G",
        "table.concat({'a', 'b'}, ',') == 'a,b' and math.max(1, 2) == 2 and utf8.len('\xc3\xbc') == 1",
        "select('#', pcall(error, 'x')) == 2 and tonumber('12') == 12 and type(next) == 'function'",
        "not pcall(setmetatable, {}, {__gc = function() end}) and getmetatable(setmetatable({}, {__len = print}))",
    };
    expect_all(rows, sizeof rows / sizeof *rows, false);
}

/* Whatever a call does, the next one finds nothing of it: it may be about another person's mail. */
static void test_nothing_stays(void **state)
{
    static const char text[] =
        "count = 0\n"
        "local hidden = 0\n"
        "function check(mail)\n"
        "  if count ~= 0 or hidden ~= 0 or string.mine or getmetatable('').__index ~= string or rawget(_G, 'seen') or\n"
        "     pairs({}) ~= next or type(print) ~= 'function' then return 'reject', 'something stayed' end\n"
        "  count, hidden, seen, string.mine = 1, 1, mail, mail\n"
        "  getmetatable('').__index = function() return mail end\n"
        "  getmetatable('').__add = function() return mail end\n"
        "  pairs, print, check = nil, mail, nil\n"
        "  table.concat = error\n"
        "  setmetatable(_G, {__index = function() return mail end})\n"
        "  return 'accept'\n"
        "end\n";
    struct script *script = load(text);
    for (int i = 0; i < 3; i++) {
        struct facts facts;
        struct recipient_facts r;
        struct script_outcome outcome;
        fill(&facts, &r, i == 1);
        script_check(script, &facts, &r, 0, &printer, &outcome);
        assert_string_equal(outcome.problem, "");
        assert_string_equal(outcome.answer.text, "");
        assert_int_equal(outcome.answer.result, SCRIPT_ACCEPT);
    }
    script_free(script);
}

static void test_print(void **state)
{
    struct script_outcome outcome;
    printed[0] = 0;
    run(CHECK("print('a', 1, nil, true) print() for i = 1, 100 do print(('x'):rep(1000)) end"), false, &outcome);
    assert_string_equal(outcome.problem, "");
    assert_int_equal(strncmp(printed, "a 1 nil true\n\nxxx", 17), 0);
    size_t lines = 0;
    for (const char *c = printed; *c; c++)
        lines += *c == '\n';
    assert_in_range(lines, 3, SCRIPT_PRINTED_MAX);
}

/* ---- Files that are wrong ---- */

static void test_wrong_files(void **state)
{
    static const struct {
        const char *text, *problem;
    } rows[] = {
        {"", "/etc/rules.lua: the file makes no function check(mail)"},
        {"check = 5", "/etc/rules.lua: the file makes no function check(mail)"},
        {"local function check() end", "/etc/rules.lua: the file makes no function check(mail)"},
        {"function check(mail)\n", "/etc/rules.lua:2: 'end' expected"},
        {"\nx = nil + 1", "/etc/rules.lua:2: attempt to perform arithmetic on a nil value"},
        {"require 'socket'", "/etc/rules.lua:1: attempt to call a nil value (global 'require')"},
        {"\x1bLua", "/etc/rules.lua: attempt to load a binary chunk (mode is 't')"},
        {"while true do end", "/etc/rules.lua:1: it took 100000 steps"},
        {"local t = {} for i = 1, 1e9 do t[i] = {} end",
         "/etc/rules.lua: it takes more memory than script.memory allows"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf problem;
        const struct script_limits wide = {.memory = 1u << 20, .steps = i == 8 ? 10000000 : 100000};
        buf_init(&problem, 1000);
        assert_null(script_new("/etc/rules.lua", span_text(rows[i].text), &wide, &printer, &problem));
        buf_add_char(&problem, 0);
        if (!strstr(problem.data, rows[i].problem))
            fail_msg("%s: '%s', not '%s'", rows[i].text, problem.data, rows[i].problem);
        buf_release(&problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_mail_at_rcpt),
        cmocka_unit_test(test_mail_with_content),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_surroundings),
        cmocka_unit_test(test_nothing_stays),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_wrong_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
