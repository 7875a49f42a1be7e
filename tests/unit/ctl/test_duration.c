#include "ctl/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void check(void (*write)(struct buf *out, uint64_t number), uint64_t number, const char *expected)
{
    struct buf out;
    buf_init(&out, 40);
    write(&out, number);
    if (!span_is(buf_span(&out), expected))
        fail_msg("%.*s instead of %s", SPAN_ARG(buf_span(&out)), expected);
    buf_release(&out);
}

static void test_durations(void **state)
{
    check(ctl_write_duration, 0, "0 s");
    check(ctl_write_duration, 119, "119 s");
    check(ctl_write_duration, 120, "2 min");
    check(ctl_write_duration, 7199, "119 min");
    check(ctl_write_duration, 7200, "2 h");
    check(ctl_write_duration, 172799, "47 h");
    check(ctl_write_duration, 172800, "2 d");
    check(ctl_write_duration, UINT64_MAX, "213503982334601 d");
}

static void test_sizes(void **state)
{
    check(ctl_write_size, 0, "0 B");
    check(ctl_write_size, 1023, "1023 B");
    check(ctl_write_size, 1024, "1.0 KiB");
    check(ctl_write_size, 10239, "9.9 KiB");
    check(ctl_write_size, 10240, "10 KiB");
    check(ctl_write_size, 1048575, "1023 KiB");
    check(ctl_write_size, 1153600, "1.1 MiB"); /* the rest counts to the last byte */
    check(ctl_write_size, UINT64_MAX, "16777215 TiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_durations), cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
