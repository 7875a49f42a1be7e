#include "policy/dns_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct ip_address address(const char *text)
{
    struct ip_address ip;
    assert_true(ip_address_parse(span_text(text), &ip));
    return ip;
}

static void test_names(void **state)
{
    static const struct {
        const char *ip, *name;
    } rows[] = {
        {"192.0.2.7", "7.2.0.192.bl.example.org"},
        {"::ffff:192.0.2.7", "7.2.0.192.bl.example.org"},
        /* RFC 5782 section 2.4 */
        {"2001:db8:1:2:3:4:567:89ab", "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example.org"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf name;
        struct ip_address ip = address(rows[i].ip);
        buf_init(&name, 300);
        dns_list_write_name(&ip, "bl.example.org", &name);
        assert_true(span_is(buf_span(&name), rows[i].name));
        buf_release(&name);
    }
}

static void test_tests(void **state)
{
    static const char *const names[DNS_LIST_TESTS] = {
        "2.0.0.127.bl.test",
        "1.0.0.127.bl.test",
        "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test",
        "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test",
    };
    for (size_t i = 0; i < DNS_LIST_TESTS; i++) {
        struct buf name;
        buf_init(&name, 300);
        dns_list_write_test_name(&dns_list_tests[i], "bl.test", &name);
        assert_true(span_is(buf_span(&name), names[i]));
        assert_int_equal(dns_list_tests[i].is_listed, i % 2 == 0);
        buf_release(&name);
    }
}

static void test_answers(void **state)
{
    static const struct {
        const char *answer;
        enum dns_list_meaning all, some; /* without ranges, and with 127.0.0.2 and 127.0.0.4-127.0.0.11 */
    } rows[] = {
        {"127.0.0.2", DNS_LIST_LISTED, DNS_LIST_LISTED},         {"127.0.0.3", DNS_LIST_LISTED, DNS_LIST_NOT_LISTED},
        {"127.0.0.4", DNS_LIST_LISTED, DNS_LIST_LISTED},         {"127.0.0.11", DNS_LIST_LISTED, DNS_LIST_LISTED},
        {"127.0.0.12", DNS_LIST_LISTED, DNS_LIST_NOT_LISTED},    {"127.2.3.4", DNS_LIST_LISTED, DNS_LIST_NOT_LISTED},
        {"127.0.0.1", DNS_LIST_ERROR, DNS_LIST_ERROR},           {"127.255.255.254", DNS_LIST_ERROR, DNS_LIST_ERROR},
        {"127.255.254.1", DNS_LIST_LISTED, DNS_LIST_NOT_LISTED}, {"192.0.2.1", DNS_LIST_ERROR, DNS_LIST_ERROR},
        {"2001:db8::1", DNS_LIST_ERROR, DNS_LIST_ERROR},
    };
    struct dns_list_range ranges[2];
    assert_true(dns_list_range_parse(span_text("127.0.0.2"), &ranges[0]));
    assert_true(dns_list_range_parse(span_text("127.0.0.4-127.0.0.11"), &ranges[1]));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address answer = address(rows[i].answer);
        if (dns_list_judge(&answer, NULL, 0) != rows[i].all || dns_list_judge(&answer, ranges, 2) != rows[i].some)
            fail_msg("%s", rows[i].answer);
    }
    assert_int_equal(dns_list_combine(DNS_LIST_LISTED, DNS_LIST_NOT_LISTED), DNS_LIST_LISTED);
    assert_int_equal(dns_list_combine(DNS_LIST_LISTED, DNS_LIST_ERROR), DNS_LIST_ERROR);
}

static void test_ranges_refused(void **state)
{
    static const char *const words[] = {"",
                                        "-",
                                        "127.0.0.2-",
                                        "-127.0.0.2",
                                        "127.0.0.9-127.0.0.2",
                                        "10.0.0.1",
                                        "127.0.0.2-128.0.0.1",
                                        "::1",
                                        "127.0.0.2-127.0.0.3-127.0.0.4"};
    struct dns_list_range range;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (dns_list_range_parse(span_text(words[i]), &range))
            fail_msg("%s", words[i]);
}

static void test_reasons(void **state)
{
    struct buf out;
    char text[1000];
    buf_init(&out, 1000);
    dns_list_write_reason(span_text(" see \r\n250 b\xc3\xbc \x7f"), &out);
    assert_true(span_is(buf_span(&out), "see ??250 b?? ?"));
    buf_reset(&out);
    memset(text, 'x', sizeof text);
    dns_list_write_reason(span_from(text, sizeof text), &out);
    assert_int_equal(out.size, DNS_LIST_REASON_MAX);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),          cmocka_unit_test(test_tests),   cmocka_unit_test(test_answers),
        cmocka_unit_test(test_ranges_refused), cmocka_unit_test(test_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
