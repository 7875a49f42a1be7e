#include "format/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10
#define A63 A60 "aaa"

enum { REVERSE = 1, FORWARD = 2, UTF8 = 4, BOTH = REVERSE | FORWARD };

static const struct path_row {
    struct span in;
    int how;
    const char *problem;
    const char *local, *domain;
    const char *rest;
    const char *flags; /* n null, l literal, r route, q quoted, u utf8 */
} path_rows[] = {
    {SPAN("<>"), REVERSE, NULL, "", "", "", "n"},
    {SPAN("<>"), FORWARD, "an empty path"},
    {SPAN("<a@b.example>"), BOTH, NULL, "a", "b.example", "", ""},
    {SPAN("  \t<a@b.example> SIZE=1"), BOTH, NULL, "a", "b.example", " SIZE=1", ""},
    {SPAN("<A.b+C@EXAMPLE.Org>x"), BOTH, NULL, "A.b+C", "example.org", "x", ""},
    {SPAN("<!#$%&'*+-/=?^_`{|}~@x>"), BOTH, NULL, "!#$%&'*+-/=?^_`{|}~", "x", "", ""},
    {SPAN("<a@under_score.example>"), BOTH, NULL, "a", "under_score.example", "", ""},
    {SPAN("<a@1.2.3.4>"), BOTH, NULL, "a", "1.2.3.4", "", ""},
    {SPAN("<\"a.b\"@x>"), BOTH, NULL, "a.b", "x", "", "q"},
    {SPAN("<\"a b\"@x>"), BOTH, NULL, "a b", "x", "", "q"},
    {SPAN("<\"a\\\"\\\\b>@,\"@x>"), BOTH, NULL, "a\"\\b>@,", "x", "", "q"},
    {SPAN("<\"\\a\\b\"@x>"), BOTH, NULL, "ab", "x", "", "q"},
    {SPAN("<\"\"@x>"), BOTH, "an empty local part"},
    {SPAN("<\"a@x>"), BOTH, "a quoted local part without its closing quote"},
    {SPAN("<\"a\\"), BOTH, "a quoted local part without its closing quote"},
    {SPAN("<\"a\tb\"@x>"), BOTH, "a control character in the local part"},
    {SPAN("<\"a\\\tb\"@x>"), BOTH, "a control character in the local part"},
    {SPAN("<\"a\0b\"@x>"), BOTH, "a control character in the local part"},
    {SPAN("<a\0b@x>"), BOTH, "a control character in the local part"},
    {SPAN("<\x7f@x>"), BOTH, "a control character in the local part"},
    {SPAN("<a\r\nRCPT TO:<b>@x>"), BOTH, "a control character in the local part"},
    {SPAN("<\"a\"b@x>"), BOTH, "a character in the local part that can't be there without quotes"},
    {SPAN("<a b@x>"), BOTH, "a character in the local part that can't be there without quotes"},
    {SPAN("< a@x>"), BOTH, "a character in the local part that can't be there without quotes"},
    {SPAN("<<a@x>>"), BOTH, "a character in the local part that can't be there without quotes"},
    {SPAN("<.a@x>"), BOTH, "a dot at the start of the local part"},
    {SPAN("<a.@x>"), BOTH, "a dot at the end of the local part"},
    {SPAN("<a..b@x>"), BOTH, "two dots in a row in the local part"},
    {SPAN(""), BOTH, "missing '<'"},
    {SPAN("a@x"), BOTH, "missing '<'"},
    {SPAN("<"), BOTH, "the local part is missing"},
    {SPAN("<a"), BOTH, "the domain is missing"},
    {SPAN("<a>"), BOTH, "the domain is missing"},
    {SPAN("<a@"), BOTH, "the domain is missing"},
    {SPAN("<a@>"), BOTH, "the domain is missing"},
    {SPAN("<a@x"), BOTH, "missing '>'"},
    {SPAN("<a@x y>"), BOTH, "a character in the path that can't be there"},
    {SPAN("<a@x@y>"), BOTH, "a character in the path that can't be there"},
    {SPAN("<a@(x)>"), BOTH, "a character in the domain that can't be there"},
    {SPAN("<a@\0>"), BOTH, "a control character in the domain"},
    {SPAN("<a@x.>"), BOTH, "a dot at the end of the domain"},
    {SPAN("<a@.x>"), BOTH, "an empty label in the domain"},
    {SPAN("<a@x..y>"), BOTH, "an empty label in the domain"},
    {SPAN("<a@-x>"), BOTH, "a label of the domain begins or ends with a hyphen"},
    {SPAN("<a@x-.y>"), BOTH, "a label of the domain begins or ends with a hyphen"},
    {SPAN("<a@" A63 ".b>"), BOTH, NULL, "a", A63 ".b", "", ""},
    {SPAN("<a@" A63 "a.b>"), BOTH, "a label of the domain is longer than 63 octets"},
    {SPAN("<a@" A63 "." A63 "." A63 "." A63 ".b>"), BOTH, "the domain is longer than 255 octets"},
    {SPAN("<" A63 "a@b>"), BOTH, NULL, A63 "a", "b", "", ""},
    {SPAN("<" A63 "ab@b>"), BOTH, NULL, A63 "ab", "b", "", ""},
    {SPAN("<" A63 A63 A63 A60 "aaa@b>"), BOTH, NULL, A63 A63 A63 A60 "aaa", "b", "", ""},
    {SPAN("<" A63 A63 A63 A60 "aaaa@b>"), BOTH, "the path is longer than 256 octets"},
    {SPAN("<a@[192.0.2.1]>"), BOTH, NULL, "a", "[192.0.2.1]", "", "l"},
    {SPAN("<a@[IPv6:2001:DB8::1]>"), BOTH, NULL, "a", "[ipv6:2001:db8::1]", "", "l"},
    {SPAN("<a@[192.0.2.01]>"), BOTH, "an address literal that is no IP address"},
    {SPAN("<a@[x-tag:content]>"), BOTH, "an address literal that is no IP address"},
    {SPAN("<a@[192.0.2.1>"), BOTH, "an address literal without its ']'"},
    {SPAN("<a@[192.0.2.1]x>"), BOTH, "a character in the path that can't be there"},
    {SPAN("<@r:a@b>"), BOTH, NULL, "a", "b", "", "r"},
    {SPAN("<@r.example,@[192.0.2.1],@s:\"a b\"@b>"), BOTH, NULL, "a b", "b", "", "rq"},
    {SPAN("<@r,s:a@b>"), BOTH, "a source route without its '@'"},
    {SPAN("<@r>"), BOTH, "a source route without its ':'"},
    {SPAN("<@r a@b>"), BOTH, "a source route without its ':'"},
    {SPAN("<@-:a@b>"), BOTH, "a source route with a bad domain"},
    {SPAN("<@:a@b>"), BOTH, "a source route with a bad domain"},
    {SPAN("<@[1:a@b>"), BOTH, "a source route with a bad address literal"},
    {SPAN("<@[1.2.3]:a@b>"), BOTH, "a source route with a bad address literal"},
    {SPAN("<@r:>"), BOTH, "a character in the local part that can't be there without quotes"},
    {SPAN("<PostMaster>"), FORWARD, NULL, "PostMaster", "", "", ""},
    {SPAN("<postmaster> 12"), FORWARD, NULL, "postmaster", "", " 12", ""},
    {SPAN("<postmaster>"), REVERSE, "the domain is missing"},
    {SPAN("<postmasters>"), FORWARD, "the domain is missing"},
    {SPAN("<postmaster"), FORWARD, "the domain is missing"},
    {SPAN("<postmaster@x>"), FORWARD, NULL, "postmaster", "x", "", ""},
    {SPAN("<\xc3\xa9@x>"), BOTH, "an 8-bit character without SMTPUTF8"},
    {SPAN("<a@\xc3\xa9>"), BOTH, "an 8-bit character without SMTPUTF8"},
    {SPAN("<\xc3\xa9@X>"), BOTH | UTF8, NULL, "\xc3\xa9", "x", "", "u"},
    {SPAN("<\"\xc3\xa9\"@x>"), BOTH | UTF8, NULL, "\xc3\xa9", "x", "", "qu"},
    {SPAN("<a@B\xc3\x89.x>"), BOTH | UTF8, NULL, "a", "b\xc3\x89.x", "", "u"},
    {SPAN("<@\xc3\xa9:a@b>"), BOTH | UTF8, NULL, "a", "b", "", "ru"},
    {SPAN("<a@b>"), BOTH | UTF8, NULL, "a", "b", "", ""},
    {SPAN("<\xff@x>"), BOTH | UTF8, "bytes that are not UTF-8"},
    {SPAN("<a@\xc3>"), BOTH | UTF8, "bytes that are not UTF-8"},
};

