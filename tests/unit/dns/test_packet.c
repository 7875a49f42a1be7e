#include "dns/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* The question for a.test, at offset 12. */
#define QUESTION(type) "\1a\4test\0\0" type "\0\1"
#define HEADER(rcode, answers, authorities) "\x12\x34\x81" rcode "\0\1\0" answers "\0" authorities "\0\0"
/* TTL 60; the name is a pointer to the question's. */
#define RECORD(type, size) "\xc0\x0c\0" type "\0\1\0\0\0\x3c\0" size
#define SOA(ttl) "\xc0\x0e\0\6\0\1\0\0\0" ttl "\0\x1a\2ns\xc0\x0e\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x1e"

static void test_packets(void **state)
{
    static const struct {
        const char *name;
        struct span message;
        unsigned type;
        int count; /* -1: can't be read */
        unsigned rcode, ttl;
        const char *canonical;
    } rows[] = {
        {"an address", SPAN(HEADER("\x80", "\1", "\0") QUESTION("\1") RECORD("\1", "\4") "\x7f\0\0\2"), 1, 1, 0, 60,
         ""},
        {"another type", SPAN(HEADER("\x80", "\1", "\0") QUESTION("\1") RECORD("\1", "\4") "\x7f\0\0\2"), 16, 0, 0, 0,
         ""},
        {"another name",
         SPAN(HEADER("\x80", "\1", "\0") QUESTION("\1") "\1b\0\0\1\0\1\0\0\0\x3c\0\4"
                                                        "\x7f\0\0\2"),
         1, 0, 0, 0, ""},
        {"a CNAME first",
         SPAN(HEADER("\x80", "\2", "\0") QUESTION("\1") RECORD("\5", "\4") "\1c\xc0\x0e"
                                                                           "\xc0\x24\0\1\0\1\0\0\0\7\0\4"
                                                                           "\x7f\0\0\2"),
         1, 1, 0, 7, "c.test"},
        {"no such name", SPAN(HEADER("\x83", "\0", "\0") QUESTION("\1")), 1, 0, 3, 0, ""},
        {"an MX", SPAN(HEADER("\x80", "\1", "\0") QUESTION("\xf") RECORD("\xf", "\6") "\0\12\1m\xc0\x0e"), 15, 1, 0, 60,
         ""},
        {"an MX with a rest", SPAN(HEADER("\x80", "\1", "\0") QUESTION("\xf") RECORD("\xf", "\7") "\0\12\1m\xc0\x0ex"),
         15, -1, 0, 0, ""},
        {"a name past its data",
         SPAN(HEADER("\x80", "\1", "\0") QUESTION("\xf") RECORD("\xf", "\3") "\0\12\1m\xc0\x0e"), 15, -1, 0, 0, ""},
        {"data cut", SPAN(HEADER("\x80", "\1", "\0") QUESTION("\1") RECORD("\1", "\4") "\x7f\0\0"), 1, -1, 0, 0, ""},
        {"a record missing", SPAN(HEADER("\x80", "\1", "\0") QUESTION("\1")), 1, -1, 0, 0, ""},
        {"header cut", SPAN("\x12\x34\x81\x80\0\1\0\0"), 1, -1, 0, 0, ""},
        {"two questions", SPAN("\x12\x34\x81\x80\0\2\0\0\0\0\0\0" QUESTION("\1")), 1, -1, 0, 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena memory;
        struct dns_packet packet;
        arena_init(&memory, 1 << 16);
        bool read = dns_packet_parse(rows[i].message, rows[i].type, &memory, &packet);
        if (read != (rows[i].count >= 0) || (read && (packet.count != (size_t)rows[i].count ||
                                                      packet.rcode != rows[i].rcode || packet.ttl != rows[i].ttl)))
            fail_msg("%s", rows[i].name);
        if (read && !span_is(packet.canonical, rows[i].canonical))
            fail_msg("%s: %.*s", rows[i].name, SPAN_ARG(packet.canonical));
        arena_release(&memory);
    }
}

/* RFC 2308: the smaller of the SOA's TTL and its last field. */
static void test_negative_ttl(void **state)
{
    static const struct span larger = SPAN(HEADER("\x83", "\0", "\1") QUESTION("\1") SOA("\xff"));
    static const struct span smaller = SPAN(HEADER("\x83", "\0", "\1") QUESTION("\1") SOA("\5"));
    struct arena memory;
    struct dns_packet packet;
    arena_init(&memory, 1 << 16);
    assert_true(dns_packet_parse(larger, 1, &memory, &packet));
    assert_int_equal(packet.ttl, 30);
    assert_true(dns_packet_parse(smaller, 1, &memory, &packet));
    assert_int_equal(packet.ttl, 5);
    arena_release(&memory);
}

static void test_expanded_names(void **state)
{
    static const struct span message =
        SPAN(HEADER("\x80", "\1", "\0") QUESTION("\xf") RECORD("\xf", "\6") "\0\12\1M\xc0\x0e");
    struct arena memory;
    struct dns_packet packet;
    arena_init(&memory, 1 << 16);
    assert_true(dns_packet_parse(message, 15, &memory, &packet));
    assert_true(span_equal(packet.records[0], span_from("\0\12\1m\4test\0", 10)));
    arena_release(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets),
        cmocka_unit_test(test_negative_ttl),
        cmocka_unit_test(test_expanded_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
