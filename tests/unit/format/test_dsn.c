#include "format/dsn.h"

#include "base/clock.h"
#include "format/mime.h"
#include "format/summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW (1700000000 * NANOSECONDS)

static const struct span message = SPAN("Received: from a by b\r\nSubject: Lunch?\r\nMessage-ID: <1@example.org>\r\n"
                                        "Date: Tue, 14 Nov 2023 22:00:00 +0000\r\n\r\nAt one.\r\n");

static struct dsn_recipient refused(void)
{
    return (struct dsn_recipient){.action = DSN_FAILED,
                                  .original = span_text("Bob@example.net"),
                                  .final = span_text("bob@example.net"),
                                  .orcpt = span_text("rfc822;Bob+2Bx@example.net"),
                                  .status = span_text("5.1.1"),
                                  .remote = span_text("mx.example.net"),
                                  .diagnostic = span_text("550 5.1.1 No such user"),
                                  .why = "There is nobody of this name.",
                                  .last_attempt = NOW};
}

static struct dsn plain(const struct dsn_recipient *recipients, size_t count)
{
    return (struct dsn){.host = span_text("mail.example.org"),
                        .to = span_text("alice@example.org"),
                        .reference = span_text("1a2b"),
                        .envid = span_text("QQ+2B1"),
                        .unique = span_text("0123abcd"),
                        .arrived_at = NOW - 10 * NANOSECONDS,
                        .now = NOW,
                        .message = message,
                        .recipients = recipients,
                        .count = count};
}

static char *written(const struct dsn *dsn)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    dsn_write(dsn, &out);
    buf_add_char(&out, 0);
    assert_false(buf_failed(&out));
    return out.data;
}

/* It is what mail clients take apart: three parts of the right types. */
static void check_structure(const char *text, const char *second, const char *third)
{
    struct arena arena;
    struct buf bytes;
    struct summary summary;
    arena_init(&arena, SUMMARY_ARENA_MAX);
    buf_init(&bytes, SUMMARY_SIZE_MAX);
    assert_int_equal(summary_make(span_text(text), &arena, &bytes), 0);
    assert_true(summary_parse(buf_span(&bytes), &arena, &summary));
    struct buf structure;
    buf_init(&structure, 10000);
    summary_write_bodystructure(&summary, true, &structure);
    buf_add_char(&structure, 0);
    assert_non_null(strstr(structure.data, "\"report\""));
    const char *one = strstr(structure.data, "\"text\" \"plain\""), *two = strstr(structure.data, second),
               *three = strstr(structure.data, third);
    if (!one || !two || !three)
        print_error("%s\n%s\n", structure.data, text);
    assert_true(one && two && three && one < two && two < three);
    buf_release(&structure);
    buf_release(&bytes);
    arena_release(&arena);
}

static void has(const char *text, const char *piece)
{
    if (!strstr(text, piece))
        print_error("missing: %s\nin:\n%s\n", piece, text);
    assert_non_null(strstr(text, piece));
}

static void a_failure(void **state)
{
    struct dsn_recipient r = refused();
    struct dsn dsn = plain(&r, 1);
    char *text = written(&dsn);
    check_structure(text, "\"delivery-status\"", "\"rfc822-headers\"");
    has(text, "From: Mail delivery <MAILER-DAEMON@mail.example.org>\r\n");
    has(text, "To: <alice@example.org>\r\n");
    has(text, "Auto-Submitted: auto-replied\r\n");
    has(text, "In-Reply-To: <1@example.org>\r\nReferences: <1@example.org>\r\n");
    has(text, "Original-Envelope-Id: QQ+1\r\nReporting-MTA: dns; mail.example.org\r\n"
              "Arrival-Date: Tue, 14 Nov 2023 22:13:10 +0000\r\n\r\n"
              "Original-Recipient: rfc822; Bob+x@example.net\r\n"
              "Final-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
              "Remote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
              "Last-Attempt-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n");
    has(text, "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n\r\nReceived: from a by b\r\n");
    has(text, "could not be delivered to");
    has(text, "The server mx.example.net said: 550 5.1.1 No such user");
    has(text, "reference for the message is 1a2b");
    assert_null(strstr(text, "At one."));
    free(text);
    dsn.is_whole = true;
    text = written(&dsn);
    check_structure(text, "\"delivery-status\"", "\"message\" \"rfc822\"");
    has(text, "At one.\r\n\r\n--report-0123abcd--\r\n");
    free(text);
}