static void check_path(const struct path_row *row, enum path_kind kind)
{
    struct arena arena;
    /* A block of just its size, so that AddressSanitizer sees a step too far. */
    char *copy = malloc(row->in.size + !row->in.size);
    struct mail_path path;

    assert_non_null(copy);
    memcpy(copy, row->in.data, row->in.size);
    struct span input = span_from(copy, row->in.size);
    arena_init(&arena, 4096);
    const char *problem = mail_path_parse(&input, kind, row->how & UTF8, &arena, &path);
    if (row->problem || problem) {
        if (!problem || !row->problem)
            fprintf(stderr, "%.*s\n", SPAN_ARG(row->in));
        assert_string_equal(problem ? problem : "fine", row->problem ? row->problem : "fine");
    } else {
        assert_true(span_is(path.local_part, row->local));
        assert_true(span_is(path.domain, row->domain));
        assert_true(span_is(input, row->rest));
        assert_int_equal(path.is_null, strchr(row->flags, 'n') != NULL);
        assert_int_equal(path.is_literal, strchr(row->flags, 'l') != NULL);
        assert_int_equal(path.had_route, strchr(row->flags, 'r') != NULL);
        assert_int_equal(path.quoted, strchr(row->flags, 'q') != NULL);
        assert_int_equal(path.has_utf8, strchr(row->flags, 'u') != NULL);
        size_t start = span_find(row->in, '<') + 1;
        assert_true(span_equal(path.text, span_from(row->in.data + start, row->in.size - input.size - start - 1)));
    }
    arena_release(&arena);
    free(copy);
}

