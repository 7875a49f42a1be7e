#include "format/smtp_content.h"
#include "format/smtp_data.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct {
    const char *input, *by_data, *by_chunks;
} rows[] = {
    {"", "", ""},
    {"a\r\nb\r\n", "a\r\nb\r\n", "a\r\nb\r\n"},
    {"a", "a\r\n", "a\r\n"},
    {"a\r", "a\r\n", "a\r\n"},
    {"a\n", "a\r\n", "a\r\n"},
    {".", "..\r\n", ".\r\n"},
    {".\r\n..\r\n", "..\r\n...\r\n", ".\r\n..\r\n"},
    {"a\n.\nb", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n"},
    {"a\r.\rb", "a\r\n..\r\nb\r\n", "a\r\n.\r\nb\r\n"},
    {"a\r\r\n.\r\n", "a\r\n\r\n..\r\n", "a\r\n\r\n.\r\n"},
    {"\n\r", "\r\n\r\n", "\r\n\r\n"},
    {"\r\n", "\r\n", "\r\n"},
    {"a.b\r\n", "a.b\r\n", "a.b\r\n"},
    {"\r.\r\n", "\r\n..\r\n", "\r\n.\r\n"},
};

static void write_in_pieces(const char *text, size_t size, size_t piece, bool dots, struct buf *out)
{
    struct smtp_content content;
    buf_reset(out);
    smtp_content_init(&content, dots);
    for (size_t at = 0; at < size; at += piece)
        smtp_content_write(&content, span_from(text + at, size - at < piece ? size - at : piece), out);
    smtp_content_finish(&content, out);
    assert_false(buf_failed(out));
}

static void lines_and_dots(void **state)
{
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t piece = 1; piece < 8; piece++) {
            const char *input = rows[i].input;
            write_in_pieces(input, strlen(input), piece, true, &out);
            if (!span_is(buf_span(&out), rows[i].by_data))
                fail_msg("row %zu: %.*s", i, SPAN_ARG(buf_span(&out)));
            write_in_pieces(input, strlen(input), piece, false, &out);
            if (!span_is(buf_span(&out), rows[i].by_chunks))
                fail_msg("row %zu: %.*s", i, SPAN_ARG(buf_span(&out)));
        }
    buf_release(&out);
}

/* Every text of five octets of these: what the strict reader of servers gets back is the text by chunks, and the end
 * that it finds is ours. */
static void the_reader_undoes_it(void **state)
{
    static const char octets[] = {'.', '\r', '\n', 'a', '\0'};
    struct buf sent, plain, back;
    buf_init(&sent, 1000);
    buf_init(&plain, 1000);
    buf_init(&back, 1000);
    for (unsigned n = 0; n < 5 * 5 * 5 * 5 * 5; n++) {
        char text[5];
        for (unsigned i = 0, rest = n; i < 5; i++, rest /= 5)
            text[i] = octets[rest % 5];
        write_in_pieces(text, 5, 5, true, &sent);
        write_in_pieces(text, 5, 5, false, &plain);
        buf_add_text(&sent, ".\r\n");
        struct smtp_data reader;
        size_t consumed = 0;
        buf_reset(&back);
        smtp_data_init(&reader, &(struct smtp_data_limits){0});
        assert_int_equal(smtp_data_feed(&reader, buf_span(&sent), &consumed, &back), SMTP_DATA_END);
        assert_int_equal(consumed, sent.size);
        if (memchr(text, '\0', 5))
            assert_int_equal(smtp_data_problem(&reader), SMTP_DATA_NUL);
        else
            assert_true(span_equal(buf_span(&back), buf_span(&plain)));
    }
    buf_release(&sent);
    buf_release(&plain);
    buf_release(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_and_dots),
        cmocka_unit_test(the_reader_undoes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
