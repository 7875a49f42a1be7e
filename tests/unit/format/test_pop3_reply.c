#include "format/pop3_reply.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S(text) (struct span) SPAN(text)

static const struct {
    struct span line;
    enum pop3_status status;
    enum pop3_code code;
    const char *text;
} replies[] = {
    {SPAN("+OK"), POP3_OK, POP3_CODE_NONE, ""},
    {SPAN("+ok ready"), POP3_OK, POP3_CODE_NONE, "ready"},
    {SPAN("+OK  two  words "), POP3_OK, POP3_CODE_NONE, "two  words"},
    {SPAN("-ERR"), POP3_ERROR, POP3_CODE_NONE, ""},
    {SPAN("-ERR no such message"), POP3_ERROR, POP3_CODE_NONE, "no such message"},
    {SPAN("-ERR [AUTH] wrong"), POP3_ERROR, POP3_CODE_AUTH, "wrong"},
    {SPAN("-ERR [auth]wrong"), POP3_ERROR, POP3_CODE_AUTH, "wrong"},
    {SPAN("-ERR [IN-USE] busy"), POP3_ERROR, POP3_CODE_TEMPORARY, "busy"},
    {SPAN("-ERR [LOGIN-DELAY] wait"), POP3_ERROR, POP3_CODE_TEMPORARY, "wait"},
    {SPAN("-ERR [SYS/TEMP] wait"), POP3_ERROR, POP3_CODE_TEMPORARY, "wait"},
    {SPAN("-ERR [SYS/PERM] broken"), POP3_ERROR, POP3_CODE_PERMANENT, "broken"},
    {SPAN("-ERR [X-NEW] what"), POP3_ERROR, POP3_CODE_OTHER, "what"},
    {SPAN("-ERR [AUTH"), POP3_ERROR, POP3_CODE_NONE, "[AUTH"},
    {SPAN("+OK [AUTH] is no error"), POP3_OK, POP3_CODE_NONE, "[AUTH] is no error"},
    {SPAN("+ PDEyMz4="), POP3_CHALLENGE, POP3_CODE_NONE, "PDEyMz4="},
    {SPAN("+"), POP3_CHALLENGE, POP3_CODE_NONE, ""},
    {SPAN("+ "), POP3_CHALLENGE, POP3_CODE_NONE, ""},
    {SPAN("+OKAY"), POP3_BAD, POP3_CODE_NONE, ""},
    {SPAN(" +OK"), POP3_BAD, POP3_CODE_NONE, ""},
    {SPAN("220 smtp.example"), POP3_BAD, POP3_CODE_NONE, "smtp.example"},
    {SPAN("* OK imap"), POP3_BAD, POP3_CODE_NONE, "OK imap"},
    {SPAN(""), POP3_BAD, POP3_CODE_NONE, ""},
    {SPAN("+OK\0x"), POP3_BAD, POP3_CODE_NONE, ""},
};

static void replies_are_read(void **state)
{
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct pop3_reply reply;
        pop3_reply_parse(replies[i].line, &reply);
        assert_int_equal(reply.status, replies[i].status);
        assert_int_equal(reply.code, replies[i].code);
        assert_true(span_is(reply.text, replies[i].text));
    }
}

static void listings_are_read(void **state)
{
    uint32_t number = 0;
    uint64_t size = 0;
    struct span uidl;
    assert_true(pop3_listing_parse(S("3 1200"), &number, &size));
    assert_int_equal(number, 3);
    assert_int_equal(size, 1200);
    assert_true(pop3_listing_parse(S("2147483647 0 more"), &number, &size));
    const struct span bad[] = {SPAN(""),
                               SPAN("1"),
                               SPAN("x 1"),
                               SPAN("-1 5"),
                               SPAN("2147483648 1"),
                               SPAN("1 -5"),
                               SPAN("1 99999999999999999999"),
                               SPAN("1\0 5")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(pop3_listing_parse(bad[i], &number, &size));
    assert_true(pop3_uidl_parse(S("7 whqtswO00WBw418f9t5JxYwZ"), &number, &uidl));
    assert_int_equal(number, 7);
    assert_true(span_is(uidl, "whqtswO00WBw418f9t5JxYwZ"));
    static char longest[80] = "7 ";
    memset(longest + 2, 'u', 78);
    assert_true(pop3_uidl_parse(span_from(longest, 72), &number, &uidl));
    assert_int_equal(uidl.size, POP3_UIDL_MAX);
    assert_true(pop3_uidl_parse(span_from(longest, 73), &number, &uidl));
    assert_int_equal(uidl.size, 0);
    const struct span none[] = {SPAN("7"), SPAN("7 "), SPAN("7 a b"), SPAN("7 a\x80"), SPAN("7 a\0"), SPAN("7 a\x7f")};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_true(pop3_uidl_parse(none[i], &number, &uidl));
        assert_int_equal(uidl.size, 0);
    }
    assert_false(pop3_uidl_parse(S("x abc"), &number, &uidl));
}

static void capabilities_are_read(void **state)
{
    struct pop3_capabilities c = {0};
    const struct span lines[] = {
        SPAN("TOP"), SPAN("uidl"), SPAN("STLS"), SPAN("SASL PLAIN login  SCRAM-SHA-256"), SPAN("IMPLEMENTATION UIDL"),
        SPAN("")};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        pop3_capability_parse(lines[i], &c);
    assert_true(c.uidl && c.stls && c.plain && c.login && c.scram);
    assert_false(c.user || c.utf8);
    c = (struct pop3_capabilities){0};
    pop3_capability_parse(S("SASL SCRAM-SHA-256-PLUS"), &c);
    assert_false(c.scram);
    pop3_capability_parse(S("USER"), &c);
    pop3_capability_parse(S("UTF8 USER"), &c);
    assert_true(c.user && c.utf8);
}

static void timestamps_are_found(void **state)
{
    assert_true(
        span_is(pop3_timestamp(S("ready <1896.697170952@dbc.mtview.ca.us>")), "<1896.697170952@dbc.mtview.ca.us>"));
    assert_true(span_is(pop3_timestamp(S("<a@b> <c@d>")), "<a@b>"));
    const struct span none[] = {SPAN("ready"),   SPAN("<ab>"), SPAN("<@b>"),      SPAN("<a@>"),
                                SPAN("<a b@c>"), SPAN("<a@b"), SPAN("<a@b\x01>"), SPAN("")};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(pop3_timestamp(none[i]).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read),
        cmocka_unit_test(listings_are_read),
        cmocka_unit_test(capabilities_are_read),
        cmocka_unit_test(timestamps_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