static void paths(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(path_rows) / sizeof(*path_rows); i++) {
        if (path_rows[i].how & REVERSE)
            check_path(&path_rows[i], REVERSE_PATH);
        if (path_rows[i].how & FORWARD)
            check_path(&path_rows[i], FORWARD_PATH);
    }
}

static void literals_are_read(void **state)
{
    struct arena arena;
    struct span input = span_text("<a@[192.0.2.1]>");
    struct mail_path path;
    struct ip_address expected;

    (void)state;
    arena_init(&arena, 4096);
    assert_null(mail_path_parse(&input, FORWARD_PATH, false, &arena, &path));
    assert_true(ip_address_parse(span_text("192.0.2.1"), &expected));
    assert_true(ip_address_equal(&path.literal, &expected));
    arena_release(&arena);
}

static void bare_addresses(void **state)
{
    static const struct {
        struct span in;
        bool utf8;
        const char *problem, *local, *domain;
    } rows[] = {
        {SPAN("a@B.example"), false, NULL, "a", "b.example"},
        {SPAN("\"a b\"@x"), false, NULL, "a b", "x"},
        {SPAN("a@[192.0.2.1]"), false, NULL, "a", "[192.0.2.1]"},
        {SPAN("\xc3\xa9@x"), true, NULL, "\xc3\xa9", "x"},
        {SPAN("\xc3\xa9@x"), false, "an 8-bit character without SMTPUTF8"},
        {SPAN(""), false, "the local part is missing"},
        {SPAN("a"), false, "the domain is missing"},
        {SPAN("@x"), false, "the local part is missing"},
        {SPAN("<a@x>"), false, "a character in the local part that can't be there without quotes"},
        {SPAN("a@x "), false, "a character in the domain that can't be there"},
        {SPAN("@r:a@x"), false, "the local part is missing"},
        {SPAN(A63 "ab@x"), false, NULL, A63 "ab", "x"},
        {SPAN(A60 "@" A63 "." A63 "." A63 ".b"), false, NULL, A60, A63 "." A63 "." A63 ".b"},
        {SPAN(A60 "@" A63 "." A63 "." A63 ".bc"), false, "the address is longer than 254 octets"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct arena arena;
        struct mail_path path;
        arena_init(&arena, 4096);
        const char *problem = mail_address_parse(rows[i].in, rows[i].utf8, &arena, &path);
        assert_string_equal(problem ? problem : "", rows[i].problem ? rows[i].problem : "");
        if (!problem) {
            assert_true(span_is(path.local_part, rows[i].local));
            assert_true(span_is(path.domain, rows[i].domain));
            assert_true(span_equal(path.text, rows[i].in));
        }
        arena_release(&arena);
    }
}

static void a_full_arena_is_a_problem(void **state)
{
    static const char *const texts[] = {"<a@b>", "<\"\\a\"@b>", "<a@[192.0.2.1]>"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        struct arena arena;
        struct mail_path path;
        struct span input = span_text(texts[i]), ascii;
        arena_init(&arena, 0);
        const char *problem = mail_path_parse(&input, FORWARD_PATH, false, &arena, &path);
        assert_string_equal(problem, "no memory for the address");
        assert_non_null(domain_to_ascii(&arena, span_text("x"), &ascii));
        assert_non_null(domain_to_ascii(&arena, span_text("\xc3\xa9"), &ascii));
        arena_release(&arena);
    }
}

static void domains_to_ascii(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"Example.ORG", "example.org"},
        {"b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.example"},
        {"B\xc3\x9c"
         "CHER.example",
         "xn--bcher-kva.example"},
        {"fa\xc3\x9f.example", "xn--fa-hia.example"}, /* non-transitional: not "fass" */
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"[IPv6:::1]", "[ipv6:::1]"},
        {"", NULL},
        {"a..b", NULL},
        {"\xe2\x80\x8b", NULL},
        {"\xff.example", NULL},
        {"\xc3\xa9.-x", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct arena arena;
        struct span ascii;
        arena_init(&arena, 4096);
        const char *problem = domain_to_ascii(&arena, span_text(rows[i].in), &ascii);
        assert_int_equal(problem == NULL, rows[i].out != NULL);
        if (!problem)
            assert_true(span_is(ascii, rows[i].out));
        arena_release(&arena);
    }
}

