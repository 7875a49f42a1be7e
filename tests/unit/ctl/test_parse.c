#include "ctl/ctl.h"
#include "ctl/my_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include <cmocka.h>

#define WORDS_MAX 12

struct row {
    const char *words;   /* with single spaces between */
    const char *problem; /* NULL: it is good */
    const char *command, *topic;
    bool help, json;
    const char *config;
    size_t arguments;
};

static const struct row rows[] = {
    {"", NULL, NULL, "", true},
    {"--help", NULL, NULL, "", true},
    {"account", NULL, NULL, "account", true},
    {"account --help", NULL, NULL, "account", true},
    {"account add --help", NULL, "account add", "account add", true},
    {"--version", NULL, "version", "version"},
    {"account list --json", NULL, "account list", "account list", false, true},
    {"account list @example.org --config /x", NULL, "account list", "account list", false, false, "/x", 1},
    {"account list --config=/x --json", NULL, "account list", "account list", false, true, "/x", 0},
    {"alias add a@b.c d@e.f g@h.i", NULL, "alias add", "alias add", false, false, NULL, 3},
    {"domain add -- -x", NULL, "domain add", "domain add", false, false, NULL, 1},
    {"acount add x", "unknown command 'acount'; did you mean 'account'?"},
    {"zzz", "unknown command 'zzz'; 'ostiary help' lists them"},
    {"account ad x", "unknown command 'account ad'; did you mean 'account add'?"},
    {"account zzzzzzz", "unknown command 'account zzzzzzz'; 'ostiary account' lists them"},
    {"account add x --qouta 5", "'ostiary account add' has no option '--qouta'; did you mean '--quota'?"},
    {"account add x --zzzzzzz", "'ostiary account add' has no option '--zzzzzzz'"},
    {"serve --json", "'ostiary serve' has no option '--json'"},
    {"account add x --quota", "--quota needs a value"},
    {"account list --config", "--config needs a value"},
    {"account set x --quota --enable", "--quota needs a value"},
    {"account set x --name=--enable", NULL, "account set", "account set", false, false, NULL, 1},
    {"account add x --password-stdin=y", "--password-stdin takes no value"},
    {"domain add", "usage: ostiary domain add DOMAIN; for example: ostiary domain add example.org"},
    {"domain add a b", "'b' is too much; usage: ostiary domain add DOMAIN"},
    {"my", NULL, NULL, "", true},
    {"my --help", NULL, NULL, "", true},
    {"my rules", NULL, NULL, "rules", true},
    {"my rules set white-list=on --login alice", NULL, "rules set", "rules set", false, false, NULL, 1},
    {"my rules show --login-stdin --json", NULL, "rules show", "rules show", false, true},
    {"my account list", "'ostiary account list' is not for people's own doors; 'ostiary my' lists what is"},
    {"my rules lock x", "'ostiary rules lock' is not for people's own doors; 'ostiary my' lists what is"},
    {"my passcode add",
     "usage: ostiary my passcode add [ADDRESS] NAME; for example: ostiary my passcode add 'Aunt May' "
     "--until 2027-12-31"},
    {"my undo 1 2", "'2' is too much; usage: ostiary my undo [NUMBER|ADDRESS]"},
    {"my rules show --logn alice", "'ostiary rules show' has no option '--logn'; did you mean '--login'?"},
    {"rules show --login alice", "'ostiary rules show' has no option '--login'"},
    {"rules set --site white-list=on", NULL, "rules set", "rules set", false, false, NULL, 1},
    {"rules show --site", NULL, "rules show", "rules show"},
    {"serve now", "'now' is too much; usage: ostiary serve"},
};

static int split(char *text, char **words)
{
    int n = 0;
    words[n++] = (char *)(uintptr_t) "ostiary";
    for (char *word = strtok(text, " "); word && n < WORDS_MAX; word = strtok(NULL, " "))
        words[n++] = word;
    return n;
}

static void check_row(const struct row *row)
{
    char text[256], *words[WORDS_MAX + 1], *arguments[WORDS_MAX + 1];
    struct ctl ctl;
    snprintf(text, sizeof text, "%s", row->words);
    int count = split(text, words);
    int status = ctl_parse(&ctl, count, words, arguments);
    assert_int_equal(status, row->problem ? EX_USAGE : EX_OK);
    if (row->problem) {
        if (!span_is(buf_span(&ctl.problem), row->problem))
            fail_msg("'%s': %.*s", row->words, SPAN_ARG(buf_span(&ctl.problem)));
    } else {
        assert_string_equal(ctl.command ? ctl.command->name : "", row->command ? row->command : "");
        assert_string_equal(ctl.topic, row->topic);
        assert_int_equal(ctl.help, row->help);
        assert_int_equal(ctl.json, row->json);
        assert_int_equal(ctl.argument_count, row->arguments);
        assert_string_equal(ctl.config_path, row->config ? row->config : "/etc/ostiary/ostiary.conf");
    }
    buf_release(&ctl.out);
    buf_release(&ctl.problem);
}

