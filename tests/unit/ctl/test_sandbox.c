#include "ctl/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* The file that a new sandbox gets is one that our own reader takes, whatever the directory is called. */
static void test_config(void **state)
{
    static const char *const directories[] = {"/tmp/x", "/tmp/with \"quotes\" and \\ in it"};
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        struct sandbox sandbox = {.directory = (char *)(uintptr_t)directories[i], .port_base = 20000};
        struct buf text, problem;
        buf_init(&text, 1 << 20);
        buf_init(&problem, 4096);
        sandbox_write_config(&sandbox, &text);
        assert_false(buf_failed(&text));
        struct settings *s = settings_read_text("sandbox", buf_span(&text), &problem);
        if (!s)
            fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
        char data[200];
        snprintf(data, sizeof data, "%s/data", directories[i]);
        assert_string_equal(s->data_directory, data);
        static const unsigned ports[SERVICE_KIND_COUNT] = {20025, 20587, 20465, 20110, 20995, 20106, 20906};
        assert_int_equal(s->listener_count, SERVICE_KIND_COUNT);
        for (size_t j = 0; j < s->listener_count; j++) {
            assert_string_equal(s->listeners[j].address, "127.0.0.1");
            assert_int_equal(s->listeners[j].port, ports[s->listeners[j].service]);
        }
        assert_true(s->processes.connections_per_address >= 1000);
        settings_unref(s);
        buf_release(&text);
        buf_release(&problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_config)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
