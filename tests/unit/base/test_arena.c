#include "base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))

/* Pieces of every size are aligned, zeroed and apart from each other. */
static void test_pieces(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 64u << 20);
    for (unsigned round = 0; round < 2; round++) {
        unsigned char *pieces[600];
        for (size_t i = 0; i < ROWS(pieces); i++) {
            size_t size = i < 500 ? i : i * 17;
            pieces[i] = arena_alloc(&a, size);
            assert_non_null(pieces[i]);
            assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
            for (size_t n = 0; n < size; n++)
                assert_int_equal(pieces[i][n], 0);
            memset(pieces[i], (int)(i % 251 + 1), size);
        }
        for (size_t i = 0; i < ROWS(pieces); i++)
            for (size_t n = 0; n < (i < 500 ? i : i * 17); n++)
                assert_int_equal(pieces[i][n], i % 251 + 1);
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_release(&a);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        size_t limit, n, size; /* n elements, after one of 100 bytes (rounded to 112) */
        bool fits;
    } rows[] = {
        {1000, 1, 880, true},
        {1000, 1, 881, false}, /* rounded up it is 896 */
        {1000, 880, 1, true},
        {1000, 0, 5, true},
        {1000, 5, 0, true},
        {1000, SIZE_MAX, 2, false},
        {1000, SIZE_MAX / 2 + 2, 2, false}, /* wraps to 2 */
        {1000, SIZE_MAX, SIZE_MAX, false},
        {SIZE_MAX, 1, SIZE_MAX, false},
        {SIZE_MAX, 1, SIZE_MAX - 15, false}, /* with its block's header it would wrap */
        {SIZE_MAX, 1, SIZE_MAX - 31, false},
        {100000, 1, 90000, true},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct arena a;
        arena_init(&a, rows[i].limit);
        assert_non_null(arena_alloc(&a, 100));
        void *piece = arena_array(&a, rows[i].n, rows[i].size);
        if ((piece != NULL) != rows[i].fits)
            fail_msg("row %zu", i);
        /* One that failed costs nothing: what fits still fits. */
        assert_true(rows[i].fits || arena_alloc(&a, 16));
        arena_release(&a);
    }
}

static void test_reset_gives_back(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 10000);
    arena_reset(&a); /* of an empty one */
    for (unsigned i = 0; i < 100; i++) {
        assert_non_null(arena_alloc(&a, 9000));
        assert_null(arena_alloc(&a, 2000));
        assert_non_null(arena_alloc(&a, 900));
        arena_reset(&a);
    }
    arena_release(&a);
    arena_release(&a);
    assert_non_null(arena_alloc(&a, 1)); /* after release it is as after init */
    arena_release(&a);
}

/* What fails for the limit always will, what fails for lack of memory may not. */
static void test_why_it_failed(void **state)
{
    (void)state;
    struct arena a;
    volatile size_t too_much = SIZE_MAX / 4;
    arena_init(&a, SIZE_MAX / 2);
    assert_non_null(arena_alloc(&a, 100));
    assert_false(a.is_full || a.is_starved);
    assert_null(arena_alloc(&a, too_much));
    assert_true(!a.is_full && a.is_starved);
    assert_null(arena_alloc(&a, SIZE_MAX / 2));
    assert_true(a.is_full);
    arena_reset(&a);
    assert_false(a.is_full || a.is_starved);
    arena_release(&a);
}

/* A sanitizer ends the program where malloc() says no. */
const char *__asan_default_options(void) __attribute__((visibility("default")));
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void test_copies(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 64);
    struct span copy = arena_copy(&a, span_from("a\0b", 3));
    assert_true(span_equal(copy, span_from("a\0b", 3)));
    assert_int_equal(copy.data[3], 0);
    copy = arena_copy(&a, (struct span){NULL, 0});
    assert_non_null(copy.data);
    assert_int_equal(copy.size, 0);
    assert_string_equal(arena_text(&a, span_text("word")), "word");
    copy = arena_copy(&a, span_text("0123456789abcdef")); /* its NUL has no place */
    assert_null(copy.data);
    assert_int_equal(copy.size, 0);
    assert_null(arena_text(&a, (struct span){"", SIZE_MAX}));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces), cmocka_unit_test(test_limits),        cmocka_unit_test(test_reset_gives_back),
        cmocka_unit_test(test_copies), cmocka_unit_test(test_why_it_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
