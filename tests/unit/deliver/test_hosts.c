/* What of finding hosts is pure. */
#include "deliver/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct settings *make_settings(const char *text)
{
    struct buf problem;
    buf_init(&problem, 1000);
    struct settings *settings = settings_read_text("test", span_text(text), &problem);
    if (!settings)
        print_error("%.*s\n", SPAN_ARG(buf_span(&problem)));
    assert_non_null(settings);
    buf_release(&problem);
    return settings;
}

static void routes(void **state)
{
    static const struct {
        const char *destination, *smart_host;
        bool valid;
        enum site_kind kind;
        const char *host;
        unsigned port;
    } rows[] = {
        {"example.org", "", true, SITE_DOMAIN, "example.org", 2525},
        {"*local", "", true, SITE_LOCAL, "", 2525},
        {"*local", "smart.example", true, SITE_LOCAL, "", 2525},
        {"[192.0.2.1]", "", true, SITE_LITERAL, "192.0.2.1", 2525},
        {"[IPv6:2001:db8::1]", "", true, SITE_LITERAL, "2001:db8::1", 2525},
        {"[nonsense]", "", false, SITE_LITERAL, NULL, 0},
        {"mx.example:26", "", true, SITE_NEXT_HOP, "mx.example", 26},
        {"[::1]:26", "", true, SITE_NEXT_HOP, "::1", 26},
        {"mx.example:26", "smart.example", true, SITE_NEXT_HOP, "mx.example", 26},
        {"mx.example:0", "", false, SITE_NEXT_HOP, NULL, 0},
        {"mx.example:65536", "", false, SITE_NEXT_HOP, NULL, 0},
        {":25", "", false, SITE_NEXT_HOP, NULL, 0},
        {"", "", false, SITE_DOMAIN, NULL, 0},
        {"example.org", "smart.example", true, SITE_SMART_HOST, "smart.example", 2525},
        {"example.org", "smart.example:587", true, SITE_SMART_HOST, "smart.example", 587},
        {"[192.0.2.1]", "[2001:db8::2]:587", true, SITE_SMART_HOST, "2001:db8::2", 587},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[400];
        struct arena memory;
        struct site_route route;
        snprintf(text, sizeof text, "hostname = \"us.example\"\ncourier = { port = 2525, smart_host = \"%s\" }",
                 rows[i].smart_host);
        struct settings *settings = make_settings(text);
        arena_init(&memory, 4096);
        bool valid = site_route_parse(span_text(rows[i].destination), settings, &memory, &route);
        if (valid != rows[i].valid)
            print_error("row %zu: %s\n", i, rows[i].destination);
        assert_int_equal(valid, rows[i].valid);
        if (valid) {
            assert_int_equal(route.kind, rows[i].kind);
            assert_string_equal(route.host, rows[i].host);
            assert_int_equal(route.port, rows[i].port);
        }
        arena_release(&memory);
        settings_unref(settings);
    }
}

static void our_own(void **state)
{
    struct settings *settings = make_settings(
        "hostname = \"us.example\"\nlisteners = { { service = \"smtp\", address = \"192.0.2.1\", port = 25 }, "
        "{ service = \"smtp\", address = \"0.0.0.0\", port = 26 }, { service = \"pop3\", address = \"0.0.0.0\", port = "
        "110 } }");
    static const struct {
        const char *ip;
        unsigned port;
        bool ours;
    } rows[] = {{"192.0.2.1", 25, true}, {"192.0.2.2", 25, false}, {"192.0.2.1", 26, false},
                {"127.0.0.1", 26, true}, {"127.0.0.1", 25, false}, {"127.9.9.9", 26, true},
                {"0.0.0.0", 26, true},   {"127.0.0.1", 110, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address ip;
        assert_true(ip_address_parse(span_text(rows[i].ip), &ip));
        assert_int_equal(host_is_ours(settings, &ip, (uint16_t)rows[i].port), rows[i].ours);
    }
    settings_unref(settings);
}

static void mx_order(void **state)
{
    static const struct dns_mx_host given[] = {{30, "e"}, {10, "a"}, {20, "c"}, {10, "b"}, {20, "d"}};
    unsigned a_first = 0;
    for (uint64_t random = 0; random < 200; random++) {
        struct dns_mx_host hosts[5];
        memcpy(hosts, given, sizeof hosts);
        mx_shuffle(hosts, 5, random * 0x9e3779b97f4a7c15ull);
        static const unsigned preferences[] = {10, 10, 20, 20, 30};
        unsigned seen = 0;
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(hosts[i].preference, preferences[i]);
            seen |= 1u << (hosts[i].name[0] - 'a');
        }
        assert_int_equal(seen, 31);
        a_first += hosts[0].name[0] == 'a';
    }
    assert_true(a_first > 60 && a_first < 140);
}

static void mx_loops(void **state)
{
    static const struct dns_mx_host hosts[] = {{10, "a"}, {20, "b"}, {20, "us.example"}, {20, "c"}, {30, "d"}};
    assert_int_equal(mx_cut_loop(hosts, 5, "US.example"), 1);
    assert_int_equal(mx_cut_loop(hosts, 5, "other.example"), 5);
    assert_int_equal(mx_cut_loop(hosts, 5, "a"), 0);
    assert_int_equal(mx_cut_loop(hosts, 5, "d"), 4);
    assert_int_equal(mx_cut_loop(hosts, 0, "a"), 0);
}

static void families_by_turns(void **state)
{
    static const struct {
        const char *given, *wanted;
    } rows[] = {{"666644", "646466"}, {"64", "64"},     {"6", "6"}, {"444", "444"},
                {"64444", "64444"},   {"6644", "6464"}, {"", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address list[8];
        size_t count = strlen(rows[i].given);
        for (size_t j = 0; j < count; j++)
            assert_true(ip_address_parse(span_text(rows[i].given[j] == '6' ? "2001:db8::1" : "192.0.2.1"), &list[j]));
        addresses_alternate(list, count);
        for (size_t j = 0; j < count; j++)
            assert_int_equal(ip_address_is_ipv4(&list[j]), rows[i].wanted[j] == '4');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes),   cmocka_unit_test(our_own),           cmocka_unit_test(mx_order),
        cmocka_unit_test(mx_loops), cmocka_unit_test(families_by_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
