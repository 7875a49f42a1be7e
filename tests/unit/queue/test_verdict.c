#include "queue/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void replies(void **state)
{
    static const struct {
        enum verdict_stage stage;
        unsigned code;
        const char *enhanced;
        bool others;
        enum verdict_kind kind;
        const char *status;
    } rows[] = {
        {VERDICT_AT_END, 250, "2.0.0", true, VERDICT_DELIVERED, "2.0.0"},
        {VERDICT_AT_END, 250, "", true, VERDICT_DELIVERED, "2.0.0"},
        {VERDICT_AT_RCPT, 250, "2.1.5", true, VERDICT_DELIVERED, "2.1.5"},
        {VERDICT_AT_RCPT, 251, "", false, VERDICT_DELIVERED, "2.1.0"},
        {VERDICT_AT_DATA, 250, "", true, VERDICT_DEFERRED, "4.5.0"},
        {VERDICT_AT_END, 354, "", true, VERDICT_DEFERRED, "4.5.0"},
        {VERDICT_AT_RCPT, 999, "", true, VERDICT_DEFERRED, "4.5.0"},
        {VERDICT_AT_GREETING, 0, "", false, VERDICT_NEXT_HOST, "4.4.2"},
        {VERDICT_AT_HELLO, 0, "", false, VERDICT_NEXT_HOST, "4.4.2"},
        {VERDICT_AT_MAIL, 0, "", false, VERDICT_DEFERRED, "4.4.2"},
        {VERDICT_AT_END, 0, "", true, VERDICT_DEFERRED, "4.4.2"},
        {VERDICT_AT_GREETING, 421, "4.3.2", false, VERDICT_NEXT_HOST, "4.3.2"},
        {VERDICT_AT_GREETING, 450, "", false, VERDICT_NEXT_HOST, "4.3.0"},
        {VERDICT_AT_GREETING, 554, "5.7.1", false, VERDICT_FAILED, "5.7.1"},
        {VERDICT_AT_HELLO, 550, "", false, VERDICT_FAILED, "5.3.0"},
        {VERDICT_AT_MAIL, 550, "5.1.8", false, VERDICT_FAILED, "5.1.8"},
        {VERDICT_AT_MAIL, 421, "", false, VERDICT_NEXT_HOST, "4.1.0"},
        {VERDICT_AT_MAIL, 451, "4.3.0", false, VERDICT_DEFERRED, "4.3.0"},
        {VERDICT_AT_RCPT, 450, "4.7.1", false, VERDICT_DEFERRED, "4.7.1"},
        {VERDICT_AT_RCPT, 421, "4.7.0", true, VERDICT_NEXT_HOST, "4.7.0"},
        {VERDICT_AT_END, 421, "4.7.0", true, VERDICT_DEFERRED, "4.7.0"},
        {VERDICT_AT_RCPT, 452, "4.5.3", true, VERDICT_AGAIN, "4.5.3"},
        {VERDICT_AT_RCPT, 452, "4.5.3", false, VERDICT_DEFERRED, "4.5.3"},
        {VERDICT_AT_RCPT, 452, "", true, VERDICT_AGAIN, "4.1.0"},
        {VERDICT_AT_RCPT, 452, "4.2.2", true, VERDICT_DEFERRED, "4.2.2"},
        {VERDICT_AT_RCPT, 552, "", true, VERDICT_AGAIN, "4.1.0"},
        {VERDICT_AT_RCPT, 552, "", false, VERDICT_FAILED, "5.1.0"},
        {VERDICT_AT_RCPT, 552, "5.2.2", true, VERDICT_FAILED, "5.2.2"},
        {VERDICT_AT_RCPT, 552, "5.5.3", true, VERDICT_AGAIN, "4.1.0"},
        {VERDICT_AT_RCPT, 552, "4.2.2", false, VERDICT_DEFERRED, "4.2.2"},
        {VERDICT_AT_END, 552, "5.3.4", true, VERDICT_FAILED, "5.3.4"},
        {VERDICT_AT_RCPT, 550, "5.1.1", true, VERDICT_FAILED, "5.1.1"},
        /* A class that is not the code's, and what is no status at all. */
        {VERDICT_AT_RCPT, 550, "4.1.1", true, VERDICT_FAILED, "5.1.0"},
        {VERDICT_AT_RCPT, 550, "5.1", true, VERDICT_FAILED, "5.1.0"},
        {VERDICT_AT_RCPT, 550, "5.1.1.1", true, VERDICT_FAILED, "5.1.0"},
        {VERDICT_AT_RCPT, 550, "5.1234.1", true, VERDICT_FAILED, "5.1.0"},
        {VERDICT_AT_RCPT, 550, "5..1", true, VERDICT_FAILED, "5.1.0"},
        {VERDICT_AT_RCPT, 550, "5.1.x", true, VERDICT_FAILED, "5.1.0"},
        {VERDICT_AT_RCPT, 550, "5.999.999", true, VERDICT_FAILED, "5.999.999"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct verdict v = verdict_of_reply(rows[i].stage, rows[i].code, span_text(rows[i].enhanced), rows[i].others);
        if (v.kind != rows[i].kind || strcmp(v.status, rows[i].status) != 0)
            print_error("row %zu: %u %s\n", i, rows[i].code, rows[i].enhanced);
        assert_int_equal(v.kind, rows[i].kind);
        assert_string_equal(v.status, rows[i].status);
    }
}

static void troubles_have_words(void **state)
{
    for (int i = 0; i < TROUBLE_COUNT; i++) {
        struct verdict v = verdict_of_trouble((enum verdict_trouble)i);
        const char *text = verdict_trouble_text((enum verdict_trouble)i);
        assert_true(v.kind == VERDICT_FAILED ? v.status[0] == '5' : v.kind == VERDICT_DEFERRED && v.status[0] == '4');
        assert_true(strlen(text) > 10 && text[strlen(text) - 1] != '.');
    }
    assert_string_equal(verdict_of_trouble(TROUBLE_NULL_MX).status, "5.1.10");
    assert_string_equal(verdict_of_trouble(TROUBLE_NO_DOMAIN).status, "5.1.2");
    assert_string_equal(verdict_of_trouble(TROUBLE_LOOP).status, "5.4.6");
    assert_string_equal(verdict_of_trouble(TROUBLE_EXPIRED).status, "5.4.7");
}

static void statuses_have_words(void **state)
{
    assert_non_null(strstr(verdict_status_text(span_text("5.1.1")), "nobody of this name"));
    assert_non_null(strstr(verdict_status_text(span_text("4.2.2")), "full"));
    assert_non_null(strstr(verdict_status_text(span_text("5.1.10")), "takes no mail"));
    assert_non_null(strstr(verdict_status_text(span_text("5.1.99")), "does not accept this address"));
    assert_non_null(strstr(verdict_status_text(span_text("5.7.26")), "rules"));
    assert_non_null(strstr(verdict_status_text(span_text("5.0.0")), "own words"));
    assert_non_null(strstr(verdict_status_text((struct span){0}), "own words"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(troubles_have_words),
        cmocka_unit_test(statuses_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
