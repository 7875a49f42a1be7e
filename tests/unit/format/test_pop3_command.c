#include "format/pop3_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define CONTROL "a control character in the command line"

static const struct {
    struct span line;
    enum pop3_verb verb;
    const char *result; /* arguments in <>, numbers in #; or the problem behind '!' */
} rows[] = {
    {SPAN("USER alice"), POP3_USER, "<alice>"},
    {SPAN("user  alice smith "), POP3_USER, "<alice smith>"},
    {SPAN("USER"), POP3_USER, "!USER needs a name"},
    {SPAN("USER "), POP3_USER, "!USER needs a name"},
    {SPAN("PASS secret"), POP3_PASS, "<secret>"},
    {SPAN("PASS  two words "), POP3_PASS, "< two words >"},
    {SPAN("PASS a\tb"), POP3_PASS, "<a\tb>"},
    {SPAN("PASS \xc3\xa9"), POP3_PASS, "<\xc3\xa9>"},
    {SPAN("PASS"), POP3_PASS, "!PASS needs a password"},
    {SPAN("PASS "), POP3_PASS, "!PASS needs a password"},
    {SPAN("PASS a\0b"), POP3_PASS, "!" CONTROL},
    {SPAN("PASS a\rb"), POP3_PASS, "!" CONTROL},
    {SPAN("APOP alice c4c9334bac560ecc979e58001b3e22fb"), POP3_APOP, "<alice><c4c9334bac560ecc979e58001b3e22fb>"},
    {SPAN("APOP alice smith c4c9"), POP3_APOP, "<alice smith><c4c9>"},
    {SPAN("APOP alice"), POP3_APOP, "!APOP needs a name and a digest"},
    {SPAN("APOP"), POP3_APOP, "!APOP needs a name and a digest"},
    {SPAN("AUTH"), POP3_AUTH, ""},
    {SPAN("AUTH PLAIN"), POP3_AUTH, "<PLAIN>"},
    {SPAN("AUTH PLAIN  AGE="), POP3_AUTH, "<PLAIN><AGE=>"},
    {SPAN("AUTH PLAIN ="), POP3_AUTH, "<PLAIN><=>"},
    {SPAN("AUTH PLAIN a b"), POP3_AUTH, "!AUTH takes a mechanism and an initial response"},
    {SPAN("STLS"), POP3_STLS, ""},
    {SPAN("STLS x"), POP3_STLS, "!STLS takes no argument"},
    {SPAN("CAPA"), POP3_CAPA, ""},
    {SPAN("CAPA x"), POP3_CAPA, "!CAPA takes no argument"},
    {SPAN("TOP 1 0"), POP3_TOP, "#1#0"},
    {SPAN("TOP 4294967295  4294967295"), POP3_TOP, "#4294967295#4294967295"},
    {SPAN("TOP 1"), POP3_TOP, "!TOP needs a message number and a number of lines"},
    {SPAN("TOP"), POP3_TOP, "!TOP needs a message number and a number of lines"},
    {SPAN("TOP 0 1"), POP3_TOP, "!TOP needs a message number and a number of lines"},
    {SPAN("TOP 1 2 3"), POP3_TOP, "!TOP needs a message number and a number of lines"},
    {SPAN("TOP 1 -1"), POP3_TOP, "!TOP needs a message number and a number of lines"},
    {SPAN("TOP 1 x"), POP3_TOP, "!TOP needs a message number and a number of lines"},
    {SPAN("UIDL"), POP3_UIDL, ""},
    {SPAN("uidl 7 "), POP3_UIDL, "#7"},
    {SPAN("UIDL x"), POP3_UIDL, "!UIDL takes a message number or nothing"},
    {SPAN("LIST"), POP3_LIST, ""},
    {SPAN("LIST 7"), POP3_LIST, "#7"},
    {SPAN("LIST 0"), POP3_LIST, "!LIST takes a message number or nothing"},
    {SPAN("LIST 1 2"), POP3_LIST, "!LIST takes a message number or nothing"},
    {SPAN("RETR 1"), POP3_RETR, "#1"},
    {SPAN("RETR 001"), POP3_RETR, "#1"},
    {SPAN("RETR"), POP3_RETR, "!RETR needs a message number"},
    {SPAN("RETR 0"), POP3_RETR, "!RETR needs a message number"},
    {SPAN("RETR 4294967296"), POP3_RETR, "!RETR needs a message number"},
    {SPAN("RETR 18446744073709551617"), POP3_RETR, "!RETR needs a message number"},
    {SPAN("RETR +1"), POP3_RETR, "!RETR needs a message number"},
    {SPAN("RETR 1x"), POP3_RETR, "!RETR needs a message number"},
    {SPAN("RETR 1 1"), POP3_RETR, "!RETR needs a message number"},
    {SPAN("RETR\t1"), POP3_UNKNOWN, "!" CONTROL},
    {SPAN("DELE 2"), POP3_DELE, "#2"},
    {SPAN("DELE"), POP3_DELE, "!DELE needs a message number"},
    {SPAN("NOOP"), POP3_NOOP, ""},
    {SPAN("NOOP "), POP3_NOOP, ""},
    {SPAN("NOOP x"), POP3_NOOP, "!NOOP takes no argument"},
    {SPAN("RSET"), POP3_RSET, ""},
    {SPAN("STAT"), POP3_STAT, ""},
    {SPAN("QUIT"), POP3_QUIT, ""},
    {SPAN("UTF8"), POP3_UTF8, ""},
    {SPAN("UTF8 USER"), POP3_UTF8, "!UTF8 takes no argument"},
    {SPAN("LANG"), POP3_LANG, ""},
    {SPAN("LANG de-AT"), POP3_LANG, "<de-AT>"},
    {SPAN("XTND XMIT"), POP3_XTND, "<XMIT>"},
    {SPAN("XTND"), POP3_XTND, "!XTND needs an argument"},
    {SPAN(""), POP3_UNKNOWN, ""},
    {SPAN(" USER x"), POP3_UNKNOWN, ""},
    {SPAN("USERS x"), POP3_UNKNOWN, ""},
    {SPAN("USE x"), POP3_UNKNOWN, ""},
    {SPAN("EHLO x"), POP3_UNKNOWN, ""},
    {SPAN("USER a\0"), POP3_USER, "!" CONTROL},
    {SPAN("USER a\tb"), POP3_USER, "!" CONTROL},
    {SPAN("NOOP\x7f"), POP3_UNKNOWN, "!" CONTROL},
    {SPAN("\0"), POP3_UNKNOWN, "!" CONTROL},
};

static void each_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pop3_command command;
        char result[256] = "";
        const char *problem = pop3_command_parse(rows[i].line, &command);
        if (problem)
            snprintf(result, sizeof(result), "!%s", problem);
        for (unsigned j = 0; j < command.arguments && !problem; j++)
            snprintf(result + strlen(result), sizeof(result) - strlen(result), "<%.*s>", SPAN_ARG(command.argument[j]));
        for (unsigned j = 0; j < command.numbers && !problem; j++)
            snprintf(result + strlen(result), sizeof(result) - strlen(result), "#%u", command.number[j]);
        assert_string_equal(result, rows[i].result);
        assert_int_equal(command.verb, rows[i].verb);
        if (command.verb != POP3_UNKNOWN)
            assert_true(span_is_nocase(command.word, pop3_verb_name(command.verb)));
    }
    assert_string_equal(pop3_verb_name(POP3_UNKNOWN), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
