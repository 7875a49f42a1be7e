/* The session against services that fail and lie, and what it hands to the store. What goes well with the real ones is
 * in tests/dialogue/smtp and submission. */
#include "fixture.h"
#include "intake/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))
#define HELLO "EHLO client.test\r\n"
#define LOGIN "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"
#define MAIL "MAIL FROM:<s@b.test>\r\n"
#define ALICE "RCPT TO:<alice@example.test>\r\n"
#define BOB "RCPT TO:<bob@example.test>\r\n"
#define DATA "DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n"
#define QUIT "QUIT\r\n"
#define TEMPORARY "451 4.3.0 Temporary failure on our side, please try again later\r\n"

/* The replies behind the one that begins with `last`. */
static const char *behind(const char *output, const char *last)
{
    const char *at = strstr(output, last);
    assert_non_null(at);
    at = strstr(at, "\r\n");
    assert_non_null(at);
    return at + 2;
}

static void test_lies(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum lie lie;
        const char *input, *output; /* the latter behind MAIL's 250 */
        unsigned deliveries;
    } rows[] = {
        {"honest", HONEST, ALICE DATA,
         "250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n250 2.0.0 Stored, ab\r\n", 1},
        {"unset route", READ_UNSET, ALICE, TEMPORARY, 0},
        {"unknown route", READ_UNKNOWN, ALICE, TEMPORARY, 0},
        {"local without targets", READ_NO_TARGETS, ALICE, TEMPORARY, 0},
        {"too many targets", READ_TOO_MANY_TARGETS, ALICE, TEMPORARY, 0},
        {"mailbox 0", READ_NO_MAILBOX, ALICE, TEMPORARY, 0},
        {"the reader fails", READ_FAILS, ALICE, TEMPORARY, 0},
        {"the reader dies", READ_DIES, ALICE BOB, TEMPORARY TEMPORARY, 0},
        {"closed", READ_DISABLED, ALICE, "550 5.2.1 <alice@example.test>: this account is closed\r\n", 0},
        {"full", READ_FULL, ALICE, "452 4.2.2 <alice@example.test>: the mailbox is full\r\n", 0},
        {"a thousand targets", READ_MANY_TARGETS, ALICE DATA,
         "250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n250 2.0.0 Stored, ab\r\n", 1},
        {"the writer fails", STORE_FAILS, ALICE DATA,
         "250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n" TEMPORARY, 1},
        {"the writer dies", STORE_DIES, ALICE DATA,
         "250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n" TEMPORARY, 0},
        {"too few outcomes", STORE_TOO_FEW, ALICE BOB DATA,
         "250 2.1.5 Recipient fine\r\n250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n" TEMPORARY, 1},
        {"too many outcomes", STORE_TOO_MANY, ALICE DATA,
         "250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n" TEMPORARY, 1},
        {"no outcome", STORE_UNSET, ALICE DATA,
         "250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n" TEMPORARY, 1},
        {"stored for some only", STORE_LAST_FULL, ALICE BOB DATA,
         "250 2.1.5 Recipient fine\r\n250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n" TEMPORARY, 1},
        {"full at the end", STORE_FULL, ALICE DATA,
         "250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n452 4.2.2 The mailbox is full, please try "
         "again later\r\n",
         1},
        {"gone at the end", STORE_GONE, ALICE DATA,
         "250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n550 5.1.1 There is no such person here any "
         "more\r\n",
         1},
        {"one of two gone", STORE_LAST_GONE, ALICE BOB DATA,
         "250 2.1.5 Recipient fine\r\n250 2.1.5 Recipient fine\r\n354 Go ahead, end with CRLF.CRLF\r\n250 2.0.0 "
         "Stored, ab\r\n",
         1},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        char input[2000], expected[2000];
        fixture_init(&f, "");
        f.lie = rows[i].lie;
        snprintf(input, sizeof input, HELLO MAIL "%s" QUIT, rows[i].input);
        snprintf(expected, sizeof expected, "%s221 2.0.0 mx.example.test says goodbye\r\n", rows[i].output);
        const char *output = behind(fixture_talk(&f, SERVICE_SMTP, span_text(input)), "250 2.1.0");
        if (strcmp(output, expected) != 0 || f.deliveries != rows[i].deliveries)
            fail_msg("%s: %u deliveries, got\n%s", rows[i].name, f.deliveries, output);
        fixture_release(&f);
    }
}

