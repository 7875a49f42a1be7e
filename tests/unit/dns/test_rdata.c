#include "dns/name.h"
#include "dns/rdata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_names(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"example.org", true},
        {"a", true},
        {"_dmarc.Example.org", true},
        {"7.2.0.192.in-addr.arpa", true},
        {"", false},
        {".", false},
        {"example.org.", false},
        {".example.org", false},
        {"a..b", false},
        {"a b", false},
        {"a\nb", false},
        {"b\xc3\xbc.org", false},
        {"a/b.org", false},
        {"123456789012345678901234567890123456789012345678901234567890123.org", true},
        {"1234567890123456789012345678901234567890123456789012345678901234.org", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (dns_name_is_valid(span_text(rows[i].text)) != rows[i].valid)
            fail_msg("%s", rows[i].text);
    char longest[300];
    memset(longest, 'a', sizeof longest);
    for (size_t i = 49; i < sizeof longest; i += 50)
        longest[i] = '.';
    struct dns_wire_name wire;
    assert_true(dns_name_parse(span_from(longest, 253), &wire));
    assert_int_equal(wire.size, 255);
    assert_false(dns_name_parse(span_from(longest, 254), &wire));
}

static void test_wire_names(void **state)
{
    static const struct {
        const char *name;
        struct span message;
        size_t at;
        const char *text; /* NULL: refused */
        size_t behind;
    } rows[] = {
        {"plain", SPAN("\3WWW\7example\3org\0rest"), 0, "www.example.org", 17},
        {"a pointer", SPAN("\3org\0\7example\xc0\0rest"), 5, "example.org", 15},
        {"two pointers", SPAN("\3org\0\1a\xc0\0\1b\xc0\5"), 9, "b.a.org", 13},
        {"itself", SPAN("\xc0\0"), 0, NULL, 0},
        {"forwards", SPAN("\xc0\2\1a\0"), 0, NULL, 0},
        {"a round", SPAN("\1a\xc0\0"), 2, NULL, 0},
        {"a round of two", SPAN("\1a\xc0\4\1b\xc0\0"), 4, NULL, 0},
        {"cut label", SPAN("\5abc"), 0, NULL, 0},
        {"cut pointer", SPAN("\1a\xc0"), 0, NULL, 0},
        {"no end", SPAN("\1a"), 0, NULL, 0},
        {"extended label", SPAN("\x41\1a\0"), 0, NULL, 0},
        {"nothing", SPAN(""), 0, NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena memory;
        struct dns_wire_name name;
        struct span text = {NULL, 0};
        size_t at = rows[i].at;
        arena_init(&memory, 4096);
        bool read = dns_name_read(rows[i].message, &at, &name);
        if (read != (rows[i].text != NULL))
            fail_msg("%s", rows[i].name);
        if (read) {
            assert_true(dns_name_text(&name, &memory, &text));
            assert_true(span_is(text, rows[i].text));
            assert_int_equal(at, rows[i].behind);
        }
        arena_release(&memory);
    }
}

static void test_mx(void **state)
{
    static const struct {
        struct span rdata;
        int preference; /* -1: refused */
        const char *host;
    } rows[] = {
        {SPAN("\0\12\2MX\7example\3org\0"), 10, "mx.example.org"},
        {SPAN("\xff\xff\1a\0"), 65535, "a"},
        {SPAN("\0\0\0"), 0, ""},
        {SPAN("\0\12\3a b\0"), -1, NULL},
        {SPAN("\0\12\3a.b\0"), -1, NULL},
        {SPAN("\0\12\1a\0x"), -1, NULL},
        {SPAN("\0\12\1a"), -1, NULL},
        {SPAN("\0\12"), -1, NULL},
        {SPAN(""), -1, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena memory;
        struct rdata_mx mx;
        arena_init(&memory, 4096);
        assert_int_equal(rdata_mx(rows[i].rdata, &memory, &mx), rows[i].preference >= 0);
        if (rows[i].preference >= 0) {
            assert_int_equal(mx.preference, rows[i].preference);
            assert_true(span_is(mx.host, rows[i].host));
        }
        arena_release(&memory);
    }
}

static void test_texts(void **state)
{
    static const struct {
        struct span rdata;
        const char *text; /* NULL: refused */
    } rows[] = {
        {SPAN("\5hello"), "hello"}, {SPAN("\3one\3two"), "onetwo"}, {SPAN("\0"), ""}, {SPAN("\0\1x\0"), "x"},
        {SPAN("\6hello"), NULL},    {SPAN("\1x\1"), NULL},          {SPAN(""), NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena memory;
        struct span text;
        arena_init(&memory, 4096);
        assert_int_equal(rdata_text(rows[i].rdata, &memory, &text), rows[i].text != NULL);
        if (rows[i].text)
            assert_true(span_is(text, rows[i].text));
        arena_release(&memory);
    }
}

static void test_addresses(void **state)
{
    static const struct span sizes[] = {SPAN("123"), SPAN("12345"), SPAN(""), SPAN("12345678901234567")};
    struct ip_address address, expected;
    assert_true(rdata_address(span_text("\x7f\1\2\3"), &address));
    assert_true(ip_address_parse(span_text("127.1.2.3"), &expected));
    assert_true(ip_address_equal(&address, &expected));
    assert_true(rdata_address(span_from("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16), &address));
    assert_true(ip_address_parse(span_text("2001:db8::1"), &expected));
    assert_true(ip_address_equal(&address, &expected));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_false(rdata_address(sizes[i], &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_wire_names), cmocka_unit_test(test_mx),
        cmocka_unit_test(test_texts), cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
