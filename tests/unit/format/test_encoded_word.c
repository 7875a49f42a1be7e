#include "format/encoded_word.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define BAD "\xEF\xBF\xBD"

struct row {
    struct span input, expected;
};

static const struct row rows[] = {
    {SPAN(""), SPAN("")},
    {SPAN("plain words"), SPAN("plain words")},
    {SPAN("=?UTF-8?Q?Gr=C3=BC=C3=9Fe?="), SPAN("Grüße")},
    {SPAN("=?utf-8?b?R3LDvMOfZQ==?="), SPAN("Grüße")},
    {SPAN("=?utf-8?b?R3LDvMOfZQ?="), SPAN("Grüße")}, /* no padding */
    {SPAN("=?iso-8859-1?q?Gr=FC=DFe?="), SPAN("Grüße")},
    {SPAN("=?ISO-8859-1*de?Q?Gr=FC=DFe?="), SPAN("Grüße")}, /* RFC 2231 5 */
    {SPAN("=?iso-8859-15?q?=A4?="), SPAN("€")},
    {SPAN("=?windows-1252?q?=80?="), SPAN("€")},
    {SPAN("=?koi8-r?B?8NLJ18XU?="), SPAN("Привет")},
    {SPAN("=?gb2312?B?xOO6ww==?="), SPAN("你好")},
    {SPAN("=?iso-2022-jp?B?GyRCJDMkcxsoQg==?="), SPAN("こん")},
    {SPAN("a =?utf-8?q?b_c?= d"), SPAN("a b c d")},
    {SPAN("=?utf-8?q?a?= =?utf-8?q?b?="), SPAN("ab")},
    {SPAN("=?utf-8?q?a?=\t =?iso-8859-1?q?=E4?= x"), SPAN("aä x")},
    {SPAN("=?utf-8?q?a?= x =?utf-8?q?b?="), SPAN("a x b")},
    {SPAN("=?utf-8?q?=C3?= =?utf-8?q?=BC?="), SPAN("ü")}, /* a character split over two words */
    {SPAN("=?utf-8?b?4oK?= =?utf-8?b?rA==?="), SPAN("€")},
    {SPAN("=?utf-8?q?=C3?="), SPAN(BAD)},
    {SPAN("=?utf-8?q?a=ZZb=4?="), SPAN("a=ZZb=4")},
    {SPAN("=?x-unknown?q?a=E4b?="), SPAN("a" BAD "b")},
    {SPAN("=?UTF-8//TRANSLIT?q?a=E4b?="), SPAN("a" BAD "b")},
    {SPAN("=?iso-2022-cn-ext?q?a?="), SPAN("a")},
    {SPAN("=?utf-8?x?abc?="), SPAN("=?utf-8?x?abc?=")},
    {SPAN("=?utf-8?q?abc"), SPAN("=?utf-8?q?abc")},
    {SPAN("=?utf-8?q?abc?"), SPAN("=?utf-8?q?abc?")},
    {SPAN("=?utf-8?q"), SPAN("=?utf-8?q")},
    {SPAN("=?utf-8"), SPAN("=?utf-8")},
    {SPAN("=?"), SPAN("=?")},
    {SPAN("=??q?a?="), SPAN("=??q?a?=")},
    {SPAN("=?utf-8?q?"
          "?="),
     SPAN("")},
    {SPAN("=?utf-8?q?with space?="), SPAN("with space")},
    {SPAN("=?a?=?utf-8?q?x?="), SPAN("=?a?x")},
    {SPAN("raw \xC3\xBC and \xFC"), SPAN("raw ü and " BAD)},
    {SPAN("\xED\xA0\x80 \xF4\x90\x80\x80 \xC0\x80"), SPAN(BAD BAD BAD " " BAD BAD BAD BAD " " BAD BAD)},
    {SPAN("\xE2\x82"), SPAN(BAD BAD)},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 1000);
        encoded_word_decode(rows[i].input, &out);
        assert_false(buf_failed(&out));
        buf_add_char(&out, 0);
        assert_string_equal(out.data, rows[i].expected.data);
        assert_int_equal(out.size - 1, rows[i].expected.size);
        buf_release(&out);
    }
}

/* The limit holds, and what was written before it is still whole. */
static void test_limit(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 5);
    encoded_word_decode((struct span)SPAN("=?utf-8?q?abcdef?="), &out);
    assert_true(buf_failed(&out));
    assert_true(out.size <= 5);
    buf_release(&out);
}

static void fill(char *to, size_t size, const char *pattern)
{
    size_t n = strlen(pattern);
    for (size_t i = 0; i < size; i++)
        to[i] = pattern[i % n];
}

/* Would take hours if a false start were paid for again and again. */
static void test_many_false_starts(void **state)
{
    (void)state;
    static const char *const patterns[] = {"=?", "=?a?q?", "=?a?q?=", "=?utf-8?q?a?= ", "=?x?b?Pw?=", "=", "\xFF"};
    size_t size = 2000000;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct buf out;
        fill(text, size, patterns[i]);
        buf_init(&out, size * 3 + 10);
        encoded_word_decode(span_from(text, size), &out);
        assert_false(buf_failed(&out));
        assert_true(out.size > 0);
        buf_release(&out);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_many_false_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
