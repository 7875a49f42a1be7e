#include "format/received.h"

#include "format/header.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *value, *helo, *ptr, *ip, *by, *with, *recipient;
} lines[] = {
    /* Postfix */
    {"from helo.example (ptr.example [192.0.2.1])\r\n\tby mx.example.net (Postfix) with ESMTPS id 4F2A\r\n\tfor "
     "<bob@example.net>; Sat, 21 Nov 2026 10:00:00 +0000 (UTC)",
     "helo.example", "ptr.example", "192.0.2.1", "mx.example.net", "ESMTPS", "bob@example.net"},
    {"from helo (unknown [192.0.2.1]) by mx.example.net (Postfix) with SMTP id X; date", "helo", "", "192.0.2.1",
     "mx.example.net", "SMTP", ""},
    {"from [10.1.2.3] (unknown [IPv6:2001:db8::7]) by mx.example.net with ESMTPSA", "[10.1.2.3]", "", "2001:db8::7",
     "mx.example.net", "ESMTPSA", ""},
    /* Sendmail */
    {"from helo.example (root@ptr.example [192.0.2.9] (may be forged)) by mx.example.net (8.14/8.14) with ESMTP id u1; "
     "x",
     "helo.example", "", "192.0.2.9", "mx.example.net", "ESMTP", ""},
    {"from helo.example (ident@ptr.example [192.0.2.9]) by mx.example.net", "helo.example", "ptr.example", "192.0.2.9",
     "mx.example.net", "", ""},
    /* Exim */
    {"from ptr.example ([192.0.2.5] helo=helo.example) by mx.example.net with esmtps (TLS1.3:X:256) (Exim 4.96) "
     "(envelope-from <a@b.example>) id 1a-2b for bob@example.net; x",
     "helo.example", "ptr.example", "192.0.2.5", "mx.example.net", "esmtps", "bob@example.net"},
    {"from [192.0.2.5] (helo=helo.example) by mx.example.net with smtp (Exim 4.96) id 1", "helo.example", "",
     "192.0.2.5", "mx.example.net", "smtp", ""},
    {"from ptr.example ([192.0.2.5]:4711 helo=[192.0.2.5]) by mx.example.net", "[192.0.2.5]", "ptr.example",
     "192.0.2.5", "mx.example.net", "", ""},
    /* qmail */
    {"from unknown (HELO helo.example) (192.0.2.6) by mx.example.net with SMTP; 21 Nov 2026", "helo.example", "",
     "192.0.2.6", "mx.example.net", "SMTP", ""},
    {"from ptr.example (EHLO helo.example) (192.0.2.6) by mx.example.net", "helo.example", "ptr.example", "192.0.2.6",
     "mx.example.net", "", ""},
    /* Gmail, Exchange, our own */
    {"from mail.b.example (mail.b.example. [192.0.2.8])\n by mx.google.com with ESMTPS id a1 for <bob@gmail.com> "
     "(version=TLS1_3 cipher=X bits=256/256); x",
     "mail.b.example", "mail.b.example", "192.0.2.8", "mx.google.com", "ESMTPS", "bob@gmail.com"},
    {"by 2002:a05:6402:2281:b0:55f with SMTP id c1; x", "", "", "", "2002:a05:6402:2281:b0:55f", "SMTP", ""},
    {"from HOST.example (192.0.2.4) by EX1.example.net (2001:db8::1) with Microsoft SMTP Server id 15.1 via Frontend; "
     "x",
     "HOST.example", "", "192.0.2.4", "EX1.example.net", "Microsoft", ""},
    {"from a (b.example [192.0.2.4]) by mx (Ostiary) with ESMTPS (TLSv1.3 X) id 1-2 for <c@d>; x", "a", "b.example",
     "192.0.2.4", "mx", "ESMTPS", "c@d"},
    /* fetchmail, and gateways of old */
    {"from mail.example [192.0.2.3] by localhost with POP3 (fetchmail-6.4) for bob@localhost (single-drop); x",
     "mail.example", "", "192.0.2.3", "localhost", "POP3", "bob@localhost"},
    {"from helo [10.0.0.1] (ptr.example [192.0.2.1]) by mx.example.net with ESMTP", "helo", "ptr.example", "192.0.2.1",
     "mx.example.net", "ESMTP", ""},
    /* Hostile: what a client says can't make itself a name by DNS or another clause. */
    {"from by (unknown [192.0.2.1]) by mx.example.net with SMTP", "by", "", "192.0.2.1", "mx.example.net", "SMTP", ""},
    {"from \"x by evil.example\" (unknown [192.0.2.1]) by mx.example.net", "\"x by evil.example\"", "", "192.0.2.1",
     "mx.example.net", "", ""},
    {"from a ((((nested)) [192.0.2.1]) by mx", "a", "", "192.0.2.1", "", "", ""},
};

static void lines_are_read(void **state)
{
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct arena arena;
        struct received r;
        char text[IP_ADDRESS_TEXT_MAX + 1] = "";
        arena_init(&arena, 65536);
        assert_true(received_parse(span_text(lines[i].value), &arena, &r));
        if (r.has_ip) {
            struct buf ip;
            buf_init(&ip, sizeof text);
            ip_address_write(&r.ip, &ip);
            memcpy(text, ip.data, ip.size);
            buf_release(&ip);
        }
        const char *found[] = {arena_text(&arena, r.helo), arena_text(&arena, r.ptr),  text,
                               arena_text(&arena, r.by),   arena_text(&arena, r.with), arena_text(&arena, r.recipient)};
        const char *wanted[] = {lines[i].helo, lines[i].ptr,  lines[i].ip,
                                lines[i].by,   lines[i].with, lines[i].recipient};
        for (size_t j = 0; j < 6; j++)
            assert_string_equal(found[j], wanted[j]);
        arena_release(&arena);
    }
}

static void what_is_no_line_is_refused(void **state)
{
    const struct span bad[] = {SPAN(""),          SPAN("   "),           SPAN("; Sat"), SPAN("(comment only)"),
                               SPAN("with SMTP"), SPAN("(from a by b)"), SPAN("noise")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena arena;
        struct received r;
        arena_init(&arena, 65536);
        assert_false(received_parse(bad[i], &arena, &r));
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(what_is_no_line_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