static void test_member_lies(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum lie lie;
        const char *input, *output; /* the latter behind EHLO's */
    } rows[] = {
        {"honest", HONEST, LOGIN MAIL, "235 2.7.0 Welcome, alice@example.test\r\n250 2.1.0 Sender fine\r\n"},
        {"account 0", AUTH_NO_ACCOUNT, LOGIN MAIL,
         "454 4.7.0 Logins are not possible right now, please try again later\r\n530 5.7.0 Authentication "
         "required\r\n"},
        {"long grant", AUTH_LONG_GRANT, LOGIN,
         "454 4.7.0 Logins are not possible right now, please try again later\r\n"},
        {"unknown result", AUTH_UNKNOWN, LOGIN,
         "454 4.7.0 Logins are not possible right now, please try again later\r\n"},
        {"not hers", MAY_NOT_SEND, LOGIN MAIL,
         "235 2.7.0 Welcome, alice@example.test\r\n"
         "553 5.7.1 <s@b.test> is not one of your addresses; you are alice@example.test\r\n"},
        {"nobody", HONEST, LOGIN "MAIL FROM:<>\r\n",
         "235 2.7.0 Welcome, alice@example.test\r\n"
         "553 5.7.1 <> is not one of your addresses; you are alice@example.test\r\n"},
        {"the reader fails", MAY_SEND_FAILS, LOGIN MAIL, "235 2.7.0 Welcome, alice@example.test\r\n" TEMPORARY},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        char input[2000], expected[2000];
        fixture_init(&f, "");
        f.lie = rows[i].lie;
        snprintf(input, sizeof input, HELLO "%s" QUIT, rows[i].input);
        snprintf(expected, sizeof expected, "%s221 2.0.0 mx.example.test says goodbye\r\n", rows[i].output);
        const char *output = behind(fixture_talk(&f, SERVICE_SUBMISSION, span_text(input)), "250 ENHANCED");
        if (strcmp(output, expected) != 0)
            fail_msg("%s: got\n%s", rows[i].name, output);
        fixture_release(&f);
    }
}

static unsigned count(const struct fixture *f, const char *text)
{
    unsigned n = 0;
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= f->body.size; i++)
        n += memcmp(f->body.data + i, text, size) == 0;
    return n;
}

