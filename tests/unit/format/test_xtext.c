#include "format/xtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
    struct span text, bytes;
    bool valid;
    struct span written; /* what writing the bytes gives */
} rows[] = {
    {SPAN(""), SPAN(""), true, SPAN("")},
    {SPAN("plain@example.org"), SPAN("plain@example.org"), true, SPAN("plain@example.org")},
    {SPAN("a+2Bb+3Dc"), SPAN("a+b=c"), true, SPAN("a+2Bb+3Dc")},
    {SPAN("+2b+3d"), SPAN("+="), true, SPAN("+2B+3D")},
    {SPAN("+00+0D+0A+FF+20"), SPAN("\0\r\n\xff "), true, SPAN("+00+0D+0A+FF+20")},
    {SPAN("+41"), SPAN("A"), true, SPAN("A")},
    {SPAN("a=b"), SPAN(""), false, SPAN("")},
    {SPAN("a b"), SPAN(""), false, SPAN("")},
    {SPAN("a\tb"), SPAN(""), false, SPAN("")},
    {SPAN("a\0b"), SPAN(""), false, SPAN("")},
    {SPAN("a\x7f"), SPAN(""), false, SPAN("")},
    {SPAN("\xc3\xa9"), SPAN(""), false, SPAN("")},
    {SPAN("+"), SPAN(""), false, SPAN("")},
    {SPAN("a+2"), SPAN(""), false, SPAN("")},
    {SPAN("+2G"), SPAN(""), false, SPAN("")},
    {SPAN("+G2"), SPAN(""), false, SPAN("")},
    {SPAN("++2B"), SPAN(""), false, SPAN("")},
};

static void each_row(void **state)
{
    struct arena arena;
    struct buf out;

    (void)state;
    arena_init(&arena, 4096);
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct span bytes = {NULL, 0};
        assert_int_equal(xtext_is_valid(rows[i].text), rows[i].valid);
        assert_int_equal(xtext_parse(rows[i].text, &arena, &bytes), rows[i].valid);
        if (!rows[i].valid)
            continue;
        assert_true(span_equal(bytes, rows[i].bytes));
        buf_reset(&out);
        xtext_write(bytes, &out);
        assert_true(span_equal(buf_span(&out), rows[i].written));
    }
    buf_release(&out);
    arena_release(&arena);
}

static void a_full_arena_is_no_crash(void **state)
{
    struct arena arena;
    struct span bytes;

    (void)state;
    arena_init(&arena, 0);
    assert_false(xtext_parse(span_text("+41"), &arena, &bytes));
    assert_true(xtext_parse(span_text("A"), &arena, &bytes));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
        cmocka_unit_test(a_full_arena_is_no_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
