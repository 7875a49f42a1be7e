#include "format/smtp_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Lines are parted by LF; `written` is what smtp_reply_write makes of the whole, NULL for none. */
static const struct {
    const char *lines;
    const char *written;
} replies[] = {
    {"220 mx.example ESMTP", "220 mx.example ESMTP"},
    {"250", "250"},
    {"250 ", "250"},
    {"250-", NULL},
    {"250-first\n250 second", "250 first second"},
    {"250-first\n250", "250 first"},
    {"354 go ahead", "354 go ahead"},
    {"550 5.1.1 no such user", "550 5.1.1 no such user"},
    {"550-5.1.1 no such user\n550 5.1.1 try another", "550 5.1.1 no such user try another"},
    {"550-no code\n550 5.1.1 here", "550 no code here"},
    {"550 5.1.1", "550 5.1.1"},
    {"550 4.1.1 of another class", "550 4.1.1 of another class"},
    {"250 2.1.5 fine", "250 2.1.5 fine"},
    {"354 3.0.0 odd", "354 3.0.0 odd"},
    {"550 5.1.1.1 odd", "550 5.1.1.1 odd"},
    {"550 5.1234.1 odd", "550 5.1234.1 odd"},
    {"550 5..1 odd", "550 5..1 odd"},
    {"550 5.999.999 far", "550 5.999.999 far"},
    {"550  5.1.1 two spaces", "550 5.1.1 two spaces"},
    {"550 a\tb\x01"
     "c\xc3\xa4\x7f",
     "550 a b?c???"},
    {"450 4.2.0 greylisted", "450 4.2.0 greylisted"},
    {"", NULL},
    {"25", NULL},
    {"2x0 a", NULL},
    {"25x a", NULL},
    {"150 a", NULL},
    {"600 a", NULL},
    {"050 a", NULL},
    {"250a", NULL},
    {"2500 a", NULL},
    {"250_a", NULL},
    {"250\ta", NULL},
    {" 250 a", NULL},
    {"250-a\n251 b", NULL},
    {"250-a\nb", NULL},
    {"250-a\n", NULL},
};

static enum smtp_reply_status add_all(const char *lines, struct smtp_reply *reply)
{
    struct smtp_reply_reader reader;
    struct span rest = span_text(lines), text;
    enum smtp_reply_status status = SMTP_REPLY_MORE;
    smtp_reply_start(&reader, reply);
    do
        status = smtp_reply_add_line(&reader, span_cut(&rest, '\n'), &text);
    while (status == SMTP_REPLY_MORE && rest.size > 0);
    return status;
}

static void replies_are_read(void **state)
{
    struct buf out;
    buf_init(&out, 2000);
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct smtp_reply reply;
        enum smtp_reply_status status = add_all(replies[i].lines, &reply);
        buf_reset(&out);
        smtp_reply_write(&reply, &out);
        if (replies[i].written ? status != SMTP_REPLY_END || !span_is(buf_span(&out), replies[i].written)
                               : status == SMTP_REPLY_END)
            fail_msg("%s: status %d, %.*s", replies[i].lines, (int)status, SPAN_ARG(buf_span(&out)));
        assert_false(reply.is_ours);
    }
    buf_release(&out);
}

static void a_reply_without_end_is_cut(void **state)
{
    static char line[SMTP_REPLY_LINE_MAX + 2];
    struct smtp_reply_reader reader;
    struct smtp_reply reply;
    struct span text;
    unsigned lines = 0;

    smtp_reply_start(&reader, &reply);
    while (smtp_reply_add_line(&reader, span_text("250-x"), &text) == SMTP_REPLY_MORE)
        lines++;
    assert_int_equal(lines, SMTP_REPLY_LINES_MAX);
    memset(line, 'x', sizeof line);
    memcpy(line, "250-", 4);
    smtp_reply_start(&reader, &reply);
    size_t total = 0;
    while (smtp_reply_add_line(&reader, span_from(line, SMTP_REPLY_LINE_MAX), &text) == SMTP_REPLY_MORE)
        total += SMTP_REPLY_LINE_MAX + 2;
    assert_true(total > 0 && total <= SMTP_REPLY_TOTAL_MAX);
    assert_int_equal(reply.size, SMTP_REPLY_TEXT_MAX);
    smtp_reply_start(&reader, &reply);
    assert_int_equal(smtp_reply_add_line(&reader, span_from(line, SMTP_REPLY_LINE_MAX + 1), &text), SMTP_REPLY_BAD);
}

