/* What others wait for is done before a stranger is refused (run/fiber.h's fiber_step_aside). */
#include "fixture.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TURNS 300 /* many more than both ends of a session need */
#define MILLISECONDS (NANOSECONDS / 1000)

struct house {
    struct fixture f;
    bool was_refused; /* while others had work */
};

/* The others: ready in each turn. The clock stands still, so nobody's time is over before they say so. */
static void keep_busy(struct fiber *self, void *argument)
{
    struct house *house = argument;
    for (int i = 0; i < TURNS; i++)
        assert_int_equal(fiber_yield(self), 0);
    assert_int_not_equal(house->f.output.size, 0);
    house->was_refused = memmem(house->f.output.data, house->f.output.size, "\r\n550 ", 6) != NULL;
    clock_fake_advance(21 * MILLISECONDS);
}

static bool is_refused_at_once(enum service_kind service, const char *input)
{
    struct house house = {.was_refused = false};
    fixture_init(&house.f, "");
    house.f.lie = READ_NO_USER;
    assert_non_null(fiber_start(house.f.loop, "busy", keep_busy, &house));
    const char *output = fixture_talk(&house.f, service, span_text(input));
    assert_non_null(strstr(output, "\r\n550 5.1.1 "));
    assert_non_null(strstr(output, "\r\n221 "));
    fixture_release(&house.f);
    return house.was_refused;
}

#define RCPT "MAIL FROM:<s@b.test>\r\nRCPT TO:<alice@example.test>\r\nQUIT\r\n"

static void test_a_stranger_steps_aside(void **state)
{
    (void)state;
    assert_false(is_refused_at_once(SERVICE_SMTP, "EHLO client.test\r\n" RCPT));
}

static void test_a_member_does_not(void **state)
{
    (void)state;
    assert_true(is_refused_at_once(SERVICE_SUBMISSION, "EHLO client.test\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n" RCPT));
}

int main(void)
{
    clock_fake_start(1700000000 * (uint64_t)NANOSECONDS);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stranger_steps_aside),
        cmocka_unit_test(test_a_member_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