static void writing_quotes_where_it_must(void **state)
{
    static const struct {
        struct span local, domain;
        const char *out;
    } rows[] = {
        {SPAN("a.b"), SPAN("x"), "a.b@x"},
        {SPAN("a b"), SPAN("x"), "\"a b\"@x"},
        {SPAN("a\"\\b"), SPAN("x"), "\"a\\\"\\\\b\"@x"},
        {SPAN(".a"), SPAN("x"), "\".a\"@x"},
        {SPAN("a."), SPAN("x"), "\"a.\"@x"},
        {SPAN("a..b"), SPAN("x"), "\"a..b\"@x"},
        {SPAN(""), SPAN("x"), "\"\"@x"},
        {SPAN("Postmaster"), SPAN(""), "Postmaster"},
        {SPAN("\xc3\xa9"), SPAN("x"), "\xc3\xa9@x"},
        {SPAN("a\r\nb"), SPAN("x\r\ny\0"), "\"ab\"@xy"},
    };
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        buf_reset(&out);
        mail_path_write(rows[i].local, rows[i].domain, &out);
        assert_true(span_is(buf_span(&out), rows[i].out));
    }
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(literals_are_read),
        cmocka_unit_test(bare_addresses),
        cmocka_unit_test(a_full_arena_is_a_problem),
        cmocka_unit_test(domains_to_ascii),
        cmocka_unit_test(writing_quotes_where_it_must),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
