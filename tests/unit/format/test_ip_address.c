#include "format/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/un.h>

#include <cmocka.h>

static const struct {
    struct span in;
    const char *out, *literal, *key; /* out NULL: refused */
    bool loopback;
} rows[] = {
    {SPAN("192.0.2.1"), "192.0.2.1", "[192.0.2.1]", "192.0.2.1", false},
    {SPAN("127.0.0.1"), "127.0.0.1", "[127.0.0.1]", "127.0.0.1", true},
    {SPAN("127.255.255.255"), "127.255.255.255", "[127.255.255.255]", "127.255.255.255", true},
    {SPAN("0.0.0.0"), "0.0.0.0", "[0.0.0.0]", "0.0.0.0", false},
    {SPAN("255.255.255.255"), "255.255.255.255", "[255.255.255.255]", "255.255.255.255", false},
    {SPAN("::1"), "::1", "[IPv6:::1]", "::", true},
    {SPAN("::"), "::", "[IPv6:::]", "::", false},
    {SPAN("2001:DB8:0:0:1:0:0:1"), "2001:db8::1:0:0:1", "[IPv6:2001:db8::1:0:0:1]", "2001:db8::", false},
    {SPAN("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1", "[IPv6:2001:db8:0:1:1:1:1:1]", "2001:db8:0:1::", false},
    {SPAN("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1", "[IPv6:2001:0:0:1::1]", "2001:0:0:1::", false},
    {SPAN("fe80::"), "fe80::", "[IPv6:fe80::]", "fe80::", false},
    {SPAN("1:2:3:4:5:6:7:8"), "1:2:3:4:5:6:7:8", "[IPv6:1:2:3:4:5:6:7:8]", "1:2:3:4::", false},
    {SPAN("1:2:3:4:5:6:0:0"), "1:2:3:4:5:6::", "[IPv6:1:2:3:4:5:6::]", "1:2:3:4::", false},
    {SPAN("::ffff:192.0.2.1"), "192.0.2.1", "[192.0.2.1]", "192.0.2.1", false},
    {SPAN("64:ff9b::192.0.2.1"), "64:ff9b::c000:201", "[IPv6:64:ff9b::c000:201]", "64:ff9b::", false},
    {SPAN(""), NULL, NULL, NULL, false},
    {SPAN("192.0.2"), NULL, NULL, NULL, false},
    {SPAN("192.0.2.1.1"), NULL, NULL, NULL, false},
    {SPAN("192.0.2.256"), NULL, NULL, NULL, false},
    {SPAN("192.0.2.010"), NULL, NULL, NULL, false},
    {SPAN("192.0.2.0x1"), NULL, NULL, NULL, false},
    {SPAN("192.0.2.1 "), NULL, NULL, NULL, false},
    {SPAN(" 192.0.2.1"), NULL, NULL, NULL, false},
    {SPAN("192.0.2.1\0"), NULL, NULL, NULL, false},
    {SPAN("3221225985"), NULL, NULL, NULL, false},
    {SPAN("1:2:3:4:5:6:7"), NULL, NULL, NULL, false},
    {SPAN("1:2:3:4:5:6:7:8:9"), NULL, NULL, NULL, false},
    {SPAN("1::2::3"), NULL, NULL, NULL, false},
    {SPAN("12345::"), NULL, NULL, NULL, false},
    {SPAN("fe80::1%eth0"), NULL, NULL, NULL, false},
    {SPAN("[::1]"), NULL, NULL, NULL, false},
    {SPAN("::ffff:192.000.002.001:aaaaaaaaaaaaaaaaaaaaaaaaaaaa"), NULL, NULL, NULL, false},
};

static bool writes(void (*write)(const struct ip_address *, struct buf *), const struct ip_address *address,
                   const char *expected)
{
    struct buf out;

    buf_init(&out, 100);
    write(address, &out);
    bool is_right = span_is(buf_span(&out), expected) && out.size <= IP_ADDRESS_TEXT_MAX + 8;
    buf_release(&out);
    return is_right;
}

static void each_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct ip_address address, again;
        assert_int_equal(ip_address_parse(rows[i].in, &address), rows[i].out != NULL);
        if (!rows[i].out)
            continue;
        assert_true(writes(ip_address_write, &address, rows[i].out));
        assert_true(writes(ip_address_write_literal, &address, rows[i].literal));
        struct ip_address key = ip_address_counting_key(&address);
        assert_true(writes(ip_address_write, &key, rows[i].key));
        assert_int_equal(ip_address_is_loopback(&address), rows[i].loopback);
        assert_int_equal(ip_address_is_ipv4(&address), strchr(rows[i].out, '.') != NULL);
        assert_true(ip_address_parse_literal(span_text(rows[i].literal), &again));
        assert_true(ip_address_equal(&address, &again));
        again.bytes[15] ^= 1;
        assert_false(ip_address_equal(&address, &again));
    }
}

