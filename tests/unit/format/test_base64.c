#include "format/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
    struct span bytes, text;
} pairs[] = {
    {SPAN(""), SPAN("")},
    {SPAN("f"), SPAN("Zg==")},
    {SPAN("fo"), SPAN("Zm8=")},
    {SPAN("foo"), SPAN("Zm9v")},
    {SPAN("foob"), SPAN("Zm9vYg==")},
    {SPAN("fooba"), SPAN("Zm9vYmE=")},
    {SPAN("foobar"), SPAN("Zm9vYmFy")},
    {SPAN("\0alice\0secret"), SPAN("AGFsaWNlAHNlY3JldA==")},
    {SPAN("\xfb\xef\xff\xfe"), SPAN("++///g==")},
};

static void both_ways(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        buf_reset(&out);
        base64_write(pairs[i].bytes, &out);
        assert_true(span_equal(buf_span(&out), pairs[i].text));
        buf_reset(&out);
        assert_true(base64_parse(pairs[i].text, &out));
        assert_true(span_equal(buf_span(&out), pairs[i].bytes));
    }
    buf_release(&out);
}

static void only_the_canonical_form(void **state)
{
    static const struct span wrong[] = {
        SPAN("Z"),       SPAN("Zg"),    SPAN("Zg="),         SPAN("Zg===="),   SPAN("====") /* no digits at all */,
        SPAN("Z==="),    SPAN("Zh=="),  SPAN("Zm9="),        SPAN("Zg==Zg=="), SPAN("Zm8=Zm9v"),
        SPAN(" Zg=="),   SPAN("Zm9v "), SPAN("Zm9v\r\n\t "), SPAN("Zm-_"),     SPAN("Zm9\0"),
        SPAN("Zm9\xc3"), SPAN("=Zm9"),  SPAN("Z=m9"),        SPAN("Zm=v"),     SPAN("Zm9vZm9!"),
    };
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_false(base64_parse(wrong[i], &out));
    buf_release(&out);
}

static void the_limit_of_the_buf_holds(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 5);
    assert_false(base64_parse(span_text("Zm9vYmFy"), &out));
    assert_true(out.size <= 5);
    buf_reset(&out);
    base64_write(span_text("foobar"), &out);
    assert_true(buf_failed(&out));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(only_the_canonical_form),
        cmocka_unit_test(the_limit_of_the_buf_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
