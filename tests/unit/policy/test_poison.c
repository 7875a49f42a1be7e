#include "policy/poison.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

/* One process plays both: the place that it noted in is the third. */
#define PLACE 2

static struct poison_register *begin(void)
{
    struct poison_register *r = poison_register_new(4);
    assert_non_null(r);
    assert_int_equal(poison_attach(poison_register_places(r), poison_register_list(r), PLACE), 0);
    return r;
}

static unsigned die(struct poison_register *r, uint64_t at, bool by_itself)
{
    uint64_t fingerprint;
    if (at)
        assert_true(poison_begin(at));
    unsigned deaths = poison_register_died(r, PLACE, by_itself, &fingerprint);
    if (deaths)
        assert_true(fingerprint == at);
    return deaths;
}

static void test_the_third_death(void **state)
{
    struct poison_register *r = begin();
    assert_int_equal(die(r, 7, true), 1);
    assert_int_equal(die(r, 7, true), 2);
    assert_int_equal(die(r, 9, true), 1);
    assert_int_equal(die(r, 7, false), 0); /* somebody ended it */
    assert_int_equal(die(r, 0, true), 0);  /* it was parsing nothing */
    assert_true(poison_begin(7));
    poison_end();
    assert_int_equal(die(r, 0, true), 0);
    assert_int_equal(die(r, 7, true), POISON_DEATHS);
    assert_false(poison_begin(7));
    assert_true(poison_begin(9));
    poison_end();
    poison_register_free(r);
}

/* Others' deaths don't push out one that is on its way, and a full list forgets its oldest. */
static void test_many(void **state)
{
    struct poison_register *r = begin();
    assert_int_equal(die(r, 1, true), 1);
    assert_int_equal(die(r, 1, true), 2);
    for (uint64_t i = 100; i < 1100; i++)
        assert_int_equal(die(r, i, true), 1);
    assert_int_equal(die(r, 1, true), POISON_DEATHS);
    for (uint64_t i = 2000; i < 2000 + POISON_LIST_MAX - 1; i++)
        for (unsigned death = 1; death <= POISON_DEATHS; death++)
            assert_int_equal(die(r, i, true), death);
    assert_false(poison_begin(1));
    for (unsigned death = 1; death <= POISON_DEATHS; death++)
        assert_int_equal(die(r, 5000, true), death);
    assert_true(poison_begin(1));
    poison_end();
    assert_false(poison_begin(5000));
    assert_false(poison_begin(2000));
    poison_register_free(r);
}

static void test_who_may_write(void **state)
{
    struct poison_register *r = begin();
    assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, poison_register_list(r), 0) == MAP_FAILED);
    assert_int_equal(poison_attach(poison_register_list(r), poison_register_list(r), PLACE), -ENOMEM);
    assert_int_equal(poison_attach(poison_register_places(r), poison_register_list(r), 4), -EINVAL);
    assert_int_equal(poison_attach(poison_register_places(r), poison_register_places(r), 0), -EINVAL);
    poison_register_free(r);
}

static void test_fingerprints(void **state)
{
    static char text[200u << 10];
    struct poison_register *r = begin();
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 251);
    uint64_t whole = poison_fingerprint(span_from(text, sizeof text));
    assert_true(whole == poison_fingerprint(span_from(text, sizeof text)));
    assert_true(whole != poison_fingerprint(span_from(text, sizeof text - 1)));
    for (size_t size = 0; size < 100; size++) {
        uint64_t one = poison_fingerprint(span_from(text, size));
        assert_true(one != 0 && one != poison_fingerprint(span_from(text, size + 1)));
        for (size_t i = 0; i < size; i++) {
            text[i] ^= 4;
            assert_true(one != poison_fingerprint(span_from(text, size)));
            text[i] ^= 4;
        }
    }
    text[sizeof text - 1] ^= 1;
    assert_true(whole != poison_fingerprint(span_from(text, sizeof text)));
    poison_register_free(r);
    /* Another server's key. */
    uint64_t before = poison_fingerprint(span_text("x"));
    r = begin();
    assert_true(before != poison_fingerprint(span_text("x")));
    poison_register_free(r);
}

/* Changes that cancel each other out, whatever the key, where words are mixed in by multiplication and shift: nobody
 * may have another's message held aside by making one of the same fingerprint. */
static void test_nobody_makes_another_of_the_same(void **state)
{
    struct poison_register *r = begin();
    char text[256];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    uint64_t one = poison_fingerprint(span_from(text, sizeof text));
    for (size_t word = 0; word < sizeof text; word += 8)
        for (size_t apart = 8; word + apart < sizeof text; apart += 8)
            for (unsigned shift = 0; shift < 63; shift++) {
                const uint64_t first = 1ull << 63, second = first | (shift ? first >> shift : 0);
                uint64_t before[2], after[2];
                memcpy(&before[0], text + word, 8);
                memcpy(&before[1], text + word + apart, 8);
                after[0] = before[0] ^ first;
                after[1] = before[1] ^ second;
                memcpy(text + word, &after[0], 8);
                memcpy(text + word + apart, &after[1], 8);
                assert_true(one != poison_fingerprint(span_from(text, sizeof text)));
                memcpy(text + word, &before[0], 8);
                memcpy(text + word + apart, &before[1], 8);
            }
    assert_true(one == poison_fingerprint(span_from(text, sizeof text)));
    poison_register_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_third_death),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_who_may_write),
        cmocka_unit_test(test_fingerprints),
        cmocka_unit_test(test_nobody_makes_another_of_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
