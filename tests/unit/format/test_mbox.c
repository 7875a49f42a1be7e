#include "format/mbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void from_lines(void **state)
{
    static const struct {
        const char *from, *sender;
        int64_t seconds; /* -1: none is told */
    } rows[] = {
        {"a@x Thu Jan  1 00:00:00 1970", "a@x", 0},
        {"a@x Sun Nov 22 04:12:07 2026", "a@x", 1795320727},
        {"a@x Sun Nov 22 04:12:07 +0100 2026", "a@x", 1795320727},
        {"a@x Sun Nov 22 04:12:07 CET 2026", "a@x", 1795320727},
        {"a@x Sun Nov 22 04:12:07 2026 +0100", "a@x", 1795320727},
        {"a@x   Sun  Nov  22   04:12:07   2026", "a@x", 1795320727},
        {"MAILER-DAEMON Sun Nov 22 04:12:07 2026", "", 1795320727},
        {"a@x", "a@x", -1},
        {"a@x ", "a@x", -1},
        {"", "", -1},
        {"a@x Sun Nov 22 04:12 2026", "a@x", -1},
        {"a@x Sun November 22 04:12:07 2026", "a@x", -1},
        {"a@x Sun nov 22 04:12:07 2026", "a@x", -1},
        {"a@x Sun Nov 0 04:12:07 2026", "a@x", -1},
        {"a@x Sun Nov 32 04:12:07 2026", "a@x", -1},
        {"a@x Sun Nov 22 24:12:07 2026", "a@x", -1},
        {"a@x Sun Nov 22 04:60:07 2026", "a@x", -1},
        {"a@x Sun Nov 22 04:12:61 2026", "a@x", -1},
        {"a@x Sun Nov 22 04:12:07:08 2026", "a@x", -1},
        {"a@x Sun Nov 22 -4:12:07 2026", "a@x", -1},
        {"a@x Sun Nov 22 04:12:07 1969", "a@x", -1},
        {"a@x Sun Nov 22 04:12:07 99999", "a@x", -1},
        {"a@x Sun Nov 22 04:12:07 CET", "a@x", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t seconds = -1;
        if (!mbox_from_seconds(span_text(rows[i].from), &seconds))
            seconds = -1;
        if (seconds != rows[i].seconds || !span_is(mbox_from_sender(span_text(rows[i].from)), rows[i].sender))
            fail_msg("\"%s\": %lld", rows[i].from, (long long)seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(from_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
