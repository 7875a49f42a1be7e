#include "format/content_type.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
    struct span input;
    const char *expected; /* "type/subtype" and "|name=value" for each; NULL when it is none */
};

static const struct row rows[] = {
    {SPAN("text/plain"), "text/plain"},
    {SPAN(" message / rfc822\r\n"), "message/rfc822"},
    {SPAN("text/plain; charset=us-ascii"), "text/plain|charset=us-ascii"},
    {SPAN("text/plain; charset =us-ascii (Plain text)"), "text/plain|charset=us-ascii"},
    {SPAN("text/plain; charset= \"us-ascii\""), "text/plain|charset=us-ascii"},
    {SPAN("(c) text (c) / (c) plain (c); (c) charset (c) = (c) utf-8 (c)"), "text/plain|charset=utf-8"},
    {SPAN("TEXT/HTML;CHARSET=x;;; format=flowed;"), "TEXT/HTML|CHARSET=x|format=flowed"},
    {SPAN("multipart/mixed;\r\n\tboundary=\"a\\\"b \\\\c\""), "multipart/mixed|boundary=a\"b \\c"},
    {SPAN("multipart/mixed; boundary=\"fol\r\n ded\""), "multipart/mixed|boundary=fol ded"},
    {SPAN("multipart/mixed; boundary=----=_Part(1)?"), "multipart/mixed|boundary=----=_Part(1)?"},
    {SPAN("a/b; name=my file.txt; x=y"), "a/b|name=my file.txt|x=y"},
    {SPAN("a/b; name=\"x\" y=z"), "a/b|name=x|y=z"},
    {SPAN("a/b name=x"), "a/b|name=x"},
    {SPAN("a/b; name=\"unclosed"), "a/b|name=unclosed"},
    {SPAN("a/b; name="), "a/b|name="},
    {SPAN("a/b; name"), "a/b"},
    {SPAN("a/b; =x; y=z"), "a/b|y=z"},
    {SPAN("a/b; (unclosed; y=z"), "a/b"},
    {SPAN("a/b; \"q\"; y=z"), "a/b|y=z"},
    {SPAN("text"), NULL},
    {SPAN("text/"), NULL},
    {SPAN("/plain"), NULL},
    {SPAN(""), NULL},
    {SPAN("="), NULL},
    {SPAN("a/b; f*0=one; f*1=two; f*2=\" three\""), "a/b|f=onetwo three"},
    {SPAN("a/b; f*1=two; x=y; f*0=one"), "a/b|x=y|f=onetwo"},
    {SPAN("a/b; f*0*=utf-8''a%20; f*1=\"b c\"; f*2*=%C3%BC"), "a/b|f*=utf-8''a%20b%20c%C3%BC"},
    {SPAN("a/b; f*=utf-8'en'%e2%82%ac"), "a/b|f*=utf-8'en'%e2%82%ac"},
    {SPAN("a/b; f*0=one; f*2=three"), "a/b|f=one"},
    {SPAN("a/b; f*1=two"), "a/b|f*1=two"},
    {SPAN("a/b; f*0=a; f*0=b; f*1=c"), "a/b|f=ac"},
    {SPAN("a/b; f*99999999999999999999=a; f**=b; *0=c"), "a/b|f*99999999999999999999=a|f**=b|*0=c"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct content_type type;
        arena_init(&arena, 100000);
        bool is_type = content_type_parse(rows[i].input, &arena, &type);
        assert_int_equal(is_type, rows[i].expected != NULL);
        if (is_type) {
            struct buf out;
            buf_init(&out, 1000);
            buf_add_span(&out, type.type);
            buf_add_char(&out, '/');
            buf_add_span(&out, type.subtype);
            for (const struct content_parameter *p = type.parameters; p; p = p->next) {
                buf_add_char(&out, '|');
                buf_add_span(&out, p->name);
                buf_add_char(&out, '=');
                buf_add_span(&out, p->value);
            }
            buf_add_char(&out, 0);
            assert_string_equal(out.data, rows[i].expected);
            buf_release(&out);
        }
        arena_release(&arena);
    }
}

static const struct row decoded_rows[] = {
    {SPAN("attachment; filename=plain.txt"), "plain.txt"},
    {SPAN("attachment; FileName*=UTF-8''%e2%82%ac%20rates"), "€ rates"},
    {SPAN("attachment; filename=x; filename*=iso-8859-1'en'%A3%20rates"), "£ rates"},
    {SPAN("attachment; filename*0*=utf-8''%E2%82; filename*1*=%AC; filename*2=.txt"), "€.txt"},
    {SPAN("attachment; filename=\"=?utf-8?q?=E2=82=AC?=.txt\""), "€.txt"},
    {SPAN("attachment; filename*=no-quotes%41%4"), "no-quotesA%4"},
    {SPAN("attachment; filename*=x-unknown''%FF"), "\xEF\xBF\xBD"},
    {SPAN("attachment; name=x"), NULL},
    {SPAN("attachment"), NULL},
};

static void test_decoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decoded_rows / sizeof *decoded_rows; i++) {
        struct arena arena;
        struct content_disposition disposition;
        struct buf out;
        arena_init(&arena, 100000);
        buf_init(&out, 1000);
        assert_true(content_disposition_parse(decoded_rows[i].input, &arena, &disposition));
        assert_true(span_is(disposition.kind, "attachment"));
        bool found = content_parameter_decode(disposition.parameters, "filename", &out);
        assert_int_equal(found, decoded_rows[i].expected != NULL);
        buf_add_char(&out, 0);
        assert_string_equal(out.data, found ? decoded_rows[i].expected : "");
        buf_release(&out);
        arena_release(&arena);
    }
}

static void test_no_disposition(void **state)
{
    (void)state;
    struct arena arena;
    struct content_disposition disposition;
    arena_init(&arena, 1000);
    assert_false(content_disposition_parse((struct span)SPAN(" ; filename=x"), &arena, &disposition));
    assert_false(content_disposition_parse((struct span)SPAN("(comment"), &arena, &disposition));
    arena_release(&arena);
}

/* Would take hours if it weren't linear; and the number of parameters is capped. */
static void test_large(void **state)
{
    (void)state;
    static const char *const patterns[] = {"; a=b", "; a*0=b; a*1=c", "(",    "(\\",     ";", "\"",
                                           "=",     "; x=\"",         " a b", "; f*1*=%"};
    size_t size = 2000000;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct arena arena;
        struct content_type type;
        size_t n = strlen(patterns[i]), count = 0;
        memcpy(text, "a/b", 3);
        for (size_t at = 3; at < size; at++)
            text[at] = patterns[i][(at - 3) % n];
        arena_init(&arena, (size_t)16 << 20);
        assert_true(content_type_parse(span_from(text, size), &arena, &type));
        for (const struct content_parameter *p = type.parameters; p; p = p->next)
            count++;
        assert_true(count <= CONTENT_PARAMETERS_MAX);
        if (i == 0)
            assert_int_equal(count, CONTENT_PARAMETERS_MAX);
        arena_release(&arena);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_decoded),
        cmocka_unit_test(test_no_disposition),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