static void wrong_literals(void **state)
{
    static const struct span wrong[] = {
        SPAN(""),           SPAN("[]"),      SPAN("192.0.2.1"),    SPAN("[192.0.2.1"),
        SPAN("192.0.2.1]"), SPAN("[::1]"),   SPAN("[IPv6:]"),      SPAN("[IPv6:192.0.2.1]"),
        SPAN("[IPv6::1]"),  SPAN("[tag:x]"), SPAN("[ 192.0.2.1]"),
    };
    struct ip_address address;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_false(ip_address_parse_literal(wrong[i], &address));
    assert_true(ip_address_parse_literal(span_text("[ipv6:::1]"), &address));
}

static void from_sockets(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000201)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct ip_address address;

    (void)state;
    assert_true(ip_address_from_sockaddr((const struct sockaddr *)&in, &address));
    assert_true(writes(ip_address_write, &address, "192.0.2.1"));
    assert_true(ip_address_from_sockaddr((const struct sockaddr *)&in6, &address));
    assert_true(writes(ip_address_write, &address, "::1"));
    assert_false(ip_address_from_sockaddr((const struct sockaddr *)&un, &address));
}

static void public_ones(void **state)
{
    static const struct {
        const char *text;
        bool is_public;
    } addresses[] = {
        {"0.0.0.0", false},
        {"0.1.2.3", false},
        {"1.0.0.0", true},
        {"9.255.255.255", true},
        {"10.0.0.0", false},
        {"11.0.0.0", true},
        {"100.63.255.255", true},
        {"100.64.0.1", false},
        {"100.127.255.255", false},
        {"100.128.0.0", true},
        {"127.0.0.1", false},
        {"169.254.1.1", false},
        {"172.15.255.255", true},
        {"172.16.0.0", false},
        {"172.31.255.255", false},
        {"172.32.0.0", true},
        {"192.0.0.8", false},
        {"192.0.2.7", true},
        {"192.168.0.1", false},
        {"198.17.255.255", true},
        {"198.18.0.1", false},
        {"198.19.255.255", false},
        {"198.20.0.0", true},
        {"223.255.255.255", true},
        {"224.0.0.1", false},
        {"240.0.0.1", false},
        {"255.255.255.255", false},
        {"::", false},
        {"::1", false},
        {"fe80::1", false},
        {"fc00::1", false},
        {"fd12::1", false},
        {"ff02::1", false},
        {"fec0::1", false},
        {"2001:db8::1", true},
        {"2a00:1450::1", true},
        {"::7f00:1", false},
        {"64:ff9b::7f00:1", false},
        {"64:ff9b::100:1", true},
        {"2002:7f00:1::1", false},
        {"2002:102:304::1", true},
        {"1fff::1", false},
        {"4000::1", false},
    };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        struct ip_address address;
        assert_true(ip_address_parse(span_text(addresses[i].text), &address));
        if (ip_address_is_public(&address) != addresses[i].is_public)
            print_error("%s\n", addresses[i].text);
        assert_int_equal(ip_address_is_public(&address), addresses[i].is_public);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
        cmocka_unit_test(wrong_literals),
        cmocka_unit_test(from_sockets),
        cmocka_unit_test(public_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
