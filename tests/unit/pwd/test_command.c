#include "pwd/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CONTROL "a control character in the command line"

static const struct {
    struct span line;
    enum pwd_verb verb;
    struct span argument;
    const char *problem;
} rows[] = {
    {SPAN("user alice"), PWD_USER, SPAN("alice"), NULL},
    {SPAN("USER  alice smith "), PWD_USER, SPAN("alice smith"), NULL},
    {SPAN("uSeR \xc3\xa9"), PWD_USER, SPAN("\xc3\xa9"), NULL},
    {SPAN("user"), PWD_USER, {0}, "USER needs a name"},
    {SPAN("user   "), PWD_USER, {0}, "USER needs a name"},
    {SPAN("pass secret"), PWD_PASS, SPAN("secret"), NULL},
    {SPAN("pass  two words "), PWD_PASS, SPAN(" two words "), NULL},
    {SPAN("pass  "), PWD_PASS, SPAN(" "), NULL},
    {SPAN("pass "), PWD_PASS, {0}, "PASS needs a password"},
    {SPAN("pass"), PWD_PASS, {0}, "PASS needs a password"},
    {SPAN("pass a\0b"), PWD_PASS, {0}, CONTROL},
    {SPAN("pass a\tb"), PWD_PASS, {0}, CONTROL},
    {SPAN("pass a\x7f"), PWD_PASS, {0}, CONTROL},
    {SPAN("NewPass \xff "), PWD_NEWPASS, SPAN("\xff "), NULL},
    {SPAN("newpass"), PWD_NEWPASS, {0}, "NEWPASS needs a password"},
    {SPAN("newpass a\rb"), PWD_NEWPASS, {0}, CONTROL},
    {SPAN("newpasses a"), PWD_UNKNOWN, {0}, NULL},
    {SPAN("stls"), PWD_STLS, {0}, NULL},
    {SPAN("stls "), PWD_STLS, {0}, NULL},
    {SPAN("stls now"), PWD_STLS, {0}, "STLS takes no argument"},
    {SPAN("QUIT"), PWD_QUIT, {0}, NULL},
    {SPAN("quit now"), PWD_QUIT, {0}, "QUIT takes no argument"},
    {SPAN(""), PWD_UNKNOWN, {0}, NULL},
    {SPAN(" user alice"), PWD_UNKNOWN, {0}, NULL},
    {SPAN("help"), PWD_UNKNOWN, {0}, NULL},
    {SPAN("\0"), PWD_UNKNOWN, {0}, CONTROL},
};

static void test_rows(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pwd_command command;
        const char *problem = pwd_command_parse(rows[i].line, &command);
        bool same = command.verb == rows[i].verb && span_equal(command.argument, rows[i].argument) &&
                    span_equal(span_text(problem), span_text(rows[i].problem));
        if (!same)
            fail_msg("row %zu: verb %d, argument \"%.*s\", problem %s", i, command.verb, SPAN_ARG(command.argument),
                     problem ? problem : "none");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
