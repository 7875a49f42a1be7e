#include "my/seats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Letters are users, capitals are busy: "aaB". */
static size_t fill(const char *text, size_t repeat, struct seat *seats)
{
    size_t count = 0;
    for (; *text; text++)
        for (size_t i = 0; i < repeat && count < MY_SESSIONS_MAX; i++)
            seats[count++] = (struct seat){(uid_t)(*text | 0x20), *text >= 'a'};
    return count;
}

static void choices(void **state)
{
    static const struct {
        const char *taken;
        size_t repeat; /* of each letter */
        char comes;
        enum seat_result result;
        size_t spare;
    } rows[] = {
        {"", 1, 'a', SEAT_FREE, 0},
        {"abc", 1, 'a', SEAT_FREE, 0},
        {"a", 15, 'a', SEAT_FREE, 0},
        {"a", 16, 'a', SEAT_NONE, 0},
        {"a", 16, 'b', SEAT_FREE, 0},
        {"abcd", 16, 'a', SEAT_NONE, 0},
        {"abcd", 16, 'e', SEAT_OF_ANOTHER, 0},
        {"Abcd", 16, 'e', SEAT_OF_ANOTHER, 16},
        {"ABCD", 16, 'e', SEAT_NONE, 0},
        {"ABCd", 16, 'e', SEAT_OF_ANOTHER, 48},
        {"abcdefgh", 8, 'i', SEAT_OF_ANOTHER, 0},
        {"abcdefgh", 8, 'a', SEAT_NONE, 0},
        {"aabcdefg", 8, 'b', SEAT_OF_ANOTHER, 0},
        {"abcdefghijklmnopqrstuvwxyz123456", 2, 'z', SEAT_NONE, 0},
        {"abcdefghijklmnopqrstuvwxyz123456", 2, '7', SEAT_OF_ANOTHER, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct seat seats[MY_SESSIONS_MAX];
        size_t spare = 0, count = fill(rows[i].taken, rows[i].repeat, seats);
        enum seat_result result = seat_choose(seats, count, (uid_t)(rows[i].comes | 0x20), &spare);
        if (result != rows[i].result || (result == SEAT_OF_ANOTHER && spare != rows[i].spare))
            fail_msg("%s and %c: %d, seat %zu", rows[i].taken, rows[i].comes, (int)result, spare);
    }
}

/* Whoever comes one after the other: as many users as there are seats get one each, however many one of them wants. */
static void everybody_gets_one(void **state)
{
    struct seat seats[MY_SESSIONS_MAX];
    size_t count = fill("abcd", 16, seats), spare = 0;
    for (uid_t uid = 1000; uid < 1000 + MY_SESSIONS_MAX - 4; uid++) {
        assert_int_equal(seat_choose(seats, count, uid, &spare), SEAT_OF_ANOTHER);
        seats[spare] = (struct seat){uid, true};
    }
    assert_int_equal(seat_choose(seats, count, 5000, &spare), SEAT_NONE);
    for (char user = 'a'; user <= 'd'; user++) {
        bool has = false;
        for (size_t i = 0; i < count; i++)
            has |= seats[i].uid == (uid_t)user;
        assert_true(has);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(choices), cmocka_unit_test(everybody_gets_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
