#include "format/verp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct span key = SPAN("0123456789abcdef0123456789abcdef");
static const struct span other_key = SPAN("0123456789abcdef0123456789abcdeF");
static const struct span domain = SPAN("example.org");

static struct buf written(const char *list, uint64_t member)
{
    struct buf out;
    buf_init(&out, 2048);
    verp_write(span_text(list), domain, member, key, &out);
    assert_false(buf_failed(&out));
    return out;
}

static struct span local_of(const struct buf *address)
{
    return span_head(buf_span(address), span_find_last(buf_span(address), '@'));
}

static void there_and_back(void **state)
{
    static const struct {
        const char *list;
        uint64_t member;
    } rows[] = {{"choir", 1}, {"choir", INT64_MAX}, {"my-bounces", 7}, {"a+b", 12}, {"choir", 0}, {"a+b", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = written(rows[i].list, rows[i].member);
        struct verp verp;
        assert_true(verp_parse(local_of(&out), &verp));
        assert_true(span_is(verp.list, rows[i].list));
        assert_true(verp.member == rows[i].member);
        assert_true(verp_is_right(&verp, domain, key));
        assert_true(verp_is_right(&verp, span_text("EXAMPLE.org"), key));
        assert_int_equal(verp_is_right(&verp, domain, other_key), !rows[i].member);
        assert_int_equal(verp_is_right(&verp, span_text("example.com"), key), !rows[i].member);
        buf_release(&out);
    }
}

static void forged(void **state)
{
    struct buf out = written("choir", 12);
    struct verp verp;
    assert_true(verp_parse(local_of(&out), &verp));
    struct verp member = verp, list = verp, cut = verp, none = verp;
    member.member = 13;
    assert_false(verp_is_right(&member, domain, key));
    list.list = span_text("board");
    assert_false(verp_is_right(&list, domain, key));
    cut.hash = span_head(verp.hash, 5);
    assert_false(verp_is_right(&cut, domain, key));
    none.hash = (struct span){0};
    assert_false(verp_is_right(&none, domain, key));
    buf_release(&out);
}

static void ordinary_names(void **state)
{
    static const char *const rows[] = {"",
                                       "choir",
                                       "-bounces",
                                       "-bounces+1-abcdef",
                                       "choir-bounces+",
                                       "choir-bounces+x-abcdef",
                                       "choir-bounces+0-abcdef",
                                       "choir-bounces+99999999999999999999-abcdef",
                                       "choir-bounce+1-abcdef",
                                       "choir+1-abcdef",
                                       "+1-abcdef",
                                       "bounces+1-abcdef"};
    struct verp verp;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (verp_parse(span_text(rows[i]), &verp))
            fail_msg("%s", rows[i]);
    /* As every address was before there was a hash. */
    assert_true(verp_parse(span_text("choir-bounces+12"), &verp));
    assert_false(verp_is_right(&verp, domain, key));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(forged),
        cmocka_unit_test(ordinary_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
