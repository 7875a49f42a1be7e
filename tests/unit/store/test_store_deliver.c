#include "fixture.h"

#include "store/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void round_trip(void **state)
{
    struct fixture f;
    struct buf text;
    fixture_start(&f);
    buf_init(&text, 1 << 20);
    uint64_t first = fixture_mail(&f, "alice@example.test", "Subject: one\r\n\r\nHello\r\n");
    uint64_t second = fixture_mail(&f, "alice+news@example.test", "Subject: two\r\n\r\nAgain\r\n");
    assert_true(second > first);
    fixture_fetch(&f, "alice@example.test", 1, &text);
    assert_true(span_is(buf_span(&text), "Subject: one\r\n\r\nHello\r\n"));
    fixture_fetch(&f, "alice@example.test", 2, &text);
    assert_true(span_is(buf_span(&text), "Subject: two\r\n\r\nAgain\r\n"));
    fixture_fetch(&f, "alice@example.test", 3, &text);
    assert_true(span_is(buf_span(&text), "GONE"));
    assert_int_equal(fixture_expunge(&f, "alice@example.test", (uint32_t[]){1, 7}, 2), 1);
    fixture_fetch(&f, "alice@example.test", 1, &text);
    assert_true(span_is(buf_span(&text), "GONE"));
    /* A uid is never given twice, also after a restart. */
    fixture_close(&f);
    fixture_open(&f);
    fixture_mail(&f, "alice@example.test", "three");
    fixture_fetch(&f, "alice@example.test", 3, &text);
    assert_true(span_is(buf_span(&text), "three"));
    buf_release(&text);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