static void test_rows(void **state)
{
    unsetenv("OSTIARY_CONFIG");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check_row(&rows[i]);
}

static void test_options(void **state)
{
    char *words[] = {(char *)(uintptr_t) "ostiary",    (char *)(uintptr_t) "account",
                     (char *)(uintptr_t) "add",        (char *)(uintptr_t) "a@b.c",
                     (char *)(uintptr_t) "--quota=1G", (char *)(uintptr_t) "--name",
                     (char *)(uintptr_t) "-x",         (char *)(uintptr_t) "--password-generate"};
    char *arguments[8];
    struct ctl ctl;
    assert_int_equal(ctl_parse(&ctl, 8, words, arguments), EX_OK);
    assert_string_equal(ctl_option(&ctl, "quota"), "1G");
    assert_string_equal(ctl_option(&ctl, "name"), "-x");
    assert_string_equal(ctl_option(&ctl, "password-generate"), "");
    assert_null(ctl_option(&ctl, "password-stdin"));
    buf_release(&ctl.out);
    buf_release(&ctl.problem);
}

static void test_environment(void **state)
{
    char *words[] = {(char *)(uintptr_t) "ostiary", (char *)(uintptr_t) "version"};
    char *arguments[2];
    struct ctl ctl;
    setenv("OSTIARY_CONFIG", "/from/environment", 1);
    assert_int_equal(ctl_parse(&ctl, 2, words, arguments), EX_OK);
    assert_string_equal(ctl.config_path, "/from/environment");
    unsetenv("OSTIARY_CONFIG");
    buf_release(&ctl.out);
    buf_release(&ctl.problem);
}

/* Every command explains itself, and its example is one that the parser takes. */
static void test_table(void **state)
{
    for (size_t i = 0; i < ctl_command_count(); i++) {
        const struct ctl_command *command = ctl_command_get(i);
        char text[256], *words[WORDS_MAX + 1], *arguments[WORDS_MAX + 1];
        struct ctl ctl;
        assert_ptr_equal(ctl_find(command->name), command);
        assert_non_null(command->run);
        assert_true(command->summary[strlen(command->summary) - 1] == '.');
        /* A shell takes quotes away and spaces inside them too. */
        snprintf(text, sizeof text, "%s", command->example);
        char *quote = strchr(text, '\'');
        for (char *c = quote; c && *c; c++)
            *c = *c == ' ' && strchr(c, '\'') ? '.' : *c;
        int count = split(text, words);
        if (ctl_parse(&ctl, count, words, arguments) != EX_OK)
            fail_msg("%s: %.*s", command->example, SPAN_ARG(buf_span(&ctl.problem)));
        assert_ptr_equal(ctl.command, command);
        ctl_write_help(&ctl);
        assert_true(ctl.out.size > 0);
        buf_add_char(&ctl.out, 0);
        assert_non_null(strstr(ctl.out.data, command->example));
        assert_non_null(strstr(ctl.out.data, command->summary));
        buf_release(&ctl.out);
        buf_release(&ctl.problem);
    }
}

/* What people use at their own door is explained to them as theirs; nothing else is. */
static void test_my_words(void **state)
{
    for (size_t i = 0; i < ctl_command_count(); i++) {
        const struct ctl_command *command = ctl_command_get(i);
        const struct my_words *words = my_words_get(command->name);
        if (!(command->flags & CTL_MINE) != !words)
            fail_msg("%s", command->name);
        if (!words)
            continue;
        struct ctl ctl = {.topic = command->name, .help = true, .is_my = true, .command = command};
        buf_init(&ctl.out, 65536);
        buf_init(&ctl.problem, 4096);
        ctl_write_help(&ctl);
        buf_add_char(&ctl.out, 0);
        assert_non_null(strstr(ctl.out.data, words->summary));
        assert_non_null(strstr(ctl.out.data, words->example));
        assert_null(strstr(ctl.out.data, "alice@example.org"));
        /* What is asked of them has an example that they can copy, too. */
        assert_int_equal(ctl_ask(&ctl, "which one?"), EX_USAGE);
        buf_add_char(&ctl.problem, 0);
        assert_non_null(strstr(ctl.problem.data, "which one?; for example: ostiary my "));
        buf_release(&ctl.out);
        buf_release(&ctl.problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_options),
                                       cmocka_unit_test(test_environment), cmocka_unit_test(test_table),
                                       cmocka_unit_test(test_my_words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
