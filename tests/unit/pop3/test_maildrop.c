#include "pop3/maildrop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct span entries(const struct pop3_message *messages, size_t count)
{
    return span_from(messages, count * sizeof *messages);
}

static void test_pages(void **state)
{
    (void)state;
    struct pop3_maildrop m = {.uidvalidity = 0x12ab, .mailbox_id = 7};
    const struct pop3_message first[] = {{100, 3, 0}, {200, 4, 0}}, second[] = {{50, 9, 0}};
    assert_int_equal(pop3_maildrop_add(&m, entries(first, 0)), 0);
    assert_null(m.messages);
    assert_int_equal(pop3_maildrop_add(&m, entries(first, 2)), 0);
    assert_int_equal(pop3_maildrop_add(&m, entries(second, 1)), 0);
    assert_int_equal(m.count, 3);
    assert_int_equal(m.octets, 350);

    assert_null(pop3_maildrop_get(&m, 0));
    assert_null(pop3_maildrop_get(&m, 4));
    assert_null(pop3_maildrop_get(&m, UINT32_MAX));
    assert_int_equal(pop3_maildrop_get(&m, 3)->uid, 9);

    char id[POP3_UNIQUE_ID_SIZE];
    pop3_unique_id(&m, pop3_maildrop_get(&m, 3), id);
    assert_string_equal(id, "000012ab00000009");

    pop3_maildrop_delete(&m, pop3_maildrop_get(&m, 2));
    assert_null(pop3_maildrop_get(&m, 2));
    assert_int_equal(m.octets, 150);
    assert_int_equal(m.deleted, 1);
    assert_int_equal(pop3_maildrop_get(&m, 3)->uid, 9); /* numbers stay */
    pop3_maildrop_reset(&m);
    assert_int_equal(m.octets, 350);
    assert_int_equal(m.deleted, 0);
    assert_int_equal(pop3_maildrop_get(&m, 2)->uid, 4);
    pop3_maildrop_release(&m);
    assert_int_equal(m.count, 0);
}

static void test_pages_that_are_none(void **state)
{
    (void)state;
    static const struct {
        struct pop3_message messages[2];
        size_t size;
    } rows[] = {
        {{{1, 6, 0}, {1, 7, 0}}, 31},          /* half an entry */
        {{{1, 6, 0}, {1, 7, 0}}, 1},           /* hardly any */
        {{{1, 5, 0}, {1, 7, 0}}, 32},          /* the UID of the page before */
        {{{1, 7, 0}, {1, 6, 0}}, 32},          /* falling */
        {{{1, 7, 0}, {1, 7, 0}}, 32},          /* twice */
        {{{1, 6, 0}, {UINT64_MAX, 7, 0}}, 32}, /* a sum that would wrap */
        {{{1, 6, 1}, {1, 7, 0}}, 32},          /* deleted before it was listed */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pop3_maildrop m = {0};
        const struct pop3_message before = {10, 5, 0};
        assert_int_equal(pop3_maildrop_add(&m, entries(&before, 1)), 0);
        assert_int_equal(pop3_maildrop_add(&m, span_from(rows[i].messages, rows[i].size)), -EPROTO);
        assert_int_equal(m.count, 1);
        assert_int_equal(m.octets, 10);
        pop3_maildrop_release(&m);
    }
    struct pop3_maildrop m = {0};
    const struct pop3_message zero = {10, 0, 0};
    assert_int_equal(pop3_maildrop_add(&m, entries(&zero, 1)), -EPROTO);
    pop3_maildrop_release(&m);
}

static void test_the_cap(void **state)
{
    (void)state;
    const size_t page = 1u << 18;
    struct pop3_message *messages = calloc(page, sizeof *messages);
    assert_non_null(messages);
    struct pop3_maildrop m = {0};
    uint32_t uid = 1;
    int result = 0;
    for (size_t n = 0; n < POP3_MESSAGES_MAX / page + 2; n++) {
        for (size_t i = 0; i < page; i++)
            messages[i] = (struct pop3_message){1, uid++, 0};
        size_t count = n == 0 ? page - 1 : page; /* so that the last page fits in part */
        result = pop3_maildrop_add(&m, entries(messages, count));
        if (n < POP3_MESSAGES_MAX / page)
            assert_int_equal(result, 0);
    }
    assert_int_equal(result, -ENOSPC);
    assert_int_equal(m.count, POP3_MESSAGES_MAX);
    assert_int_equal(m.octets, POP3_MESSAGES_MAX);
    pop3_maildrop_release(&m);
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_pages_that_are_none),
        cmocka_unit_test(test_the_cap),
    };
    return cmocka_run_group_tests_name("pop3 maildrop", tests, NULL, NULL);
}