static void hostile_words(void **state)
{
    struct dsn_recipient r = refused();
    r.remote = span_text("mx\r\nX-Evil: 1");
    r.diagnostic = span_text("550 \r\n\r\n--report-0123abcd\r\nContent-Type: text/html\xff");
    r.final = span_text("a\r\nAction: delivered@x");
    r.orcpt = span_text("rfc822;a+0D+0AAction:+20delivered");
    r.status = span_text("5.1.1\r\nX: y");
    struct dsn dsn = plain(&r, 1);
    dsn.envid = span_text("+0D+0AX-Evil:+201");
    dsn.message = span_from("Subject: =?utf-8?q?a=0D=0AX-Evil:_1?=\r\nMessage-ID: <a\xff>\r\n\r\n", 61);
    char *text = written(&dsn);
    assert_null(strstr(text, "\nX-Evil"));
    assert_null(strstr(text, "\nAction: delivered"));
    assert_null(strstr(text, "\nX: y"));
    size_t boundaries = 0;
    for (const char *at = text; (at = strstr(at, "\n--report-0123abcd")); at++)
        boundaries++;
    assert_int_equal(boundaries, 4);
    free(text);
}

static void long_replies_are_folded(void **state)
{
    char reply[1200];
    memset(reply, 'x', sizeof reply);
    for (size_t i = 9; i < sizeof reply; i += 10)
        reply[i] = ' ';
    struct dsn_recipient r = refused();
    r.diagnostic = span_from(reply, sizeof reply);
    struct dsn dsn = plain(&r, 1);
    char *text = written(&dsn);
    for (const char *line = text, *end; (end = strstr(line, "\r\n")); line = end + 2)
        assert_true(end - line <= 100);
    free(text);
}

static void several_of_several_kinds(void **state)
{
    struct dsn_recipient r[3] = {refused(), refused(), refused()};
    r[1].action = DSN_DELAYED;
    r[1].retry_until = NOW + 100 * NANOSECONDS;
    r[2].action = DSN_RELAYED;
    struct dsn dsn = plain(r, 3);
    char *text = written(&dsn);
    has(text, "Subject: Your message could not be delivered\r\n");
    has(text, "Will-Retry-Until: Tue, 14 Nov 2023 22:15:00 +0000\r\n");
    has(text, "Action: delayed\r\n");
    has(text, "Action: relayed\r\n");
    has(text, "has not been delivered yet");
    has(text, "does not confirm deliveries");
    free(text);
}

static void international(void **state)
{
    struct dsn_recipient r = refused();
    r.final = span_text("j\xc3\xb6rg@example.net");
    r.orcpt = (struct span){0};
    struct dsn dsn = plain(&r, 1);
    char *text = written(&dsn);
    has(text, "Final-Recipient: utf-8; j\\x{F6}rg@example.net\r\n");
    has(text, "charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n");
    for (const char *at = text; *at; at++)
        assert_true((unsigned char)*at < 128);
    free(text);
    dsn.smtputf8 = true;
    text = written(&dsn);
    check_structure(text, "\"global-delivery-status\"", "\"global-headers\"");
    has(text, "Final-Recipient: utf-8; j\xc3\xb6rg@example.net\r\n");
    free(text);
    dsn.is_whole = true;
    text = written(&dsn);
    has(text, "Content-Type: message/global\r\n");
    free(text);
}

static void a_large_message_comes_as_its_header(void **state)
{
    size_t size = DSN_RETURN_MAX + 1000;
    char *large = malloc(size);
    memset(large, 'x', size);
    memcpy(large, "Subject: a\r\nX: ", 15);
    struct dsn_recipient r = refused();
    struct dsn dsn = plain(&r, 1);
    dsn.message = span_from(large, size);
    dsn.is_whole = true;
    char *text = written(&dsn);
    has(text, "text/rfc822-headers\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: a\r\n\r\n--report");
    assert_true(strlen(text) < 10000);
    free(text);
    dsn.message = (struct span){0};
    text = written(&dsn);
    check_structure(text, "\"delivery-status\"", "\"rfc822-headers\"");
    free(text);
    free(large);
}

/* The caller brings the message: what is before and behind it makes one whole. */
static void to_whom_it_was_for(void **state)
{
    struct dsn_recipient r = refused();
    struct dsn dsn = plain(&r, 1);
    struct buf out;
    dsn.is_followed = dsn.is_for_recipient = dsn.eight_bit = true;
    buf_init(&out, 1u << 20);
    dsn_write(&dsn, &out);
    assert_true(
        span_ends_nocase(buf_span(&out), span_text("message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")));
    buf_add_text(&out, "Subject: whole\r\n\r\nGr\xc3\xbc\xc3\x9f"
                       "e\r\n");
    dsn_end_write(&dsn, &out);
    buf_add_char(&out, 0);
    check_structure(out.data, "\"delivery-status\"", "\"rfc822\"");
    has(out.data, "Subject: A message to you could not be sent on\r\n");
    has(out.data, "MIME-Version: 1.0\r\n");
    has(out.data, "boundary=\"report-0123abcd\"\r\nContent-Transfer-Encoding: 8bit\r\n");
    assert_null(strstr(out.data, "Your message"));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure),
        cmocka_unit_test(hostile_words),
        cmocka_unit_test(long_replies_are_folded),
        cmocka_unit_test(several_of_several_kinds),
        cmocka_unit_test(international),
        cmocka_unit_test(a_large_message_comes_as_its_header),
        cmocka_unit_test(to_whom_it_was_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
