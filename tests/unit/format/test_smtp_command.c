#include "format/smtp_command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X250 X50 X50 X50 X50 X50

static const struct smtp_abilities all = {
    .size = true, .size_max = 1000, .eight_bit_mime = true, .smtputf8 = true, .dsn = true, .auth = true};
static const struct smtp_abilities none;

static bool is_reply(const struct smtp_problem *problem, const char *expected)
{
    char reply[512];

    if (!problem || !expected)
        return !problem && !expected;
    snprintf(reply, sizeof(reply), "%u %s %s", problem->code, problem->enhanced, problem->text);
    if (strcmp(reply, expected))
        fprintf(stderr, "got \"%s\"\n", reply);
    return !strcmp(reply, expected);
}

static void commands(void **state)
{
    static const struct {
        struct span line;
        enum smtp_verb verb;
        const char *word, *argument, *problem;
    } rows[] = {
        {SPAN("HELO a"), SMTP_HELO, "HELO", "a", NULL},
        {SPAN("ehlo a b"), SMTP_EHLO, "ehlo", "a b", NULL},
        {SPAN("Mail FROM:<>"), SMTP_MAIL, "Mail", "FROM:<>", NULL},
        {SPAN("RCPT  \t TO:<a@b> \t"), SMTP_RCPT, "RCPT", "TO:<a@b>", NULL},
        {SPAN("DATA"), SMTP_DATA, "DATA", "", NULL},
        {SPAN("DATA "), SMTP_DATA, "DATA", "", NULL},
        {SPAN("BDAT 1"), SMTP_BDAT, "BDAT", "1", NULL},
        {SPAN("RSET"), SMTP_RSET, "RSET", "", NULL},
        {SPAN("NOOP \xff"), SMTP_NOOP, "NOOP", "\xff", NULL},
        {SPAN("VRFY x"), SMTP_VRFY, "VRFY", "x", NULL},
        {SPAN("EXPN\tx"), SMTP_EXPN, "EXPN", "x", NULL},
        {SPAN("HELP"), SMTP_HELP, "HELP", "", NULL},
        {SPAN("QUIT"), SMTP_QUIT, "QUIT", "", NULL},
        {SPAN("StartTLS"), SMTP_STARTTLS, "StartTLS", "", NULL},
        {SPAN("AUTH PLAIN"), SMTP_AUTH, "AUTH", "PLAIN", NULL},
        {SPAN(""), SMTP_UNKNOWN, "", "", NULL},
        {SPAN("DATAX"), SMTP_UNKNOWN, "DATAX", "", NULL},
        {SPAN("DAT"), SMTP_UNKNOWN, "DAT", "", NULL},
        {SPAN("UNKNOWN"), SMTP_UNKNOWN, "UNKNOWN", "", NULL},
        {SPAN("GET / HTTP/1.1"), SMTP_UNKNOWN, "GET", "/ HTTP/1.1", NULL},
        {SPAN(" DATA"), SMTP_UNKNOWN, "", "", "500 5.5.2 A space before the command"},
        {SPAN("\tDATA"), SMTP_UNKNOWN, "", "", "500 5.5.2 A space before the command"},
        {SPAN("DATA\0"), SMTP_UNKNOWN, "", "", "500 5.5.2 A control character in the command line"},
        {SPAN("NOOP a\rb"), SMTP_UNKNOWN, "", "", "500 5.5.2 A control character in the command line"},
        {SPAN("NOOP a\nb"), SMTP_UNKNOWN, "", "", "500 5.5.2 A control character in the command line"},
        {SPAN("NOOP \x1b"), SMTP_UNKNOWN, "", "", "500 5.5.2 A control character in the command line"},
        {SPAN("NOOP \x7f"), SMTP_UNKNOWN, "", "", "500 5.5.2 A control character in the command line"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct smtp_command command;
        assert_true(is_reply(smtp_command_parse(rows[i].line, &command), rows[i].problem));
        assert_int_equal(command.verb, rows[i].verb);
        assert_true(span_is(command.word, rows[i].word));
        assert_true(span_is(command.argument, rows[i].argument));
        if (command.verb != SMTP_UNKNOWN)
            assert_true(span_is_nocase(command.word, smtp_verb_name(command.verb)));
    }
    assert_string_equal(smtp_verb_name(SMTP_UNKNOWN), "UNKNOWN");
}

/* What was understood, in one line, so that a row says all of it. */
static void describe_mail(const struct smtp_mail *mail, char *out, size_t size)
{
    snprintf(out, size, "%.*s@%.*s%s", SPAN_ARG(mail->path.local_part), SPAN_ARG(mail->path.domain),
             mail->path.is_null ? " null" : "");
    if (mail->has_size)
        snprintf(out + strlen(out), size - strlen(out), " size=%llu", (unsigned long long)mail->size);
    if (mail->eight_bit)
        snprintf(out + strlen(out), size - strlen(out), " 8bit");
    if (mail->smtputf8)
        snprintf(out + strlen(out), size - strlen(out), " utf8");
    if (mail->ret)
        snprintf(out + strlen(out), size - strlen(out), mail->ret == SMTP_RET_FULL ? " full" : " hdrs");
    if (mail->has_envid)
        snprintf(out + strlen(out), size - strlen(out), " envid=%.*s", SPAN_ARG(mail->envid));
    if (mail->has_auth)
        snprintf(out + strlen(out), size - strlen(out), " auth=%.*s", SPAN_ARG(mail->auth));
}

static void mail_arguments(void **state)
{
    static const struct {
        struct span argument;
        const struct smtp_abilities *abilities;
        const char *result; /* described, or the reply */
    } rows[] = {
        {SPAN("FROM:<>"), &all, "@ null"},
        {SPAN("from:<a@b>"), &none, "a@b"},
        {SPAN("FROM:  <a@b>"), &all, "a@b"},
        {SPAN("FROM:<a@b>   SIZE=1000 \t BODY=7BIT "), &all, "a@b size=1000"},
        {SPAN("FROM:<a@b> size=0 body=8bitmime smtputf8 ret=full envid=x+2By auth=<>"), &all,
         "a@b size=0 8bit utf8 full envid=x+2By auth="},
        {SPAN("FROM:<a@b> RET=HDRS AUTH=c+2Bd@e"), &all, "a@b hdrs auth=c+d@e"},
        {SPAN("FROM:<a@b> AUTH=nobody"), &all, "a@b auth="},
        {SPAN("FROM:<\xc3\xa9@b> SMTPUTF8"), &all, "\xc3\xa9@b utf8"},
        {SPAN("FROM:<\xc3\xa9@b>"), &all, "553 5.6.7 This address needs SMTPUTF8 in MAIL"},
        {SPAN("FROM:<\xc3@b> SMTPUTF8"), &all, "501 5.1.7 Bad sender address: bytes that are not UTF-8"},
        {SPAN("FROM:a@b"), &all, "501 5.1.7 Bad sender address: missing '<'"},
        {SPAN("FROM:<a@b"), &all, "501 5.1.7 Bad sender address: missing '>'"},
        {SPAN("FROM:<a@b>SIZE=1"), &all, "501 5.1.7 A space is missing behind the address"},
        {SPAN("FROM <a@b>"), &all, "501 5.5.4 MAIL FROM:<address> is how it is written"},
        {SPAN("FROM :<a@b>"), &all, "501 5.5.4 MAIL FROM:<address> is how it is written"},
        {SPAN("TO:<a@b>"), &all, "501 5.5.4 MAIL FROM:<address> is how it is written"},
        {SPAN(""), &all, "501 5.5.4 MAIL FROM:<address> is how it is written"},
        {SPAN("FROM:<a@b> SIZE=1001"), &all, "552 5.3.4 The message is larger than is taken here"},
        {SPAN("FROM:<a@b> SIZE=99999999999999999999"), &all, "552 5.3.4 The message is larger than is taken here"},
        {SPAN("FROM:<a@b> SIZE=999999999999999999999"), &all, "501 5.5.4 The value of SIZE is not one it may have"},
        {SPAN("FROM:<a@b> SIZE="), &all, "501 5.5.4 The value of SIZE is not one it may have"},
        {SPAN("FROM:<a@b> SIZE"), &all, "501 5.5.4 The value of SIZE is not one it may have"},
        {SPAN("FROM:<a@b> SIZE=-1"), &all, "501 5.5.4 The value of SIZE is not one it may have"},
        {SPAN("FROM:<a@b> SIZE=1 size=1"), &all, "501 5.5.4 size was given twice"},
        {SPAN("FROM:<a@b> SIZE=1"), &none, "555 5.5.4 The parameter SIZE is not known here"},
        {SPAN("FROM:<a@b> BODY=BINARYMIME"), &all, "555 5.5.4 BODY=BINARYMIME is not taken here"},
        {SPAN("FROM:<a@b> BODY=9BIT"), &all, "501 5.5.4 The value of BODY is not one it may have"},
        {SPAN("FROM:<a@b> BODY=7BIT"), &none, "555 5.5.4 The parameter BODY is not known here"},
        {SPAN("FROM:<a@b> SMTPUTF8=1"), &all, "501 5.5.4 The value of SMTPUTF8 is not one it may have"},
        {SPAN("FROM:<a@b> SMTPUTF8"), &none, "555 5.5.4 The parameter SMTPUTF8 is not known here"},
        {SPAN("FROM:<a@b> RET=ALL"), &all, "501 5.5.4 The value of RET is not one it may have"},
        {SPAN("FROM:<a@b> RET=FULL"), &none, "555 5.5.4 The parameter RET is not known here"},
        {SPAN("FROM:<a@b> ENVID=" X50 X50), &all, "a@b envid=" X50 X50},
        {SPAN("FROM:<a@b> ENVID=" X50 X50 "x"), &all, "501 5.5.4 The value of ENVID is not one it may have"},
        {SPAN("FROM:<a@b> ENVID="), &all, "501 5.5.4 The value of ENVID is not one it may have"},
        {SPAN("FROM:<a@b> ENVID=a=b"), &all, "501 5.5.4 The value of ENVID is not one it may have"},
        {SPAN("FROM:<a@b> ENVID=a+0D+0Ab"), &all, "501 5.5.4 The value of ENVID is not one it may have"},
        {SPAN("FROM:<a@b> ENVID=a+FF"), &all, "501 5.5.4 The value of ENVID is not one it may have"},
        {SPAN("FROM:<a@b> AUTH=+"), &all, "501 5.5.4 The value of AUTH is not one it may have"},
        {SPAN("FROM:<a@b> AUTH="), &all, "501 5.5.4 The value of AUTH is not one it may have"},
        {SPAN("FROM:<a@b> AUTH=<>"), &none, "555 5.5.4 The parameter AUTH is not known here"},
        {SPAN("FROM:<a@b> NOTIFY=NEVER"), &all, "555 5.5.4 The parameter NOTIFY is not known here"},
        {SPAN("FROM:<a@b> =1"), &all, "555 5.5.4 The parameter  is not known here"},
        {SPAN("FROM:<a@b> 1234"), &all, "555 5.5.4 The parameter 1234 is not known here"},
        {SPAN("FROM:<a@b> x\xff\0y=1"), &all, "555 5.5.4 The parameter x??y is not known here"},
        {SPAN("FROM:<a@b> " X250), &all, "555 5.5.4 The parameter " X50 "xxxxxxxxxxxxxx is not known here"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena arena;
        struct smtp_mail mail;
        char result[1024];
        arena_init(&arena, 8192);
        const struct smtp_problem *problem = smtp_mail_parse(rows[i].argument, rows[i].abilities, &arena, &mail);
        if (problem)
            snprintf(result, sizeof(result), "%u %s %s", problem->code, problem->enhanced, problem->text);
        else
            describe_mail(&mail, result, sizeof(result));
        assert_string_equal(result, rows[i].result);
        arena_release(&arena);
    }
}

static void describe_rcpt(const struct smtp_rcpt *rcpt, char *out, size_t size)
{
    snprintf(out, size, "%.*s@%.*s notify=%u", SPAN_ARG(rcpt->path.local_part), SPAN_ARG(rcpt->path.domain),
             rcpt->notify);
    if (rcpt->has_orcpt)
        snprintf(out + strlen(out), size - strlen(out), " orcpt=%.*s|%.*s|%.*s", SPAN_ARG(rcpt->orcpt),
                 SPAN_ARG(rcpt->orcpt_type), SPAN_ARG(rcpt->orcpt_address));
    if (rcpt->passcode.size)
        snprintf(out + strlen(out), size - strlen(out), " passcode=%.*s", SPAN_ARG(rcpt->passcode));
}

static void rcpt_arguments(void **state)
{
    static const struct {
        struct span argument;
        bool utf8;
        const char *result;
    } rows[] = {
        {SPAN("TO:<a@b>"), false, "a@b notify=0"},
        {SPAN("to: <Postmaster>"), false, "Postmaster@ notify=0"},
        {SPAN("TO:<a@b> NOTIFY=NEVER"), false, "a@b notify=1"},
        {SPAN("TO:<a@b> notify=success,Failure,DELAY"), false, "a@b notify=14"},
        {SPAN("TO:<a@b> NOTIFY=DELAY"), false, "a@b notify=8"},
        {SPAN("TO:<a@b> ORCPT=rfc822;c+2Bd@e NOTIFY=FAILURE"), false, "a@b notify=4 orcpt=rfc822;c+2Bd@e|rfc822|c+d@e"},
        {SPAN("TO:<a@b> ORCPT=utf-8;\xc3\xa9@e"), true, "a@b notify=0 orcpt=utf-8;\xc3\xa9@e|utf-8|\xc3\xa9@e"},
        {SPAN("TO:<a@b> ORCPT=UTF-8;x\\x{E9}@e"), false, "a@b notify=0 orcpt=UTF-8;x\\x{E9}@e|UTF-8|x\\x{E9}@e"},
        {SPAN("TO:<a@b> 1234"), false, "a@b notify=0 passcode=1234"},
        {SPAN("TO:<a@b> 12345678901234567890 NOTIFY=NEVER"), false, "a@b notify=1 passcode=12345678901234567890"},
        {SPAN("TO:<\xc3\xa9@b>"), true, "\xc3\xa9@b notify=0"},
        {SPAN("TO:<\xc3\xa9@b>"), false, "553 5.6.7 This address needs SMTPUTF8 in MAIL"},
        {SPAN("TO:<a@b> ORCPT=utf-8;\xc3\xa9@e"), false, "553 5.6.7 This address needs SMTPUTF8 in MAIL"},
        {SPAN("TO:<>"), false, "501 5.1.3 Bad recipient address: an empty path"},
        {SPAN("TO:a@b"), false, "501 5.1.3 Bad recipient address: missing '<'"},
        {SPAN("TO:<a@b>1234"), false, "501 5.1.3 A space is missing behind the address"},
        {SPAN("FROM:<a@b>"), false, "501 5.5.4 RCPT TO:<address> is how it is written"},
        {SPAN("TO:<a@b> 1 2"), false, "501 5.5.4 A passcode was given twice"},
        {SPAN("TO:<a@b> 123456789012345678901"), false,
         "555 5.5.4 The parameter 123456789012345678901 is not known here"},
        {SPAN("TO:<a@b> 12=3"), false, "555 5.5.4 The parameter 12 is not known here"},
        {SPAN("TO:<a@b> NOTIFY=NEVER,DELAY"), false, "501 5.5.4 The value of NOTIFY is not one it may have"},
        {SPAN("TO:<a@b> NOTIFY=DELAY,NEVER"), false, "501 5.5.4 The value of NOTIFY is not one it may have"},
        {SPAN("TO:<a@b> NOTIFY=DELAY,"), false, "501 5.5.4 The value of NOTIFY is not one it may have"},
        {SPAN("TO:<a@b> NOTIFY=,DELAY"), false, "501 5.5.4 The value of NOTIFY is not one it may have"},
        {SPAN("TO:<a@b> NOTIFY="), false, "501 5.5.4 The value of NOTIFY is not one it may have"},
        {SPAN("TO:<a@b> NOTIFY"), false, "501 5.5.4 The value of NOTIFY is not one it may have"},
        {SPAN("TO:<a@b> NOTIFY=DELAY NOTIFY=DELAY"), false, "501 5.5.4 NOTIFY was given twice"},
        {SPAN("TO:<a@b> ORCPT=rfc822"), false, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=;a"), false, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=rfc822;"), false, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=rfc(822);a"), false, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=\xc3\xa9;a"), false, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=rfc822;a=b"), false, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=rfc822;a+0A"), false, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=utf-8;\xff"), true, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=utf-8;a\x01"), true, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> ORCPT=rfc822;" X250 X250), false, "501 5.5.4 The value of ORCPT is not one it may have"},
        {SPAN("TO:<a@b> SIZE=1"), false, "555 5.5.4 The parameter SIZE is not known here"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena arena;
        struct smtp_rcpt rcpt;
        char result[1024];
        arena_init(&arena, 8192);
        const struct smtp_problem *problem = smtp_rcpt_parse(rows[i].argument, &all, rows[i].utf8, &arena, &rcpt);
        if (problem)
            snprintf(result, sizeof(result), "%u %s %s", problem->code, problem->enhanced, problem->text);
        else
            describe_rcpt(&rcpt, result, sizeof(result));
        assert_string_equal(result, rows[i].result);
        arena_release(&arena);
    }
}