/* Rows: `has` stands in the message once, `lacks` never. */
static void test_header(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool member;
        const char *mail, *recipients, *data, *has, *lacks, *protocol;
    } rows[] = {
        {"stranger", false, HELLO MAIL, ALICE, "Subject: x\r\n\r\nb\r\n",
         "Return-Path: <s@b.test>\r\nReceived: from client.test (unknown", "Date: ", "ESMTP"},
        {"one recipient", false, HELLO MAIL, ALICE, "Subject: x\r\n\r\nb\r\n", "for <alice@example.test>;",
         "Message-ID", "ESMTP"},
        {"two recipients", false, HELLO MAIL, ALICE BOB, "Subject: x\r\n\r\nb\r\n", "with ESMTP id t1;", "for <",
         "ESMTP"},
        {"twice the same", false, HELLO MAIL, ALICE ALICE, "Subject: x\r\n\r\nb\r\n", "with ESMTP id t1;", "for <",
         "ESMTP"},
        {"source route", false, HELLO MAIL, "RCPT TO:<@a.test,@b.test:alice@example.test>\r\n",
         "Subject: x\r\n\r\nb\r\n", "for <alice@example.test>;", "a.test", "ESMTP"},
        {"the null path", false, HELLO "MAIL FROM:<>\r\n", ALICE, "Subject: x\r\n\r\nb\r\n", "Return-Path: <>\r\n",
         "\"", "ESMTP"},
        {"quoted sender", false, HELLO "MAIL FROM:<\"a b\"@b.test>\r\n", ALICE, "Subject: x\r\n\r\nb\r\n",
         "Return-Path: <\"a b\"@b.test>\r\n", "Date: ", "ESMTP"},
        {"HELO", false, "HELO old.test\r\n" MAIL, ALICE, "Subject: x\r\n\r\nb\r\n", "from old.test", "ESMTP", "SMTP"},
        {"SMTPUTF8", false, HELLO "MAIL FROM:<s@b.test> SMTPUTF8\r\n", "RCPT TO:<\xc3\xa9@ex\xc3\xa4mple.test>\r\n",
         "Subject: \xc3\xa9\r\n\r\nb\r\n", "for <\xc3\xa9@ex\xc3\xa4mple.test>;", "Date: ", "UTF8SMTP"},
        {"no header", false, HELLO MAIL, ALICE, "just text\r\nmore\r\n", "+0000\r\n\r\njust text\r\nmore\r\n",
         "Date: ", "ESMTP"},
        {"a forged continuation", false, HELLO MAIL, ALICE, " by us; forged\r\nSubject: x\r\n\r\nb\r\n",
         "+0000\r\n\r\n by us; forged\r\n", "Date: ", "ESMTP"},
        {"empty line first", false, HELLO MAIL, ALICE, "\r\nb\r\n", "+0000\r\n\r\nb\r\n", "\r\n\r\n\r\n", "ESMTP"},
        {"dots", false, HELLO MAIL, ALICE, "Subject: x\r\n\r\n..\r\n...a\r\n", "\r\n\r\n.\r\n..a\r\n", "...", "ESMTP"},
        {"member", true, MAIL, ALICE, "Subject: x\r\n\r\nb\r\n", "\r\nDate: ", "forged", "ESMTPA"},
        {"member's id", true, MAIL, ALICE, "Subject: x\r\n\r\nb\r\n", "@mx.example.test>\r\nSubject: x\r\n\r\nb\r\n",
         "forged", "ESMTPA"},
        {"member's own date", true, MAIL, ALICE, "Subject: x\r\ndate : yesterday\r\n\r\nb\r\n", "\r\nMessage-ID: <",
         "Date: ", "ESMTPA"},
        {"member's own id", true, MAIL, ALICE, "MESSAGE-ID:\r\n <a@b>\r\n\r\nb\r\n", "\r\nDate: ", "Message-ID",
         "ESMTPA"},
        {"in the body they are none", true, MAIL, ALICE, "Subject: x\r\n\r\nMessage-ID: <a@b>\r\n",
         "\r\nDate: ", "forged", "ESMTPA"},
        {"member without a header", true, MAIL, ALICE, "text\r\n", "@mx.example.test>\r\n\r\ntext\r\n", "forged",
         "ESMTPA"},
        {"member, SMTPUTF8", true, "MAIL FROM:<s@b.test> SMTPUTF8\r\n", ALICE, "Subject: x\r\n\r\nb\r\n",
         "with UTF8SMTPA id", "forged", "UTF8SMTPA"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        char input[2000];
        fixture_init(&f, "");
        snprintf(input, sizeof input, "%s%s%sDATA\r\n%s.\r\n" QUIT, rows[i].member ? HELLO LOGIN : "", rows[i].mail,
                 rows[i].recipients, rows[i].data);
        const char *output = fixture_talk(&f, rows[i].member ? SERVICE_SUBMISSION : SERVICE_SMTP, span_text(input));
        if (f.deliveries != 1 || count(&f, rows[i].has) != 1 || count(&f, rows[i].lacks) != 0 ||
            strcmp(f.protocol, rows[i].protocol) != 0)
            fail_msg("%s: %u deliveries, %s, got\n%s\n%.*s", rows[i].name, f.deliveries, f.protocol, output,
                     (int)f.body.size, f.body.data);
        fixture_release(&f);
    }
}

