#include "format/whois.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Shapes of real answers; names and numbers are of the documentation's ranges. */
#define IANA                                                                                         \
    "% IANA WHOIS server\n% This query returned 1 object\n\nrefer:        whois.ripe.net\n\n"        \
    "inetnum:      192.0.0.0 - 192.255.255.255\norganisation: RIPE NCC\nstatus:       ALLOCATED\n\n" \
    "whois:        whois.ripe.net\n\nchanged:      1993-05\nsource:       IANA\n"
#define RIPE                                                                                                          \
    "% Information related to '192.0.2.0 - 192.0.2.255'\n\ninetnum:        192.0.2.0 - 192.0.2.255\n"                 \
    "netname:        EXAMPLE-NET\ndescr:          Example\ncountry:        de # Germany\nadmin-c:        DUMY-RIPE\n" \
    "source:         RIPE # Filtered\n\norganisation:   ORG-EX1-RIPE\ncountry:        NL\n\nroute:          "         \
    "192.0.0.0/16\norigin:         AS64497\nsource:         RIPE\n\nroute:          192.0.2.0/24\norigin:         "   \
    "AS64496\nsource:         RIPE\n\nroute:          198.51.100.0/24\norigin:         AS64499\n"
#define ARIN                                                                                                          \
    "#\n# ARIN WHOIS data and services are subject to the Terms of Use\n#\n\n# start\n\nNetRange:       192.0.0.0 - " \
    "192.0.127.255\nCIDR:           192.0.0.0/17\nNetName:        PARENT\nOriginAS:       \n\nOrgName:        Big\n"  \
    "Country:        CA\n\n# end\n\n# start\n\nNetRange:       192.0.2.0 - 192.0.2.255\nCIDR:           "             \
    "192.0.2.0/24\n"                                                                                                  \
    "NetName:        CHILD-1\nOriginAS:       AS64496, AS64497\n\nOrgName:        Small\nCountry:        US\n\n"      \
    "# end\n\n# start\n\nNetRange:       192.0.2.0 - 192.0.3.255\nNetName: MIDDLE\nCountry: MX\n"
#define LACNIC                                                                                           \
    "% Joint Whois - whois.lacnic.net\n%  This server accepts single ASN, IPv4 or IPv6 queries\n\n"      \
    "inetnum:     192.0.2/24\nstatus:      allocated\naut-num:     AS64500\nowner:       Exemplo S.A.\n" \
    "ownerid:     BR-EXSA-LACNIC\ncountry:     BR\n\nnic-hdl:     EXE\nperson:      Someone\ncountry:     AR\n"
#define APNIC                                                                                              \
    "% [whois.apnic.net]\n\ninet6num:       2001:db8::/32\nnetname:        EXAMPLE6\ncountry:        JP\n" \
    "source:         APNIC\n\nroute6:         2001:db8::/32\norigin:         AS64501\nsource:         APNIC\n"
#define AFRINIC                                                                                               \
    "% This is the AfriNIC Whois server.\n\ninetnum:        192.0.2.0 - 192.0.2.127\nnetname:        EX-ZA\n" \
    "country:        ZA\nsource:         AFRINIC # Filtered\nparent:         192.0.0.0 - 192.0.255.255\n"