static void our_own(void **state)
{
    struct smtp_reply reply;
    struct buf out;
    buf_init(&out, 1000);
    smtp_reply_set(&reply, 554, "5.6.3", "no 8-bit");
    assert_true(reply.is_ours);
    smtp_reply_write(&reply, &out);
    assert_true(span_is(buf_span(&out), "554 5.6.3 no 8-bit"));
    smtp_reply_set(&reply, 554, "nonsense", "x");
    assert_int_equal(reply.enhanced.klass, 0);
    buf_reset(&out);
    reply = (struct smtp_reply){0};
    smtp_reply_write(&reply, &out);
    assert_int_equal(out.size, 0);
    buf_release(&out);
}

static const struct {
    const char *line;
    struct smtp_extensions expected;
} offers[] = {
    {"PIPELINING", {.pipelining = true}},
    {"pipelining", {.pipelining = true}},
    {"PIPELINING2", {0}},
    {"SIZE", {.size = true}},
    {"SIZE 0", {.size = true}},
    {"SIZE 1000", {.size = true, .size_max = 1000}},
    {"SIZE 99999999999999999999999", {.size = true}},
    {"SIZE -1", {.size = true}},
    {"8BITMIME", {.eight_bit_mime = true}},
    {"SMTPUTF8", {.smtputf8 = true}},
    {"DSN", {.dsn = true}},
    {"CHUNKING", {.chunking = true}},
    {"STARTTLS", {.starttls = true}},
    {"ENHANCEDSTATUSCODES", {.enhanced_status_codes = true}},
    {"AUTH PLAIN LOGIN", {.mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN}},
    {"AUTH scram-sha-256 CRAM-MD5", {.mechanisms = SMTP_AUTH_SCRAM_SHA_256}},
    {"AUTH SCRAM-SHA-256-PLUS", {0}},
    {"AUTH=LOGIN PLAIN", {.mechanisms = SMTP_AUTH_PLAIN | SMTP_AUTH_LOGIN}},
    {"AUTH", {0}},
    {"LIMITS RCPTMAX=20 MAILMAX=5", {.rcpt_max = 20, .mail_max = 5}},
    {"LIMITS RCPTMAX=x OTHER=1 MAILMAX", {0}},
    {"", {0}},
    {"  DSN  ", {.dsn = true}},
    {"X-ODD \x01\xff", {0}},
};

static void offers_are_read(void **state)
{
    for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
        struct smtp_extensions got = {0};
        const struct smtp_extensions *want = &offers[i].expected;
        smtp_extensions_add_line(&got, span_text(offers[i].line));
        bool same = got.pipelining == want->pipelining && got.size == want->size && got.size_max == want->size_max &&
                    got.eight_bit_mime == want->eight_bit_mime && got.smtputf8 == want->smtputf8 &&
                    got.dsn == want->dsn && got.chunking == want->chunking && got.starttls == want->starttls &&
                    got.enhanced_status_codes == want->enhanced_status_codes && got.mechanisms == want->mechanisms &&
                    got.rcpt_max == want->rcpt_max && got.mail_max == want->mail_max;
        if (!same)
            fail_msg("%s", offers[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read),
        cmocka_unit_test(a_reply_without_end_is_cut),
        cmocka_unit_test(our_own),
        cmocka_unit_test(offers_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