/* The same whether the message travels in memory or in a spool file, and at every size around the boundary. */
static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        enum lie lie;
        size_t lines; /* of 100 octets */
        bool chunks, member, spooled, taken;
    } rows[] = {
        {HONEST, 5000, false, true, false, true},
        {HONEST, 5230, false, true, false, true},
        {HONEST, 5300, false, true, true, true},
        {HONEST, 5300, false, false, true, true},
        {HONEST, 30000, false, true, true, true},
        {HONEST, 30000, true, true, true, true},
        {SPOOL_FAILS, 5300, false, false, false, false},
        {SPOOL_WITHOUT_FD, 5300, true, false, false, false},
        {SPOOL_READ_ONLY, 5300, false, true, false, false},
        {STORE_DIES, 5300, true, true, false, false},
        {SPOOL_FAILS, 5000, false, false, false, true},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        struct buf body, input;
        fixture_init(&f, "");
        f.lie = rows[i].lie;
        buf_init(&body, 32u << 20);
        buf_init(&input, 64u << 20);
        buf_add_text(&body, "Subject: large\r\n\r\n");
        for (size_t n = 0; n < rows[i].lines; n++)
            buf_printf(&body, "%098zu\r\n", n);
        buf_add_text(&input, rows[i].member ? HELLO LOGIN MAIL ALICE : HELLO MAIL ALICE);
        for (struct span left = buf_span(&body); rows[i].chunks && left.size;) {
            struct span chunk = span_head(left, 70001);
            left = span_skip(left, chunk.size);
            buf_printf(&input, "BDAT %zu%s\r\n", chunk.size, left.size ? "" : " LAST");
            buf_add_span(&input, chunk);
        }
        if (!rows[i].chunks) {
            buf_add_text(&input, "DATA\r\n");
            buf_add_span(&input, buf_span(&body));
            buf_add_text(&input, ".\r\n");
        }
        buf_add_text(&input, "NOOP\r\n" QUIT);
        const char *output = fixture_talk(&f, rows[i].member ? SERVICE_SUBMISSION : SERVICE_SMTP, buf_span(&input));
        struct span got = buf_span(&f.body);
        if ((f.deliveries == 1) != rows[i].taken || f.was_spooled != rows[i].spooled ||
            (strstr(output, "2.0.0 Stored") != NULL) != rows[i].taken || !strstr(output, "250 2.0.0 Fine\r\n221 ") ||
            (!rows[i].taken && !strstr(output, "\r\n451 4.3.0 ")))
            fail_msg("row %zu: %u deliveries, spooled %d, got\n%s", i, f.deliveries, f.was_spooled, output);
        if (rows[i].taken) {
            assert_true(got.size > body.size);
            assert_true(span_equal(span_skip(got, got.size - body.size), buf_span(&body)));
            struct span before = span_head(got, got.size - body.size);
            assert_true(before.size < 600);
            assert_int_equal(count(&f, "\r\nDate: "), rows[i].member);
            assert_int_equal(count(&f, "\r\nMessage-ID: "), rows[i].member);
        }
        buf_release(&body);
        buf_release(&input);
        fixture_release(&f);
    }
}

/* A flood of chunks of one octet costs a reply each and nothing else. */
static void test_many_chunks(void **state)
{
    (void)state;
    struct fixture f;
    struct buf input;
    fixture_init(&f, "");
    buf_init(&input, 16u << 20);
    buf_add_text(&input, HELLO MAIL ALICE);
    for (size_t i = 0; i < 3 * 6667; i++)
        buf_add_text(&input, i % 3 == 0 ? "BDAT 1\r\na" : i % 3 == 1 ? "BDAT 1\r\n\r" : "BDAT 1\r\n\n");
    buf_add_text(&input, "BDAT 0 LAST\r\n" QUIT);
    const char *output = fixture_talk(&f, SERVICE_SMTP, buf_span(&input));
    assert_non_null(strstr(output, "250 2.0.0 Stored"));
    assert_int_equal(f.deliveries, 1);
    /* CRs and LFs that came in chunks of their own are CRLFs; the first stands behind the empty line that was missing.
     */
    assert_int_equal(count(&f, "\r\na"), 6667);
    buf_release(&input);
    fixture_release(&f);
}

