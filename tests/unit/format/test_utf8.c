#include "format/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
    struct span text;
    bool valid, ascii;
} rows[] = {
    {SPAN(""), true, true},
    {SPAN("plain"), true, true},
    {SPAN("\0"), true, true},
    {SPAN("0123456789012345678901234567890123456789"), true, true},
    {SPAN("0123456789012345678901234567890\xc3\xa9"), true, false},
    {SPAN("01234567890123456789012345678901\xc3\xa9"), true, false},
    {SPAN("\xc3\xa9"), true, false},
    {SPAN("\xe2\x82\xac"), true, false},
    {SPAN("\xf0\x9f\x98\x80"), true, false},
    {SPAN("\xf4\x8f\xbf\xbf"), true, false},
    {SPAN("\xed\x9f\xbf\xee\x80\x80"), true, false},
    {SPAN("\xe0\xa0\x80\xf0\x90\x80\x80\xc2\x80"), true, false},
    {SPAN("\x80"), false, false},
    {SPAN("\xbf"), false, false},
    {SPAN("\xc0\x80"), false, false},         /* overlong NUL */
    {SPAN("\xc1\xbf"), false, false},         /* overlong */
    {SPAN("\xe0\x9f\xbf"), false, false},     /* overlong */
    {SPAN("\xf0\x8f\xbf\xbf"), false, false}, /* overlong */
    {SPAN("\xed\xa0\x80"), false, false},     /* surrogate */
    {SPAN("\xed\xbf\xbf"), false, false},     /* surrogate */
    {SPAN("\xf4\x90\x80\x80"), false, false}, /* above U+10FFFF */
    {SPAN("\xf5\x80\x80\x80"), false, false},
    {SPAN("\xff"), false, false},
    {SPAN("\xc3"), false, false},
    {SPAN("\xe2\x82"), false, false},
    {SPAN("\xf0\x9f\x98"), false, false},
    {SPAN("\xe2\x82x"), false, false},
    {SPAN("\xe2(\xa1"), false, false},
    {SPAN("\xf0\x9f(\x80"), false, false},
    {SPAN("\xc3\xc3"), false, false},
    {SPAN("ok\xc3\xa9\x80"), false, false},
};

static void checks_each_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(utf8_is_valid(rows[i].text), rows[i].valid);
        assert_int_equal(utf8_is_ascii(rows[i].text), rows[i].ascii);
    }
}

static void pieces_make_no_difference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (size_t cut = 0; cut <= rows[i].text.size; cut++) {
            struct utf8_check check = {0};
            bool valid = utf8_check_feed(&check, span_head(rows[i].text, cut)) &&
                         utf8_check_feed(&check, span_skip(rows[i].text, cut)) && utf8_check_is_complete(&check);
            assert_int_equal(valid, rows[i].valid);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_each_row),
        cmocka_unit_test(pieces_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
