#include "auth/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_ring(void **state)
{
    struct events e;
    events_init(&e);
    assert_null(events_get(&e, 0));
    assert_null(events_get(&e, 1));
    assert_int_equal(events_first(&e), 1);
    for (uint64_t i = 1; i <= EVENTS_MAX + 7; i++) {
        struct event *event = events_add(&e, "login refused", i * 10);
        char text[32];
        snprintf(text, sizeof text, "reason %llu", (unsigned long long)i);
        event_set(event, reason, span_text(text));
        assert_int_equal(event->number, i);
    }
    assert_int_equal(e.last, EVENTS_MAX + 7);
    assert_int_equal(events_first(&e), 8);
    assert_null(events_get(&e, 7));
    assert_null(events_get(&e, EVENTS_MAX + 8));
    assert_string_equal(events_get(&e, 8)->reason, "reason 8");
    assert_string_equal(events_get(&e, EVENTS_MAX + 7)->reason, "reason 1007");
    assert_int_equal(events_get(&e, 500)->at, 5000);
    events_release(&e);
}

static void test_texts(void **state)
{
    struct events e;
    char text[1000];
    events_init(&e);
    struct event *event = events_add(&e, "x", 1);
    static const struct span hostile = SPAN("a\x1b[2Jb\n\0c\x7f\xc3\xa9");
    event_set(event, recipient, hostile);
    assert_string_equal(event->recipient, "a?[2Jb??c?\xc3\xa9");
    memset(text, 'x', sizeof text);
    event_set(event, reason, span_from(text, sizeof text));
    assert_int_equal(strlen(event->reason), sizeof event->reason - 1);
    event_set(event, session, span_from(NULL, 0));
    assert_string_equal(event->session, "");
    events_release(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ring), cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
