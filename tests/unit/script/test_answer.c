#include "script/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_rows(void **state)
{
    static const struct {
        const char *word, *text;
        enum script_result result;
        const char *expected; /* of the answer, or of the problem */
    } rows[] = {
        {"accept", "", SCRIPT_ACCEPT, ""},
        {"reject", "no", SCRIPT_REFUSE, "no"},
        {"defer", "later\r\nQUIT", SCRIPT_DEFER, "later  QUIT"},
        {"file", "Junk", SCRIPT_FILE, "Junk"},
        {"file", "J\xc3\xbcnk/mail", SCRIPT_FILE, "J\xc3\xbcnk/mail"},
        {"file", "", SCRIPT_NOTHING, "without a folder"},
        {"file", "J\nunk", SCRIPT_NOTHING, "without a folder"},
        {"file", "J\xffunk", SCRIPT_NOTHING, "without a folder"},
        {"refuse", "", SCRIPT_NOTHING, "returned \"refuse\"; it may return"},
        {"REJECT", "", SCRIPT_NOTHING, "returned \"REJECT\"; it may"},
        {"", "", SCRIPT_NOTHING, "returned \"\"; it may"},
        {"rej\x1b[2J", "", SCRIPT_NOTHING, "returned \"rej?[2J\"; it may"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct script_answer answer;
        struct buf problem;
        buf_init(&problem, 1000);
        bool read = script_answer_read(span_text(rows[i].word), span_text(rows[i].text), &answer, &problem);
        buf_add_char(&problem, 0);
        assert_int_equal(read, rows[i].result != SCRIPT_NOTHING);
        assert_int_equal(answer.result, rows[i].result);
        if (read)
            assert_string_equal(answer.text, rows[i].expected);
        else
            assert_non_null(strstr(problem.data, rows[i].expected));
        buf_release(&problem);
    }
}

/* A text is cut between characters, a folder's name is not cut at all. */
static void test_long(void **state)
{
    struct script_answer answer;
    struct buf text, problem;
    buf_init(&text, 5000);
    buf_init(&problem, 1000);
    buf_add_char(&text, 'a');
    while (text.size < 1001)
        buf_add_text(&text, "\xc3\xbc");
    assert_true(script_answer_read(span_text("reject"), buf_span(&text), &answer, &problem));
    assert_int_equal(answer.text_size, SCRIPT_TEXT_MAX - 1);
    assert_memory_equal(answer.text, text.data, SCRIPT_TEXT_MAX - 1);
    assert_true(script_answer_read(span_text("reject"), span_skip(buf_span(&text), 1), &answer, &problem));
    assert_int_equal(answer.text_size, SCRIPT_TEXT_MAX - 2);
    assert_true(script_answer_read(span_text("file"), span_head(buf_span(&text), FOLDER_MAX - 1), &answer, &problem));
    assert_int_equal(answer.text_size, FOLDER_MAX - 1);
    assert_false(script_answer_read(span_text("file"), span_head(buf_span(&text), FOLDER_MAX + 1), &answer, &problem));
    buf_release(&text);
    buf_release(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
