#include "ctl/duration.h"
#include "ctl/queue_choice.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void names(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t message_id;
        uint32_t number;
        const char *match;
    } rows[] = {
        {"1a2b", true, 0x1a2b, 0, ""},
        {"1A2B.3", true, 0x1a2b, 3, ""},
        {"dead.beef", true, 0, 0, "dead.beef"}, /* a domain: numbers are decimal */
        {"1a2b.0", true, 0, 0, "1a2b.0"},
        {"1a2b.", true, 0, 0, "1a2b."},
        {"7fffffffffffffff", true, 0x7fffffffffffffff, 0, ""},
        {"123456789abcdef01", false, 0, 0, NULL},
        {"0", false, 0, 0, NULL},
        {"", false, 0, 0, NULL},
        {"nonsense", false, 0, 0, NULL},
        {"@example.org", true, 0, 0, "@example.org"},
        {"a@b", true, 0, 0, "a@b"},
        {"example.org", true, 0, 0, "example.org"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct queue_name name;
        bool good = queue_name_parse(span_text(rows[i].text), &name);
        if (good != rows[i].good || (good && (name.message_id != rows[i].message_id || name.number != rows[i].number ||
                                              !span_is(name.match, rows[i].match))))
            fail_msg("%s", rows[i].text);
    }
}

static void words(void **state)
{
    static const struct {
        uint64_t value;
        const char *duration, *size;
    } rows[] = {
        {0, "0 s", "0 B"},
        {119, "119 s", "119 B"},
        {120, "2 min", "120 B"},
        {7199, "119 min", "7.0 KiB"},
        {7200, "2 h", "7.0 KiB"},
        {172800, "2 d", "168 KiB"},
        {1ull << 30, "12427 d", "1.0 GiB"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out;
        buf_init(&out, 100);
        ctl_write_duration(&out, rows[i].value);
        buf_add_char(&out, '|');
        ctl_write_size(&out, rows[i].value);
        struct span size = buf_span(&out), duration = span_cut(&size, '|');
        if (!span_is(duration, rows[i].duration) || !span_is(size, rows[i].size))
            fail_msg("%s and %s: %.*s", rows[i].duration, rows[i].size, SPAN_ARG(buf_span(&out)));
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(words)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