static void answers(void **state)
{
    static const struct {
        const char *name, *text, *address;
        const char *country, *registry, *network, *as_number, *referral;
        unsigned port;
        const char *block;
        unsigned bits;
    } rows[] = {
        {"IANA", IANA, "192.0.2.7", "", "IANA", "", "", "whois.ripe.net", 43, "192.0.0.0", 8},
        {"RIPE", RIPE, "192.0.2.7", "DE", "RIPE", "EXAMPLE-NET", "AS64496", "", 43, "192.0.2.0", 24},
        {"RIPE, another address", RIPE, "198.51.100.1", "", "RIPE", "", "AS64499", "", 43, NULL, 0},
        {"ARIN: the narrowest of three", ARIN, "192.0.2.7", "US", "ARIN", "CHILD-1", "AS64496", "", 43, "192.0.2.0",
         24},
        {"ARIN: beside it", ARIN, "192.0.3.7", "MX", "ARIN", "MIDDLE", "", "", 43, "192.0.2.0", 23},
        {"LACNIC", LACNIC, "192.0.2.7", "BR", "LACNIC", "Exemplo S.A.", "AS64500", "", 43, "192.0.2.0", 24},
        {"APNIC", APNIC, "2001:db8::1", "JP", "APNIC", "EXAMPLE6", "AS64501", "", 43, "2001:db8::", 32},
        {"AFRINIC", AFRINIC, "192.0.2.7", "ZA", "AFRINIC", "EX-ZA", "", "", 43, "192.0.2.0", 25},
        {"a range that is no CIDR", "inetnum: 192.0.2.3 - 192.0.2.200\n", "192.0.2.70", "", "", "", "", "", 43,
         "192.0.2.64", 26},
        {"a range of one", "inetnum: 192.0.2.7 - 192.0.2.7\n", "192.0.2.7", "", "", "", "", "", 43, "192.0.2.7", 32},
        {"a range of another family", "inetnum: :: - ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n", "192.0.2.7", "", "",
         "", "", "", 43, NULL, 0},
        {"turned round", "inetnum: 192.0.2.255 - 192.0.2.0\n", "192.0.2.7", "", "", "", "", "", 43, NULL, 0},
        {"several", "CIDR: 192.0.0.0/24, 192.0.2.0/25\nNetName: B\n", "192.0.2.7", "", "", "B", "", "", 43, "192.0.2.0",
         25},
        {"wrong networks",
         "inetnum: 192.0.2.0/33\ninetnum: x/24\ninetnum: /24\ninetnum: 192.0.2.0/\ninetnum: -\n"
         "inetnum: 192.0.2.0/24/24\nCountry: DE\n",
         "192.0.2.7", "", "", "", "", "", 43, NULL, 0},
        {"a word that is no country", "inetnum: 192.0.2.0/24\ncountry: Germany\ncountry: D\ncountry: 12\ncountry: D_\n",
         "192.0.2.7", "", "", "", "", "", 43, "192.0.2.0", 24},
        {"a number that is no AS", "route: 192.0.2.0/24\norigin: ASX\norigin: AS12345678901\norigin: 7\n", "192.0.2.7",
         "", "", "", "", "", 43, NULL, 0},
        {"ReferralServer", "ReferralServer:  whois://Whois.Example.net:4321\n", "192.0.2.7", "", "", "", "",
         "whois.example.net", 4321, NULL, 0},
        {"rwhois", "ReferralServer: rwhois://rwhois.example.net:4321\n", "192.0.2.7", "", "", "", "", "", 43, NULL, 0},
        {"rwhois, then another", "ReferralServer: rwhois://r.example:4321\nReferralServer: whois://w.example/\n",
         "192.0.2.7", "", "", "", "", "w.example", 43, NULL, 0},
        {"no server", "refer: whois example\nrefer: http://x\nrefer: a:0\nrefer: a:65536\nrefer: -x\n", "192.0.2.7", "",
         "", "", "", "", 43, NULL, 0},
        {"empty", "", "192.0.2.7", "", "", "", "", "", 43, NULL, 0},
        {"no line end", "inetnum: 192.0.2.0/24", "192.0.2.7", "", "", "", "", "", 43, "192.0.2.0", 24},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address address, block;
        struct whois_answer a;
        assert_true(ip_address_parse(span_text(rows[i].address), &address));
        whois_read(span_text(rows[i].text), &address, &a);
        print_message("%s\n", rows[i].name);
        assert_string_equal(a.country, rows[i].country);
        assert_string_equal(a.registry, rows[i].registry);
        assert_string_equal(a.network, rows[i].network);
        assert_string_equal(a.as_number, rows[i].as_number);
        assert_string_equal(a.referral, rows[i].referral);
        assert_int_equal(a.referral_port, rows[i].port);
        if (!rows[i].block) {
            assert_int_equal(a.block.bits, 0);
            continue;
        }
        assert_true(ip_address_parse(span_text(rows[i].block), &block));
        assert_int_equal(a.block.bits, rows[i].bits + (ip_address_is_ipv4(&address) ? 96 : 0));
        assert_true(ip_address_equal(&a.block.address, &block));
    }
}

static struct whois_answer read_answer(const char *text)
{
    struct ip_address address;
    struct whois_answer answer;
    assert_true(ip_address_parse(span_text("192.0.2.7"), &address));
    whois_read(span_text(text), &address, &answer);
    return answer;
}

static void merging(void **state)
{
    struct whois_answer a = read_answer(IANA), later = read_answer(RIPE);
    whois_merge(&a, &later);
    assert_string_equal(a.registry, "RIPE");
    assert_string_equal(a.country, "DE");
    assert_string_equal(a.referral, "");
    assert_int_equal(a.block.bits, 96 + 24);
    /* What a later one does not say stays; a wider network than the one it was asked about is not believed. */
    later = read_answer("inetnum: 192.0.0.0/8\nnetname: WIDE\nrefer: x.example\n");
    whois_merge(&a, &later);
    assert_string_equal(a.country, "DE");
    assert_string_equal(a.network, "WIDE");
    assert_string_equal(a.referral, "x.example");
    assert_int_equal(a.block.bits, 96 + 24);
    later = read_answer("inetnum: 192.0.2.0/28\n");
    whois_merge(&a, &later);
    assert_int_equal(a.block.bits, 96 + 28);
}

