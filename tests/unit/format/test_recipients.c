#include "format/recipients.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *header, *expected; /* one line an address; a wrong one with its problem */
} rows[] = {
    {"", ""},
    {"Subject: nobody\r\n\r\nTo: body@x.test\r\n", ""},
    {"To: a@x.test\r\nCc: B <b@x.test>, c@x.test\r\nBcc: d@x.test\r\n\r\n", "a@x.test b@x.test c@x.test d@x.test "},
    {"to: A@x.test, a@X.TEST\r\nTo: a@x.test\r\n\r\n", "A@x.test "},
    {"To: friends: a@x.test, b@x.test;, c@x.test\r\n\r\n", "a@x.test b@x.test c@x.test "},
    {"To: undisclosed recipients:;\r\nBcc: a@x.test\r\n\r\n", "a@x.test "},
    {"To: bob\r\n\r\n", "bob@home.test "},
    {"To: =?utf-8?q?Gr=C3=BC?= <a@x.test>,\r\n \"Last, First\" <b@x.test>\r\n\r\n", "a@x.test b@x.test "},
    {"To: a@[192.0.2.1], \"x y\"@z.test\r\n\r\n", "a@[192.0.2.1] \"x y\"@z.test "},
    {"To: a@under_score.test, b@-bad-.test, c@x.test\r\n\r\n", "a@under_score.test b@-bad-.test! c@x.test "},
    {"To: @x.test\r\n\r\n", "\"\"@x.test! "},
    /* Resent: only the topmost block. */
    {"Resent-From: m@x.test\r\nResent-To: new@x.test\r\nResent-Bcc: blind@x.test\r\nTo: old@x.test\r\n\r\n",
     "new@x.test blind@x.test "},
    {"Resent-From: n@x.test\r\nResent-To: second@x.test\r\nResent-From: m@x.test\r\nResent-To: first@x.test\r\n"
     "To: old@x.test\r\n\r\n",
     "second@x.test "},
    {"Resent-From: m@x.test\r\nTo: a@x.test\r\n\r\n", "a@x.test "},
};

static void write_found(const struct header_recipients *found, struct buf *out)
{
    for (const struct header_recipient *r = found->first; r; r = r->next) {
        buf_add_span(out, r->text);
        buf_add_text(out, r->problem ? "! " : " ");
    }
    buf_add_char(out, '\0');
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct header_recipients found;
        struct buf text;
        arena_init(&arena, 1 << 20);
        buf_init(&text, 4096);
        header_recipients_find(span_text(rows[i].header), span_text("home.test"), &arena, &found);
        write_found(&found, &text);
        assert_string_equal(text.data, rows[i].expected);
        assert_false(found.is_incomplete);
        buf_release(&text);
        arena_release(&arena);
    }
}

static void test_no_default_domain(void **state)
{
    (void)state;
    struct arena arena;
    struct header_recipients found;
    arena_init(&arena, 1 << 20);
    header_recipients_find(span_text("To: bob, a@x.test\r\n\r\n"), (struct span){NULL, 0}, &arena, &found);
    assert_int_equal(found.count, 2);
    assert_non_null(found.first->problem);
    assert_null(found.last->problem);
    arena_release(&arena);
}

static void test_too_many(void **state)
{
    (void)state;
    struct arena arena;
    struct header_recipients found;
    struct buf header;
    buf_init(&header, 4 << 20);
    for (unsigned field = 0; field < 11; field++) {
        buf_add_text(&header, "To: ");
        for (unsigned i = 0; i < 1000; i++)
            buf_printf(&header, "u%u@x.test,", field * 1000 + i);
        buf_add_text(&header, "\r\n");
    }
    arena_init(&arena, 64 << 20);
    header_recipients_find(buf_span(&header), (struct span){NULL, 0}, &arena, &found);
    assert_int_equal(found.count, HEADER_RECIPIENTS_MAX);
    assert_true(found.is_incomplete);
    arena_release(&arena);
    arena_init(&arena, 4096);
    header_recipients_find(buf_span(&header), (struct span){NULL, 0}, &arena, &found);
    assert_true(found.is_incomplete && !found.out_of_memory);
    /* Another time there may be memory. */
    arena_reset(&arena);
    arena.is_starved = true;
    header_recipients_find(span_text("To: a@x.test\r\n"), (struct span){NULL, 0}, &arena, &found);
    assert_true(found.out_of_memory);
    arena_release(&arena);
    buf_release(&header);
}

static void test_bcc_is_removed(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"To: a@x\r\nBcc: b@x,\r\n c@x\r\nSubject: s\r\n\r\nBcc: body\r\n",
         "To: a@x\r\nSubject: s\r\n\r\nBcc: body\r\n"},
        {"BCC : b@x\r\nResent-Bcc: c@x\r\n\r\nbody", "\r\nbody"},
        {"Bcc: b@x\r\n", ""},
        {"X-Bcc: b@x\r\n\r\n", "X-Bcc: b@x\r\n\r\n"},
        {"Bcc: b@x", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size = strlen(cases[i].before);
        char *message = malloc(size + 1);
        memcpy(message, cases[i].before, size);
        size = header_remove_bcc(message, size);
        assert_int_equal(size, strlen(cases[i].after));
        assert_memory_equal(message, cases[i].after, size);
        free(message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_no_default_domain),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_bcc_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
