#include "format/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"

/* Fields between bars, each record behind its line's number. */
static void describe(struct span text, struct buf *out)
{
    struct arena arena;
    struct csv csv;
    struct csv_record record;
    arena_init(&arena, 1 << 20);
    csv_init(&csv, text);
    while (csv_next(&csv, &arena, &record)) {
        buf_printf(out, "%zu:", record.line);
        for (size_t i = 0; i < record.count; i++)
            buf_printf(out, "%s%.*s", i ? "|" : "", SPAN_ARG(record.fields[i]));
        buf_printf(out, "%s%s;", record.problem ? "!" : "", record.problem ? record.problem : "");
    }
    assert_false(csv_next(&csv, &arena, &record));
    arena_release(&arena);
}

static void test_records(void **state)
{
    static const struct {
        struct span text;
        const char *records;
    } rows[] = {
        {SPAN(""), ""},
        {SPAN("\n\r\n"), ""},
        {SPAN("a,b,c\r\n1,2,3\r\n"), "1:a|b|c;2:1|2|3;"},
        {SPAN("a,b\n1,2"), "1:a|b;2:1|2;"},
        {SPAN("\xef\xbb\xbf"
              "a\nb"),
         "1:a;2:b;"},
        {SPAN(",\n"), "1:|;"},
        {SPAN("a,\n"), "1:a|;"},
        {SPAN("\"a,b\",\"say \"\"hi\"\"\",\"\"\n"), "1:a,b|say \"hi\"|;"},
        {SPAN("\"two\nlines\",x\nnext"), "1:two\nlines|x;3:next;"},
        {SPAN("a \"b\" c,d\n"), "1:a \"b\" c|d;"},
        {SPAN("a\rb,c"), "1:a\rb|c;"},
        {SPAN("one\n\n\ntwo"), "1:one;4:two;"},
        {SPAN("\"open\nb,c\nd"), "1:!a quote that opens a field and is never closed;2:b|c;3:d;"},
        {SPAN("\"a\"b,c\nd"), "1:!text between a closing quote and the next comma;2:d;"},
        {SPAN("\""), "1:!a quote that opens a field and is never closed;"},
        {SPAN("\"\"\"\"\n"), "1:\";"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 4096);
        describe(rows[i].text, &out);
        if (!span_is(buf_span(&out), rows[i].records))
            fail_msg("row %zu: %.*s", i, SPAN_ARG(buf_span(&out)));
        buf_release(&out);
    }
}

static void test_limits(void **state)
{
    struct buf text;
    struct buf out;
    buf_init(&text, 1 << 20);
    buf_init(&out, 4096);
    for (int i = 0; i < CSV_FIELDS_MAX; i++)
        buf_add_char(&text, ',');
    buf_add_char(&text, '\n');
    for (unsigned i = 0; i <= CSV_RECORD_MAX; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "\nafter,\"");
    for (unsigned i = 0; i < 2 * CSV_RECORD_MAX; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "\"\nlast");
    describe(buf_span(&text), &out);
    assert_true(span_is(buf_span(&out), "1:!too many fields;2:!too long;3:!a quote that opens a field and is never "
                                        "closed;4:last;"));
    buf_release(&text);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_records), cmocka_unit_test(test_limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