/* Behind a chunk that was refused the next MAIL begins anew. */
static void test_chunks_after_a_refusal(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "");
    const char *output = behind(fixture_talk(&f, SERVICE_SMTP,
                                             span_text(HELLO MAIL ALICE "BDAT 3\r\na\nbBDAT 3 LAST\r\nabc" MAIL ALICE
                                                                        "BDAT 5 LAST\r\nhello" QUIT)),
                                "250 2.1.5");
    assert_string_equal(output, "550 5.6.11 The message has a CR or LF that is not part of a CRLF\r\n"
                                "503 5.5.1 An earlier chunk was refused; RSET, please\r\n"
                                "250 2.1.0 Sender fine\r\n250 2.1.5 Recipient fine\r\n250 2.0.0 Stored, ab\r\n"
                                "221 2.0.0 mx.example.test says goodbye\r\n");
    assert_int_equal(f.deliveries, 1);
    fixture_release(&f);
}

/* When the memory of a transaction runs out, a recipient is put off, never refused for good. */
static void test_memory(void **state)
{
    (void)state;
    struct fixture f;
    struct buf input;
    fixture_init(&f, "smtp.recipients=10000\n");
    buf_init(&input, 64u << 20);
    buf_add_text(&input, HELLO MAIL);
    for (unsigned i = 0; i < 5000; i++)
        buf_printf(&input, "RCPT TO:<%c%u@example.test>%3900s ORCPT=rfc822;a\r\n", 'a' + (int)(i % 26), i, "");
    buf_add_text(&input, DATA QUIT);
    const char *output = fixture_talk(&f, SERVICE_SMTP, buf_span(&input));
    assert_non_null(strstr(output, "\r\n452 4.5.3 Too many recipients"));
    assert_null(strstr(output, "\r\n5"));
    assert_null(strstr(output, "\r\n451"));
    assert_non_null(strstr(output, "250 2.0.0 Stored"));
    buf_release(&input);
    fixture_release(&f);
}

/* What is asked outside of transactions leaves nothing behind. */
static void test_vrfy(void **state)
{
    (void)state;
    struct fixture f;
    struct buf input;
    fixture_init(&f, "smtp.vrfy=true\n");
    buf_init(&input, 64u << 20);
    buf_add_text(&input, HELLO "VRFY \xc3\xa9@ex\xc3\xa4mple.test SMTPUTF8\r\n");
    f.lie = READ_MANY_TARGETS;
    for (unsigned i = 0; i < 300; i++)
        buf_add_text(&input, "VRFY alice@example.test\r\n");
    buf_add_text(&input, MAIL ALICE DATA QUIT);
    const char *output = behind(fixture_talk(&f, SERVICE_SMTP, buf_span(&input)), "250 ENHANCED");
    assert_memory_equal(output, "250 2.1.5 <\xc3\xa9@", 14);
    assert_null(strstr(output, "\r\n4"));
    assert_null(strstr(output, "\r\n5"));
    assert_int_equal(f.deliveries, 1);
    buf_release(&input);
    fixture_release(&f);
}

static void test_limits_keyword(void **state)
{
    (void)state;
    struct fixture f;
    fixture_init(&f, "smtp.transactions=100000000\nsmtp.recipients=10000\n");
    const char *output = fixture_talk(&f, SERVICE_SMTP, span_text(HELLO QUIT));
    assert_non_null(strstr(output, "\r\n250-LIMITS MAILMAX=999999 RCPTMAX=10000\r\n"));
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies),           cmocka_unit_test(test_member_lies),
        cmocka_unit_test(test_header),         cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_many_chunks),    cmocka_unit_test(test_chunks_after_a_refusal),
        cmocka_unit_test(test_memory),         cmocka_unit_test(test_vrfy),
        cmocka_unit_test(test_limits_keyword),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
