#include "format/address_list.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A mailbox is written as [name|route|mailbox|host], a group as {name ... }. */
static void write_list(const struct address_list *list, struct buf *out)
{
    for (const struct address *a = list->first; a; a = a->next) {
        if (a->kind == ADDRESS_GROUP_END) {
            buf_add_char(out, '}');
            continue;
        }
        buf_add_char(out, a->kind == ADDRESS_GROUP_START ? '{' : '[');
        buf_add_span(out, a->name);
        if (a->kind == ADDRESS_GROUP_START)
            continue;
        const struct span others[] = {a->route, a->mailbox, a->host};
        for (size_t i = 0; i < 3; i++) {
            buf_add_char(out, '|');
            buf_add_span(out, others[i]);
        }
        buf_add_char(out, ']');
    }
    buf_add_char(out, 0);
}

struct row {
    struct span input;
    const char *expected;
};

static const struct row rows[] = {
    {SPAN(""), ""},
    {SPAN(" \r\n\t"), ""},
    {SPAN(",,, ,"), ""},
    {SPAN("joe@x.test"), "[||joe|x.test]"},
    {SPAN("<joe@x.test>"), "[||joe|x.test]"},
    {SPAN("Joe Q. Public <joe@x.test>"), "[Joe Q. Public||joe|x.test]"},
    {SPAN("\"Joe Q. Public\" <joe@x.test>"), "[Joe Q. Public||joe|x.test]"},
    {SPAN("\"Giant; \\\"Big\\\" Box\" <a@b>, c@d"), "[Giant; \"Big\" Box||a|b][||c|d]"},
    {SPAN("=?utf-8?q?Gr=C3=BC?= <a@b>"), "[=?utf-8?q?Gr=C3=BC?=||a|b]"},
    {SPAN("J\xC3\xB6rg <j\xC3\xB6rg@b\xC3\xBC"
          "cher.test>"),
     "[J\xC3\xB6rg||j\xC3\xB6rg|b\xC3\xBC"
     "cher.test]"},
    {SPAN("a@b,c@d , e@f"), "[||a|b][||c|d][||e|f]"},
    {SPAN("joe@x.test (Joe Public)"), "[Joe Public||joe|x.test]"},
    {SPAN("<joe@x.test> (Joe Public)"), "[Joe Public||joe|x.test]"},
    {SPAN("Joe (a comment (nested) \\) here) Public <joe@x.test>"), "[Joe Public||joe|x.test]"},
    {SPAN("Joe\r\n\tPublic\r\n <joe@x.test>"), "[Joe Public||joe|x.test]"},
    {SPAN("\"folded\r\n name\" <a@b>"), "[folded name||a|b]"},
    {SPAN("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"), "[Pete||pete|silly.test]"},
    {SPAN("joe . q @ x . test"), "[||joe.q|x.test]"},
    {SPAN("\"quoted local\"@x.test"), "[||quoted local|x.test]"},
    {SPAN("\"a@b\"@x.test"), "[||a@b|x.test]"},
    {SPAN("a@[192.0.2.1]"), "[||a|[192.0.2.1]]"},
    {SPAN("<a@[IPv6:2001:db8::1]>, b@c"), "[||a|[IPv6:2001:db8::1]][||b|c]"},
    {SPAN("<@a.test,@b.test:joe@x.test>"), "[|@a.test,@b.test|joe|x.test]"},
    {SPAN("Undisclosed recipients:;"), "{Undisclosed recipients}"},
    {SPAN("A Group:Ed <ed@a.test>,joe@b.test,John <j@c.test>;"),
     "{A Group[Ed||ed|a.test][||joe|b.test][John||j|c.test]}"},
    {SPAN("a@b, G: c@d;, e@f"), "[||a|b]{G[||c|d]}[||e|f]"},
    {SPAN("G: a@b; H: c@d;"), "{G[||a|b]}{H[||c|d]}"},
    {SPAN("G: a@b, c@d"), "{G[||a|b][||c|d]}"},
    {SPAN("G: H: a@b;"), "{G[||H: a|b]}"},
    {SPAN("root"), "[||root|]"},
    {SPAN("Some Body"), "[Some Body|||]"},
    {SPAN("<>"), "[|||]"},
    {SPAN("Name <>"), "[Name|||]"},
    {SPAN("Name <root>"), "[Name||root|]"},
    {SPAN("@x.test"), "[|||x.test]"},
    {SPAN("<@x.test>"), "[|||x.test]"},
    {SPAN("joe@"), "[||joe|]"},
    {SPAN("a@b <c@d>"), "[a@b||c|d]"},
    {SPAN("<a@b> <c@d>"), "[||a|b][||c|d]"},
    {SPAN("Joe <joe@x.test, b@c"), "[Joe||joe|x.test][||b|c]"},
    {SPAN("\"Joe <joe@x.test>, b@c"), "[\"Joe||joe|x.test][||b|c]"},
    {SPAN("Joe (unclosed <joe@x.test>, b@c"), "[Joe (unclosed||joe|x.test][||b|c]"},
    {SPAN("a@[1.2.3.4, b@c"), "[||a|[1.2.3.4][||b|c]"},
    {SPAN("(only a comment)"), ""},
    {SPAN("a@b\0c"), "[||a|b c]"},
    {SPAN("a; b@c"), "[||a|][||b|c]"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct buf out;
        struct address_list list = {.first = NULL};
        arena_init(&arena, 100000);
        buf_init(&out, 1000);
        address_list_parse(rows[i].input, &arena, &list);
        write_list(&list, &out);
        assert_string_equal(out.data, rows[i].expected);
        assert_false(list.truncated);
        buf_release(&out);
        arena_release(&arena);
    }
}

