#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEYS 400

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static struct span key_of(char room[16], unsigned number)
{
    /* Key 0 is empty, key 1 is a NUL byte. */
    if (number < 2)
        return span_from(room, (room[0] = 0, number));
    return span_from(room, (size_t)snprintf(room, 16, "key %u", number));
}

static void compare(const struct map *m, void *const *model, size_t count)
{
    char room[16];
    assert_int_equal(m->count, count);
    for (unsigned i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(m, key_of(room, i)), model[i]);
    size_t position = 0, seen = 0;
    struct span key;
    void *value;
    while (map_next(m, &position, &key, &value)) {
        seen++;
        assert_ptr_equal(map_get(m, key), value);
    }
    assert_int_equal(seen, count);
}

/* The map against a table, through a long series of random puts and removes: so many of both that clusters form, wrap
 * around the end and are closed again. */
static void test_model(void **state)
{
    (void)state;
    static char values[1000];
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct map m;
        void *model[KEYS] = {NULL};
        size_t count = 0;
        uint32_t random = seed;
        char room[16];
        map_init(&m);
        /* Few keys keep the table small and full; later ones make it grow. */
        for (unsigned step = 0; step < 6000; step++) {
            unsigned i = next_random(&random) % (step < 3000 ? 12 * seed : KEYS);
            if (next_random(&random) % 5 < 3) {
                void *value = &values[next_random(&random) % sizeof values];
                assert_int_equal(map_put(&m, key_of(room, i), value), 0);
                count += model[i] == NULL;
                model[i] = value;
            } else {
                assert_ptr_equal(map_remove(&m, key_of(room, i)), model[i]);
                count -= model[i] != NULL;
                model[i] = NULL;
            }
            if (step % 97 == 0)
                compare(&m, model, count);
        }
        compare(&m, model, count);
        for (unsigned i = 0; i < KEYS; i++)
            assert_ptr_equal(map_remove(&m, key_of(room, i)), model[i]);
        assert_int_equal(m.count, 0);
        map_release(&m);
        assert_null(map_get(&m, span_text("a")));
        assert_null(map_remove(&m, span_text("a")));
    }
}

static void test_keys_are_copied(void **state)
{
    (void)state;
    struct map m;
    char key[] = "abc";
    int one, two;
    map_init(&m);
    assert_int_equal(map_put(&m, span_text(key), &one), 0);
    key[0] = 'x';
    assert_null(map_get(&m, span_text(key)));
    assert_ptr_equal(map_get(&m, span_text("abc")), &one);
    assert_int_equal(map_put(&m, span_text("abc"), &two), 0);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_get(&m, span_text("abc")), &two);
    map_release(&m);
}

/* Each bit and the length count, at every size around the words that it reads. */
static void test_hash(void **state)
{
    (void)state;
    char bytes[40] = {0};
    for (size_t size = 0; size + 1 < sizeof bytes; size++) {
        uint64_t whole = hash_bytes(span_from(bytes, size));
        assert_true(whole == hash_bytes(span_from(bytes, size)));
        assert_true(whole != hash_bytes(span_from(bytes, size + 1)));
        for (size_t i = 0; i < size; i++) {
            bytes[i] ^= (char)0x80;
            assert_true(whole != hash_bytes(span_from(bytes, size)));
            bytes[i] ^= (char)0x80;
        }
    }
}

/* The paper's own example: key 00..0f, and 15 bytes 00..0e. */
static void test_hash_is_siphash(void **state)
{
    (void)state;
    static const uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    static const char bytes[] = "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16";
    assert_true(hash_bytes_with(key, span_from(bytes, 15)) == 0xa129ca6149be45e5u);
    assert_true(hash_bytes_with(key, span_from(bytes, 14)) != 0xa129ca6149be45e5u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_keys_are_copied),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_hash_is_siphash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