static void what_is_remembered(void **state)
{
    static const struct {
        const char *address, *block;
        unsigned bits, remembered;
    } rows[] = {
        {"192.0.2.7", "192.0.2.0", 120, 120}, {"192.0.2.7", "192.0.0.0", 104, 112},
        {"192.0.2.7", "192.0.3.0", 120, 128}, {"192.0.2.7", "::", 0, 128},
        {"192.0.2.7", "::", 1, 112},          {"2001:db8::1", "2001:db8::", 48, 48},
        {"2001:db8::1", "2000::", 3, 32},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ip_address address, block;
        assert_true(ip_address_parse(span_text(rows[i].address), &address));
        assert_true(ip_address_parse(span_text(rows[i].block), &block));
        struct whois_network network = {block, rows[i].bits}, kept = whois_network_to_remember(&network, &address);
        assert_int_equal(kept.bits, rows[i].remembered);
        assert_true(whois_network_has(&kept, &address));
    }
}

static void servers(void **state)
{
    static const struct {
        const char *text, *host;
        unsigned port;
    } rows[] = {
        {"whois.iana.org", "whois.iana.org", 43},
        {"WHOIS://Whois.Example.NET/", "whois.example.net", 43},
        {"whois://a.example:4343/path", "a.example", 4343},
        {"192.0.2.43@4343", "192.0.2.43", 4343},
        {"192.0.2.43:43", "192.0.2.43", 43},
        {"2001:db8::1", "2001:db8::1", 43},
        {"[2001:db8::1]:44", "2001:db8::1", 44},
        {"2001:db8::1@44", "2001:db8::1", 44},
        {" a.example ", "a.example", 43},
        {"", NULL, 0},
        {"a.example:", NULL, 0},
        {"a.example:0", NULL, 0},
        {"a.example:65536", NULL, 0},
        {"a.example:4a", NULL, 0},
        {"rwhois://a.example:4321", NULL, 0},
        {"https://a.example", NULL, 0},
        {"a b", NULL, 0},
        {".example", NULL, 0},
        {"[2001:db8::1", "2001:db8::1", 43},
        {"a\nexample", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char host[WHOIS_HOST_MAX + 1];
        uint16_t port;
        bool good = whois_server_parse(span_text(rows[i].text), host, &port);
        if (good != (rows[i].host != NULL))
            print_error("%s\n", rows[i].text);
        assert_int_equal(good, rows[i].host != NULL);
        if (!good)
            continue;
        assert_string_equal(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
}

static void cleaning(void **state)
{
    static const struct {
        struct span raw;
        size_t room;
        const char *clean;
    } rows[] = {
        {SPAN("a\r\nb\n\tc"), 100, "a\nb\n\tc"},
        {SPAN("a\rb\r\r\nc\r"), 100, "a?b\nc"},
        {SPAN("\0\1\x1b[31m\x7f"), 100, "???[31m?"},
        {SPAN("M\xc3\xbcnchen"), 100, "M\xc3\xbcnchen"},
        {SPAN("M\xfcnchen"), 100, "M\xc3\xbcnchen"},
        {SPAN("\x80\x9f\xc3"), 100, "??\xc3\x83"},
        {SPAN("\xc2\x85\xe2\x80\xae\xe2\x80\x8bx\xef\xbb\xbf"), 100, "???x?"},
        {SPAN("\xed\xa0\x80"), 100, "\xc3\xad\xc2\xa0?"},
        {SPAN("\xf0\x9f\x93\xa8"), 100, "\xf0\x9f\x93\xa8"},
        {SPAN("ab\xc3\xbc"), 3, "ab"},
        {SPAN("abc"), 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 1000);
        buf_add_text(&out, "kept ");
        whois_clean(rows[i].raw, rows[i].room, &out);
        struct span clean = span_skip(buf_span(&out), 5);
        if (!span_is(clean, rows[i].clean))
            print_error("row %zu: %.*s\n", i, SPAN_ARG(clean));
        assert_true(span_is(clean, rows[i].clean));
        buf_release(&out);
    }
}

/* Nothing in an answer of the largest size takes more than a moment. */
static void large(void **state)
{
    static const char *const lines[] = {
        "inetnum:::-f::\n", "inetnum: 0.0.0.0-255.255.255.255\n", "route:1/1,1/1,1/1,1/1\n", "refer:a", "::::::\n",
        "netname: x\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct ip_address address = {{0x20}};
        struct whois_answer answer;
        struct buf text;
        buf_init(&text, 70000);
        while (text.size < 65536)
            buf_add_text(&text, lines[i]);
        whois_read(buf_span(&text), &address, &answer);
        assert_true(answer.referral_port == 43);
        buf_release(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers), cmocka_unit_test(merging),  cmocka_unit_test(what_is_remembered),
        cmocka_unit_test(servers), cmocka_unit_test(cleaning), cmocka_unit_test(large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
