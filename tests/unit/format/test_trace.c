#include "format/trace.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define NOW (1795304498 * NANOSECONDS)
#define DATE "Sat, 21 Nov 2026 23:41:38 +0000"
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X250 X50 X50 X50 X50 X50

static const struct {
    struct span helo, ptr;
    const char *ip;
    struct span protocol, tls_version, tls_cipher, recipient;
    const char *out;
} rows[] = {
    {SPAN("mx.example.org"), SPAN("mx.example.org"), "192.0.2.1", SPAN("ESMTP"), SPAN(""), SPAN(""),
     SPAN("bob@example.test"),
     "Received: from mx.example.org (mx.example.org [192.0.2.1]) by\r\n"
     "\tmail.example.test (Ostiary) with ESMTP id 4f2a-17 for <bob@example.test>;\r\n"
     "\t" DATE "\r\n"},
    {SPAN("[IPv6:2001:db8::1]"), SPAN(""), "2001:db8::1", SPAN("ESMTPS"), SPAN("TLSv1.3"),
     SPAN("TLS_AES_256_GCM_SHA384"), SPAN(""),
     "Received: from [IPv6:2001:db8::1] (unknown [IPv6:2001:db8::1]) by\r\n"
     "\tmail.example.test (Ostiary) with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384) id\r\n"
     "\t4f2a-17; " DATE "\r\n"},
    /* A peer that tries to end the line, to write a hop of its own, to open a comment. */
    {SPAN("a\r\nReceived: from b (c [192.0.2.9])\0\xff\"\\"), SPAN("evil (x)"), "192.0.2.1", SPAN("SMTP"), SPAN(""),
     SPAN(""), SPAN("a\r\nX: y@z\x7f"),
     "Received: from a??Received:?from?b??c?[192.0.2.9]????? (evil??x? [192.0.2.1])\r\n"
     "\tby mail.example.test (Ostiary) with SMTP id 4f2a-17 for <a??X: y@z?>;\r\n"
     "\t" DATE "\r\n"},
    {SPAN(""), SPAN(""), "192.0.2.1", SPAN("SMTP"), SPAN(""), SPAN(""), SPAN("\"a b\"@x"),
     "Received: from unknown (unknown [192.0.2.1]) by mail.example.test (Ostiary)\r\n"
     "\twith SMTP id 4f2a-17 for <\"a b\"@x>; " DATE "\r\n"},
    {SPAN(X250 "xxxxxyyyyy"), SPAN(""), "192.0.2.1", SPAN("SMTP"), SPAN(""), SPAN(""), SPAN(""),
     "Received: from\r\n"
     "\t" X250 "xxxxx\r\n"
     "\t(unknown [192.0.2.1]) by mail.example.test (Ostiary) with SMTP id 4f2a-17;\r\n"
     "\t" DATE "\r\n"},
};

static void received_fields(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct trace_received received = {
            .helo = rows[i].helo,
            .ptr = rows[i].ptr,
            .host = SPAN("mail.example.test"),
            .protocol = rows[i].protocol,
            .tls_version = rows[i].tls_version,
            .tls_cipher = rows[i].tls_cipher,
            .id = SPAN("4f2a-17"),
            .recipient = rows[i].recipient,
            .wall_nanoseconds = NOW,
        };
        assert_true(ip_address_parse(span_text(rows[i].ip), &received.ip));
        buf_reset(&out);
        trace_received_write(&received, &out);
        buf_add_char(&out, 0);
        assert_false(buf_failed(&out));
        assert_string_equal(out.data, rows[i].out);
    }
    buf_release(&out);
}

static void an_overlong_recipient_fails(void **state)
{
    struct trace_received received = {.recipient = SPAN(X250 X250 X50)};
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    trace_received_write(&received, &out);
    assert_true(buf_failed(&out));
    buf_release(&out);
}

static void return_paths(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    trace_return_path_write(span_text("a@b"), &out);
    trace_return_path_write(span_text(""), &out);
    trace_return_path_write(span_text("a\r\nb\x7f@c"), &out);
    assert_true(span_is(buf_span(&out), "Return-Path: <a@b>\r\nReturn-Path: <>\r\nReturn-Path: <a??b?@c>\r\n"));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(received_fields),
        cmocka_unit_test(an_overlong_recipient_fails),
        cmocka_unit_test(return_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
