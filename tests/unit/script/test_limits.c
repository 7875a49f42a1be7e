/* Scripts that are bent on harm: each meets its limit, or the timer that ends the process. */
#include "script/engine.h"
#include "script/service.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct script_limits limits = {.memory = 8u << 20, .steps = 1000000};

#define CHECK(body) "function check(mail) " body " end"

static void run(const char *text, struct script_outcome *outcome)
{
    static const struct facts facts;
    static const struct recipient_facts r;
    struct buf problem;
    buf_init(&problem, 1000);
    struct script *script = script_new("rules.lua", span_text(text), &limits, NULL, &problem);
    if (!script)
        print_error("%s\n%.*s\n", text, SPAN_ARG(buf_span(&problem)));
    assert_non_null(script);
    script_check(script, &facts, &r, 0, NULL, outcome);
    script_free(script);
    buf_release(&problem);
}

#define STEPS "steps, and script.steps allows no more"
#define MEMORY "it takes more memory than script.memory allows"

static void test_caught(void **state)
{
    static const struct {
        const char *text, *problem;
    } rows[] = {
        {CHECK("while true do end"), STEPS},
        {CHECK("local function f() return f() end return f()"), STEPS},
        {CHECK("pcall(function() while true do end end) return 'accept'"), STEPS},
        {CHECK("while true do pcall(function() while true do end end) end"), STEPS},
        {CHECK("local function f() while true do pcall(f) end end f()"), "rules.lua"},
        {CHECK("local t = setmetatable({}, {__index = function(t, k) while true do end end}) pcall(rawget, t, 1) "
               "return t.x"),
         STEPS},
        {CHECK("local t <close> = setmetatable({}, {__close = function() while true do end end}) return 'accept'"),
         STEPS},
        {CHECK("for k in pairs(setmetatable({}, {__pairs = function() return function() return 1 end end})) do end"),
         STEPS},
        {CHECK("table.sort({1, 2, 3}, function() while true do end end)"), STEPS},
        {CHECK("('x'):rep(100):gsub('.', function() while true do end end)"), STEPS},
        /* Memory. */
        {CHECK("return 'reject', ('x'):rep(1 << 40)"), "rules.lua"},
        {CHECK("return 'reject', ('x'):rep(1 << 30)"), MEMORY},
        {CHECK("local s = 'x' while true do s = s .. s end"), MEMORY},
        {CHECK("local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end"), MEMORY},
        {CHECK("local t = {} for i = 1, 1e5 do t[i] = {{}, {}, {}} end"), MEMORY},
        {CHECK("return 'reject', table.concat(setmetatable({}, {__len = function() return 1 << 60 end, __index = "
               "function() return 'xxxxxxxx' end}))"),
         "rules.lua"},
        /* Stacks. */
        {CHECK("local function f() return 1 + f() end f()"), "rules.lua"},
        {CHECK("local function f(s) return (s:gsub('.', f)) end f('x')"), "rules.lua"},
        {CHECK("local t = {} t = setmetatable(t, {__index = function(t, k) return t[k] end}) return t.x"), "rules.lua"},
        {CHECK("local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x"), "rules.lua"},
        {CHECK("return table.unpack({}, 1, 1e8)"), "rules.lua:1: too many results to unpack"},
        {CHECK("return ('x'):rep(300000):find(('(x)'):rep(40))"), "rules.lua:1: too many captures"},
        {CHECK("return ('x'):find(('('):rep(100000))"), "rules.lua"},
        /* What is not there. */
        {CHECK("coroutine.wrap(function() while true do end end)()"),
         "rules.lua:1: attempt to index a nil value (global 'coroutine')"},
        {CHECK("setmetatable({}, {__gc = function() while true do end end})"),
         "rules.lua:1: a metatable may not have __gc here"},
        {CHECK("string.dump(check)"), "rules.lua:1: attempt to call a nil value (field 'dump')"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script_outcome outcome;
        run(rows[i].text, &outcome);
        assert_int_equal(outcome.answer.result, SCRIPT_NOTHING);
        assert_true(outcome.memory <= limits.memory);
        assert_true(outcome.steps <= limits.steps + 100);
        if (!strstr(outcome.problem, rows[i].problem))
            fail_msg("%s: '%s', not '%s'", rows[i].text, outcome.problem, rows[i].problem);
    }
}

/* No limit of ours holds inside one function of Lua's library: the timer ends the process. */
static void test_killed(void **state)
{
    static const char *const rows[] = {
        CHECK("string.find(('a'):rep(40000), ('.-'):rep(40) .. 'b')"),
        CHECK("string.match(('a'):rep(200000), ('a*'):rep(30) .. 'b')"),
        CHECK("pcall(string.find, ('a'):rep(40000), ('.-'):rep(40) .. 'b')"),
        CHECK("table.move({}, 1, math.maxinteger - 1, 2)"),
        "if string.find(('a'):rep(40000), ('.-'):rep(40) .. 'b') then end " CHECK(""),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct script_outcome outcome;
            signal(SIGALRM, SIG_DFL);
            script_alarm(1);
            run(rows[i], &outcome);
            fprintf(stderr, "%s: %s\n", rows[i], outcome.problem);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM)
            fail_msg("%s: status %d", rows[i], status);
    }
}

/* An alarm that was disarmed does not come. */
static void test_disarmed(void **state)
{
    sigset_t set;
    struct timespec wait = {.tv_sec = 1, .tv_nsec = 200000000};
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    script_alarm(1);
    script_alarm(0);
    assert_int_equal(sigtimedwait(&set, NULL, &wait), -1);
    script_alarm(1);
    wait.tv_sec = 60;
    assert_int_equal(sigtimedwait(&set, NULL, &wait), SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Memory that ends at any place, in the libraries, the mail's table, or the script itself, is a problem and no more. */
static void test_memory_ends_anywhere(void **state)
{
    static const char text[] = CHECK("local t = {} for k, v in pairs(mail.headers) do t[#t + 1] = k .. v[1] end\n"
                                     "return 'reject', (table.concat(t, ','):upper():gsub('X', 'y'))");
    struct buf problem;
    struct facts facts = {.helo = SPAN("client.example"), .reverse_path = SPAN("a@example.net")};
    struct recipient_facts r = {.recipient = SPAN("bob@example.org")};
    unsigned good = 0, bad = 0;
    buf_init(&problem, 1000);
    facts.state[FACT_CONTENT] = FACT_KNOWN;
    facts.content.header = (struct span)SPAN("Subject: =?utf-8?q?hello?=\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\n\r\n");
    struct script *script = script_new("rules.lua", (struct span)SPAN(text), &limits, NULL, &problem);
    assert_non_null(script);
    for (uint64_t memory = 0; memory < 40000; memory += 37) {
        const struct script_limits small = {.memory = memory, .steps = limits.steps};
        struct script_outcome outcome;
        script_set_limits(script, &small);
        script_check(script, &facts, &r, 0, NULL, &outcome);
        assert_true(outcome.memory <= memory);
        assert_int_equal(outcome.answer.result == SCRIPT_REFUSE, outcome.problem[0] == 0);
        if (outcome.problem[0])
            assert_non_null(strstr(outcome.problem, "rules.lua: it takes more memory"));
        good += !outcome.problem[0];
        bad += outcome.problem[0] != 0;
    }
    assert_true(good > 100 && bad > 100);
    script_free(script);
    buf_release(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_caught), cmocka_unit_test(test_killed),
                                       cmocka_unit_test(test_memory_ends_anywhere), cmocka_unit_test(test_disarmed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
