#include "door_fixture.h"

#define ALICE "alice@example.test"
#define BOB "bob@example.test"
#define SET(f, ...)                                       \
    door_set(f, (const struct door_words[]){__VA_ARGS__}, \
             sizeof((const struct door_words[]){__VA_ARGS__}) / sizeof(struct door_words), NULL)
#define REFUSE(f, sentence, ...)                          \
    door_set(f, (const struct door_words[]){__VA_ARGS__}, \
             sizeof((const struct door_words[]){__VA_ARGS__}) / sizeof(struct door_words), sentence)

/* Site < domain < account < address, and what the site locks. */
static void levels(void **state)
{
    struct fixture f;
    struct door_cache cache;
    struct door_attempt stranger = {.recipient = ALICE, .sender = "x@away.test"};
    struct door_attempt shop = {.recipient = "alice+shop@example.test", .sender = "x@away.test"};
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    door_meets(&f, &cache, &stranger, ALICE "|||-||only");
    SET(&f, {"", "rule", "helo-not-ip", "on"});
    door_meets(&f, &cache, &stranger, ALICE "|0 helo-not-ip=on,||-||only");
    SET(&f, {"example.test", "rule", "helo-not-ip", "off"}, {"example.test", "rule", "no-ptr", "on"});
    door_meets(&f, &cache, &stranger, ALICE "|1 helo-not-ip=off,1 no-ptr=on,||-||only");
    SET(&f, {ALICE, "rule", "no-ptr", "off"}, {ALICE, "rule", "white-list", "on"});
    door_meets(&f, &cache, &stranger, ALICE "|2 white-list=on,1 helo-not-ip=off,2 no-ptr=off,||-||only");
    SET(&f, {"alice+shop@example.test", "rule", "white-list", "off"});
    door_meets(&f, &cache, &stranger, ALICE "|2 white-list=on,1 helo-not-ip=off,2 no-ptr=off,||-||only");
    door_meets(&f, &cache, &shop, ALICE "|3 white-list=off,1 helo-not-ip=off,2 no-ptr=off,||-||only");
    SET(&f, {"", "rule", "no-ptr", "on", .locked = true});
    door_meets(&f, &cache, &stranger, ALICE "|2 white-list=on,1 helo-not-ip=off,0! no-ptr=on,||-||only");
    door_cache_release(&cache);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
