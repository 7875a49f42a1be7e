/* The messages of messages/ (kept with LF, read as CRLF) against the IMAP text beside them: ENVELOPE, BODYSTRUCTURE and
 * BODY, a line each. */
#include "summary_checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void read_file(const char *name, const char *ending, bool with_cr, struct buf *out)
{
    char path[4096];
    int size = snprintf(path, sizeof path, "%s/tests/unit/format/messages/%s.%s", SOURCE_ROOT, name, ending);
    assert_true(size > 0 && (size_t)size < sizeof path);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: not there", path);
    for (int c; (c = getc(file)) != EOF;) {
        if (c == '\n' && with_cr)
            buf_add_char(out, '\r');
        buf_add_char(out, (char)c);
    }
    assert_false(ferror(file));
    fclose(file);
}

static void test_message(void **state)
{
    const char *name = *state;
    struct buf message, expected, bytes, out;
    struct arena arena;
    struct summary summary;
    buf_init(&message, 100000);
    buf_init(&expected, 100000);
    buf_init(&bytes, SUMMARY_SIZE_MAX);
    buf_init(&out, 100000);
    arena_init(&arena, SUMMARY_ARENA_MAX);
    read_file(name, "eml", true, &message);
    read_file(name, "expected", false, &expected);

    assert_int_equal(summary_make(buf_span(&message), &arena, &bytes), 0);
    assert_true(summary_parse(buf_span(&bytes), &arena, &summary));
    assert_true(tree_is_sound(summary.root, message.size));
    summary_write_envelope(&summary, &out);
    buf_add_char(&out, '\n');
    summary_write_bodystructure(&summary, true, &out);
    buf_add_char(&out, '\n');
    summary_write_bodystructure(&summary, false, &out);
    buf_add_text(&out, "\n");
    buf_add_char(&out, 0);
    buf_add_char(&expected, 0);
    assert_string_equal(out.data, expected.data);

    buf_release(&message);
    buf_release(&expected);
    buf_release(&bytes);
    buf_release(&out);
    arena_release(&arena);
}

#define MESSAGE(name)                                             \
    {                                                             \
        name, test_message, NULL, NULL, (void *)(uintptr_t)(name) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MESSAGE("plain"), MESSAGE("encoded"), MESSAGE("mixed"), MESSAGE("forwarded"), MESSAGE("broken"),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
