#include "ctl/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_document(void **state)
{
    struct buf out;
    struct json json;
    buf_init(&out, 4096);
    json_init(&json, &out);
    json_list(&json, NULL);
    json_object(&json, NULL);
    json_text(&json, "name", (struct span)SPAN("a\"b\\c\n\x7f\0d"));
    json_number(&json, "n", UINT64_MAX);
    json_bool(&json, "b", false);
    json_list(&json, "empty");
    json_end_list(&json);
    json_end_object(&json);
    json_text(&json, NULL, (struct span)SPAN("x"));
    json_end_list(&json);
    assert_true(
        span_is(buf_span(&out),
                "[\n  {\n    \"name\": \"a\\\"b\\\\c\\u000a\\u007f\\u0000d\",\n    \"n\": 18446744073709551615,\n"
                "    \"b\": false,\n    \"empty\": []\n  },\n  \"x\"\n]\n"));
    buf_release(&out);
}

static void test_one_line(void **state)
{
    struct buf out;
    struct json json;
    buf_init(&out, 4096);
    json_init(&json, &out);
    json.is_one_line = true;
    json_object(&json, NULL);
    json_number(&json, "n", 1);
    json_list(&json, "l");
    json_text(&json, NULL, (struct span)SPAN("x\n"));
    json_bool(&json, NULL, true);
    json_end_list(&json);
    json_end_object(&json);
    assert_true(span_is(buf_span(&out), "{\"n\": 1, \"l\": [\"x\\u000a\", true]}\n"));
    buf_release(&out);
}

static void test_texts(void **state)
{
    static const struct {
        struct span text;
        const char *written;
    } rows[] = {
        {SPAN(""), "\"\""},
        {SPAN("Gr\xc3\xbc\xc3\x9f"), "\"Gr\xc3\xbc\xc3\x9f\""},
        {SPAN("\xf0\x9f\x93\xac"), "\"\xf0\x9f\x93\xac\""},
        {SPAN("\xc2\x9b"
              "31m\xc2\xa0"),
         "\"\\u009b31m\xc2\xa0\""},
        {SPAN("\xc3"), "\"\\ufffd\""},
        {SPAN("\xff\xfe"), "\"\\ufffd\\ufffd\""},
        {SPAN("\xf0\x9f\x93"), "\"\\ufffd\\ufffd\\ufffd\""},
        {SPAN("\x80x"), "\"\\ufffdx\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        struct json json;
        buf_init(&out, 4096);
        json_init(&json, &out);
        json_text(&json, NULL, rows[i].text);
        assert_true(span_is(buf_span(&out), rows[i].written));
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_document), cmocka_unit_test(test_one_line),
                                       cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