static size_t check_list(const struct address_list *list)
{
    size_t n = 0;
    bool in_group = false;
    for (const struct address *a = list->first; a; a = a->next, n++) {
        if (a->kind != ADDRESS_MAILBOX) {
            assert_int_equal(in_group, a->kind == ADDRESS_GROUP_END);
            in_group = !in_group;
        }
        if (!a->next)
            assert_ptr_equal(a, list->last);
    }
    assert_false(in_group);
    assert_true(n <= ADDRESS_LIST_MAX);
    return n;
}

/* Would take hours if it weren't linear. */
static void test_large(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "a@b,",  "g:",    "g:a@b;", "g:;",        "\"\\",   "\\\"", "(",     "((\\", ")",
        "<",     ">",     "<@",     "<@a:",       "[",      ",",    "\"a\"", " ",    "(a)",
        "a b\r", "\"a,(", "@",      "\"\\\"\"<,", "a@b(c)", ";",    "([\"",  ": <",  "\xC3\xBC. ",
    };
    size_t size = 2000000;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        size_t n = strlen(patterns[i]);
        for (size_t at = 0; at < size; at++)
            text[at] = patterns[i][at % n];
        struct arena arena;
        struct address_list list = {.first = NULL};
        arena_init(&arena, (size_t)8 << 20);
        address_list_parse(span_from(text, size), &arena, &list);
        size_t count = check_list(&list);
        if (i == 0) {
            assert_int_equal(count, ADDRESS_LIST_MAX);
            assert_true(list.truncated);
        }
        arena_release(&arena);
    }
    free(text);
}

/* At every size of the arena the list is whole as far as it goes. */
static void test_small_arenas(void **state)
{
    (void)state;
    struct span text = SPAN("\"A \\\"b\" <a@b>, Group: (x) c . d@e, f@g; h@i, last : ;");
    bool was_whole = false;
    for (size_t limit = 0; limit < 2000; limit += 16) {
        struct arena arena;
        struct address_list list = {.first = NULL};
        arena_init(&arena, limit);
        address_list_parse(text, &arena, &list);
        size_t count = check_list(&list);
        assert_true(list.truncated || count == 8);
        was_whole |= !list.truncated;
        arena_release(&arena);
    }
    assert_true(was_whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_small_arenas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
