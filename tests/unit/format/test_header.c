#include "format/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
    struct span input;
    /* Each field as "name|value-on-one-line|lines\n", then "body:" and what is left. */
    const char *expected;
};

static const struct row rows[] = {
    {SPAN(""), "body:"},
    {SPAN("\r\n"), "body:"},
    {SPAN("\n"), "body:"},
    {SPAN("\nA: b\n"), "body:A: b\n"},
    {SPAN("A: b"), "A|b|0\nbody:"},
    {SPAN("A: b\r\n"), "A|b|1\nbody:"},
    {SPAN("A: b\r\n\r\nbody"), "A|b|1\nbody:body"},
    {SPAN("A: b\n\nbody"), "A|b|1\nbody:body"},
    {SPAN("A: b\n\r\nbody"), "A|b|1\nbody:body"},
    {SPAN("A: b\r\n\nbody"), "A|b|1\nbody:body"},
    {SPAN("Subject: a\r\n b\r\n\tc\r\n\r\nx"), "Subject|a b\tc|3\nbody:x"},
    {SPAN("Subject:\r\n b\r\nTo:\r\n\r\n"), "Subject|b|2\nTo||1\nbody:"},
    {SPAN("A: b\r\n \r\nB: c\r\n"), "A|b|2\nB|c|1\nbody:"}, /* a blank line of white space is an obsolete fold */
    {SPAN("A : b\r\nB\t: c\r\n"), "A|b|1\nB|c|1\nbody:"},
    {SPAN("From a@b Tue Jan 12 10:20:30 2021\r\nA: b\r\n"), "|From a@b Tue Jan 12 10:20:30 2021|1\nA|b|1\nbody:"},
    {SPAN("no colon here\r\nA: b\r\n"), "|no colon here|1\nA|b|1\nbody:"},
    {SPAN(" starts with a fold\r\nA: b\r\n"), "|starts with a fold|1\nA|b|1\nbody:"},
    {SPAN(": no name\r\n"), "|: no name|1\nbody:"},
    {SPAN("N\xC3\xA4me: x\r\n"), "|N\xC3\xA4me: x|1\nbody:"},
    {SPAN("A: b:c: d\r\n"), "A|b:c: d|1\nbody:"},
    {SPAN("A: b\rc\r\n\r\n"), "A|bc|1\nbody:"}, /* a bare CR ends no line */
    {SPAN("A: b\0c\r\n\r\n"), "A|bc|1\nbody:"},
    {SPAN("A: b\r\n\r"), "A|b|1\n||0\nbody:"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct span rest = rows[i].input;
        struct header_field field;
        struct buf out;
        size_t passed = 0;
        buf_init(&out, 1000);
        while (header_next(&rest, &field)) {
            assert_ptr_equal(field.raw.data, rows[i].input.data + passed);
            passed += field.raw.size;
            buf_add_span(&out, field.name);
            buf_add_char(&out, '|');
            header_unfold(field.value, &out);
            buf_printf(&out, "|%zu\n", field.lines);
        }
        buf_add_text(&out, "body:");
        buf_add_span(&out, rest);
        buf_add_char(&out, 0);
        assert_false(buf_failed(&out));
        assert_string_equal(out.data, rows[i].expected);
        buf_release(&out);
    }
}

static void test_find(void **state)
{
    (void)state;
    struct span header = SPAN("To: a\r\nsubject: first\r\nSubject: second\r\n\r\nX-Body: no\r\n");
    struct header_field field;
    assert_true(header_find(header, (struct span)SPAN("SUBJECT"), &field));
    assert_true(span_is(span_trim(field.value), "first"));
    assert_false(header_find(header, (struct span)SPAN("X-Body"), &field));
    assert_false(header_find(header, (struct span)SPAN(""), &field));
}

static void test_text_copies_only_folds(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100);
    struct span plain = SPAN("  plain words ");
    struct span text = header_text(plain, &arena);
    assert_true(span_is(text, "plain words"));
    assert_ptr_equal(text.data, plain.data + 2);
    assert_int_equal(arena.used, 0);
    assert_true(span_is(header_text((struct span)SPAN(" a\r\n\tb \r\n "), &arena), "a\tb"));
    assert_true(arena.used > 0);
    assert_int_equal(header_text((struct span)SPAN(" \t "), &arena).size, 0);
    assert_null(header_text((struct span)SPAN("a\n"
                                              "                                                      "
                                              "                                                               b"),
                            &arena)
                    .data);
    arena_release(&arena);
}

/* Would take hours if a field cost more than its bytes. */
static void test_half_a_million_lines(void **state)
{
    (void)state;
    static const char line[] = "X-Line: value\r\n", fold[] = " folded\r\n";
    size_t n = 500000, size = n * (sizeof line - 1 + sizeof fold - 1);
    char *header = malloc(size), *to = header;
    assert_non_null(header);
    for (size_t i = 0; i < n; i++)
        to = mempcpy(to, line, sizeof line - 1);
    for (size_t i = 0; i < n; i++)
        to = mempcpy(to, fold, sizeof fold - 1);
    struct span rest = {header, size};
    struct header_field field;
    size_t fields = 0, lines = 0;
    while (header_next(&rest, &field)) {
        fields++;
        lines += field.lines;
    }
    assert_int_equal(fields, n);
    assert_int_equal(lines, 2 * n);
    assert_false(header_find(span_from(header, size), (struct span)SPAN("Subject"), &field));
    free(header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_text_copies_only_folds),
        cmocka_unit_test(test_half_a_million_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