static void without_dsn_or_memory(void **state)
{
    struct arena arena;
    struct smtp_rcpt rcpt;
    struct smtp_mail mail;

    (void)state;
    arena_init(&arena, 8192);
    assert_true(is_reply(smtp_rcpt_parse(span_text("TO:<a@b> NOTIFY=NEVER"), &none, false, &arena, &rcpt),
                         "555 5.5.4 The parameter NOTIFY is not known here"));
    arena_release(&arena);
    arena_init(&arena, 0);
    assert_true(
        is_reply(smtp_mail_parse(span_text("FROM"), &all, &arena, &mail), "452 4.3.1 No memory for this command"));
    assert_true(is_reply(smtp_mail_parse(span_text("FROM:<a@b>"), &all, &arena, &mail),
                         "452 4.3.1 No memory for this command"));
    arena_release(&arena);
}

static void bdat_arguments(void **state)
{
    static const struct {
        const char *argument;
        bool fine, last;
        uint64_t size;
    } rows[] = {
        {"0", true, false, 0},
        {"0 LAST", true, true, 0},
        {"1000000 \t last", true, true, 1000000},
        {"18446744073709551615", true, false, UINT64_MAX},
        {"18446744073709551616", false, false, 0},
        {"", false, false, 0},
        {"LAST", false, false, 0},
        {"-1", false, false, 0},
        {"1 LASTING", false, false, 0},
        {"1 LAST LAST", false, false, 0},
        {"1x", false, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t size = 0;
        bool last;
        assert_true(is_reply(smtp_bdat_parse(span_text(rows[i].argument), &size, &last),
                             rows[i].fine ? NULL : "501 5.5.4 BDAT size [LAST] is how it is written"));
        if (rows[i].fine) {
            assert_int_equal(last, rows[i].last);
            assert_true(size == rows[i].size);
        }
    }
}

static void helo_arguments(void **state)
{
    static const struct {
        struct span argument;
        const char *name, *problem;
        bool well_formed, literal;
    } rows[] = {
        {SPAN("mail.Example.org"), "mail.Example.org", NULL, true, false},
        {SPAN("[192.0.2.1]"), "[192.0.2.1]", NULL, true, true},
        {SPAN("[IPv6:::1]"), "[IPv6:::1]", NULL, true, true},
        {SPAN("[192.0.2.1] x"), "[192.0.2.1]", NULL, false, true},
        {SPAN("my computer"), "my", NULL, false, false},
        {SPAN("192.0.2.1"), "192.0.2.1", NULL, true, false},
        {SPAN("[x]"), "[x]", NULL, false, false},
        {SPAN("host."), "host.", NULL, false, false},
        {SPAN("\xc3\xa9.example"), "\xc3\xa9.example", NULL, false, false},
        {SPAN("((("), "(((", NULL, false, false},
        {SPAN(X250 "xxxxx"), X250 "xxxxx", NULL, false, false},
        {SPAN(X250 "xxxxxx"), NULL, "501 5.5.4 Your host name is longer than 255 octets", false, false},
        {SPAN("a\0b"), NULL, "501 5.5.4 A control character in your host name", false, false},
        {SPAN(""), NULL, "501 5.5.4 Your host name is missing", false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct smtp_helo helo;
        assert_true(is_reply(smtp_helo_parse(rows[i].argument, &helo), rows[i].problem));
        if (rows[i].problem)
            continue;
        assert_true(span_is(helo.name, rows[i].name));
        assert_int_equal(helo.is_well_formed, rows[i].well_formed);
        assert_int_equal(helo.is_literal, rows[i].literal);
    }
}

static void auth_arguments(void **state)
{
    static const struct {
        const char *argument, *mechanism;
        bool has_initial;
        const char *initial;
    } rows[] = {
        {"PLAIN", "PLAIN", false, ""},
        {"scram-sha-256-plus", "scram-sha-256-plus", false, ""},
        {"PLAIN AGE=", "PLAIN", true, "AGE="},
        {"EXTERNAL =", "EXTERNAL", true, ""},
        {"X_1 \t a", "X_1", true, "a"},
        {"", NULL, false, NULL},
        {"PLAIN a b", NULL, false, NULL},
        {"PLA!N", NULL, false, NULL},
        {"ABCDEFGHIJKLMNOPQRSTU", NULL, false, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct span mechanism, initial;
        bool has_initial;
        const struct smtp_problem *problem =
            smtp_auth_parse(span_text(rows[i].argument), &mechanism, &has_initial, &initial);
        assert_true(is_reply(
            problem, rows[i].mechanism ? NULL : "501 5.5.4 AUTH mechanism [initial-response] is how it is written"));
        if (problem)
            continue;
        assert_true(span_is(mechanism, rows[i].mechanism));
        assert_int_equal(has_initial, rows[i].has_initial);
        assert_true(span_is(initial, rows[i].initial));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands),       cmocka_unit_test(mail_arguments),        cmocka_unit_test(rcpt_arguments),
        cmocka_unit_test(bdat_arguments), cmocka_unit_test(without_dsn_or_memory), cmocka_unit_test(helo_arguments),
        cmocka_unit_test(auth_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
