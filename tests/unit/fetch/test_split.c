#include "fetch/split.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *header, *fields, *wanted;
} rows[] = {
    {"Delivered-To: bob@example.org\r\nTo: carol@example.org\r\n\r\n", "", "bob@example.org"},
    {"Delivered-To: bob@elsewhere.example\r\nTo: carol@example.org\r\n\r\n", "", "carol@example.org"},
    /* The topmost counts: what stands below belongs to an earlier delivery. */
    {"Delivered-To: bob@example.org\r\nDelivered-To: carol@example.org\r\n\r\n", "", "bob@example.org"},
    {"X-Original-To: <Bob@Example.ORG>\r\n\r\n", "", "Bob@example.org"},
    {"Envelope-To: bob@example.org, carol@example.org\r\n\r\n", "", "bob@example.org carol@example.org"},
    {"Received: from a by b with SMTP for <bob@example.org>; x\r\nTo: carol@example.org\r\n\r\n", "",
     "bob@example.org"},
    {"To: bob@example.org, x@y.example\r\nCc: \"C\" <carol@example.org>, bob@example.org\r\n\r\n", "",
     "bob@example.org carol@example.org"},
    {"To: bob@example.org\r\nDelivered-To: carol@example.org\r\n\r\n", "to", "bob@example.org"},
    {"X-Mine: dora@example.org\r\nTo: bob@example.org\r\n\r\n", "x-mine to", "dora@example.org"},
    {"To: bob@sub.example.org, bob@badexample.org\r\n\r\n", "", ""},
    {"Subject: none\r\n\r\nTo: bob@example.org\r\n", "", ""},
    {"", "", ""},
};

static void recipients_are_found(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span addresses[SPLIT_MAX];
        struct arena arena;
        struct buf found;
        arena_init(&arena, 1u << 20);
        buf_init(&found, 4096);
        size_t count = split_find(span_text(rows[i].header), span_text(rows[i].fields),
                                  (struct span)SPAN("example.org"), &arena, addresses);
        for (size_t j = 0; j < count; j++) {
            buf_add_text(&found, j ? " " : "");
            buf_add_span(&found, addresses[j]);
        }
        buf_add_char(&found, 0);
        assert_string_equal(found.data, rows[i].wanted);
        buf_release(&found);
        arena_release(&arena);
    }
}

static void one_message_names_a_bounded_number(void **state)
{
    struct span addresses[SPLIT_MAX];
    struct arena arena;
    struct buf header;
    arena_init(&arena, 4u << 20);
    buf_init(&header, 1u << 20);
    buf_add_text(&header, "To: ");
    for (int i = 0; i < 1000; i++)
        buf_printf(&header, "p%d@example.org,\r\n ", i);
    buf_add_text(&header, "q@example.org\r\n\r\n");
    assert_int_equal(
        split_find(buf_span(&header), (struct span){0}, (struct span)SPAN("example.org"), &arena, addresses),
        SPLIT_MAX);
    buf_release(&header);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipients_are_found),
        cmocka_unit_test(one_message_names_a_bounded_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
