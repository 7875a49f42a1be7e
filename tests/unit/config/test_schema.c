#include "config/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_rows(void **state)
{
    for (size_t i = 0; i < schema_count; i++) {
        const struct setting *row = &schema[i];
        assert_ptr_equal(schema_find(span_text(row->name)), row); /* no name twice */
        assert_true(row->explanation[strlen(row->explanation) - 1] == '.');
        assert_true(row->offset + row->width <= sizeof(struct settings));
        struct buf out;
        buf_init(&out, 4096);
        setting_write_expected(row, &out);
        setting_write_fallback(row, &out); /* aborts when the row refuses its own default */
        assert_true(!buf_failed(&out) && out.size > 0);
        buf_release(&out);
    }
}

static void test_numbers_as_written(void **state)
{
    static const struct {
        const char *name, *text, *written, *lua;
    } rows[] = {
        {"smtp.message_size", "50M", "52428800", "\"50M\""},
        {"smtp.message_size", "1025", "1025", "1025"},
        {"smtp.data_minimum_rate", "0", "0", "0"},
        {"smtp.session_timeout", "90m", "5400", "\"90m\""},
        {"smtp.session_timeout", "3600", "3600", "\"1h\""},
        {"smtp.recipients", "2000", "2000", "2000"},
        {"store.volume_size", "2g", "2147483648", "\"2G\""},
        {"log.level", "all", "all", "\"all\""},
        {"trusted_networks", "10.0.0.0/8,::1", "10.0.0.0/8,::1/128", "{\"10.0.0.0/8\", \"::1/128\"}"},
        {"log.target", "/a\"b\\c", "/a\"b\\c", "\"/a\\\"b\\\\c\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena memory;
        struct settings settings = {0};
        struct buf out;
        arena_init(&memory, 1 << 16);
        buf_init(&out, 4096);
        const struct setting *row = schema_find(span_text(rows[i].name));
        assert_non_null(row);
        assert_true(setting_parse(row, span_text(rows[i].text), &settings, &memory));
        setting_write(row, &settings, &out);
        assert_true(span_is(buf_span(&out), rows[i].written));
        buf_reset(&out);
        setting_write_lua(row, &settings, &out);
        assert_true(span_is(buf_span(&out), rows[i].lua));
        buf_release(&out);
        arena_release(&memory);
    }
}

/* The manual page as one line without scdoc's marks, so that it can be searched for sentences. */
static void read_manual_page(struct buf *page)
{
    FILE *file = fopen(DOC_DIRECTORY "/ostiary.conf.5.scd", "r");
    assert_non_null(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        bool broken = c == '\n' && page->size > 2 && memcmp(page->data + page->size - 2, "++", 2) == 0;
        if (broken) /* scdoc's forced line break */
            buf_truncate(page, page->size - 2);
        bool blank = c == '\n' || c == '\t' || c == ' ';
        if (blank && page->size && page->data[page->size - 1] != ' ')
            buf_add_char(page, ' ');
        else if (!blank && c != '\\')
            buf_add_char(page, (char)c);
    }
    fclose(file);
    buf_add_char(page, 0);
    assert_false(buf_failed(page));
}

/* ostiary.conf(5) says of each key what the schema says of it. */
static void test_manual_page(void **state)
{
    struct buf page, text;
    buf_init(&page, 1 << 20);
    buf_init(&text, 4096);
    read_manual_page(&page);
    for (size_t i = 0; i < schema_count; i++) {
        buf_reset(&text);
        buf_printf(&text, " *%s* %s Expected: ", schema[i].name, schema[i].explanation);
        setting_write_expected(&schema[i], &text);
        buf_add_char(&text, 0);
        assert_false(buf_failed(&text));
        if (!strstr(page.data, text.data))
            fail_msg("ostiary.conf(5) lacks this about %s: %s", schema[i].name, text.data);
    }
    buf_release(&page);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_numbers_as_written),
                                       cmocka_unit_test(test_manual_page)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
