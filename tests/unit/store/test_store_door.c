#include "door_fixture.h"

#include <errno.h>
#include <stdio.h>

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

static void lists(void **state)
{
    struct fixture f;
    struct door_cache cache;
    struct door_attempt friend = {
        .recipient = ALICE, .sender = "Aunt@May.Away.test", .ip = "192.0.2.7", .helo = "mx.away.test"};
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    SET(&f, {ALICE, "white", "aunt@may.away.test", ""}, {ALICE, "white", "@may.away.test", ""});
    door_meets(&f, &cache, &friend, ALICE "||white2:aunt@may.away.test,|-||");
    /* Bob's door knows nothing of alice's lists. */
    friend.recipient = BOB;
    door_meets(&f, &cache, &friend, BOB "|||-||only");
    friend.recipient = ALICE;
    SET(&f, {ALICE, "-white", "aunt@may.away.test", ""}, {"example.test", "black", "*.away.test", ""},
        {"", "white", "@may.away.test", "", .expires_at = 2000}, {ALICE, "known", "aunt@may.away.test", ""});
    door_meets(&f, &cache, &friend,
               ALICE "||white2:@may.away.test,known2:aunt@may.away.test,black1:*.away.test,white0:@may.away.test,|-||");
    friend.now = 2000;
    door_meets(&f, &cache, &friend, ALICE "||white2:@may.away.test,known2:aunt@may.away.test,black1:*.away.test,|-||");
    SET(&f, {ALICE, "-white", "@may.away.test", ""}, {ALICE, "-known", "aunt@may.away.test", ""},
        {"example.test", "-black", "*.away.test", ""}, {"", "-white", "@may.away.test", ""});
    door_meets(&f, &cache, &friend, ALICE "|||-||only");
    /* Servers are the site's: by address, network, HELO and the sender's domain. */
    SET(&f, {"", "approved", "192.0.2.0/24", ""}, {"", "denied", "mx.away.test", ""},
        {"", "denied", "2001:db8::/32", ""});
    door_meets(&f, &cache, &friend, ALICE "||approved0:192.0.2.0/24,denied0:mx.away.test,|-||");
    friend.ip = "192.0.3.7";
    friend.helo = "";
    door_meets(&f, &cache, &friend, ALICE "|||-||");
    friend.ip = "2001:db8:1::5";
    door_meets(&f, &cache, &friend, ALICE "||denied0:2001:db8::/32,|-||");
    friend.ip = NULL;
    friend.sender = "x@mx.away.test";
    door_meets(&f, &cache, &friend, ALICE "||denied0:mx.away.test,|-||");
    door_cache_release(&cache);
    fixture_stop(&f);
}

static void passcodes(void **state)
{
    struct fixture f;
    struct door_cache cache;
    struct door_attempt a = {.recipient = ALICE, .sender = "x@away.test"};
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    SET(&f, {ALICE, "passcode", "Aunt May", "123456"}, {ALICE, "passcode", "Old friend", "777777", .expires_at = 1500},
        {"alice+x@example.test", "passcode", "Shop", "424242"}, {BOB, "passcode", "His", "999999"});
    door_meets(&f, &cache, &a, ALICE "|||-||");
    a.passcode = "123456";
    door_meets(&f, &cache, &a, ALICE "|||right Aunt May||");
    a.passcode = "12345";
    door_meets(&f, &cache, &a, ALICE "|||wrong||");
    a.passcode = "999999";
    door_meets(&f, &cache, &a, ALICE "|||wrong||");
    a.passcode = "424242";
    door_meets(&f, &cache, &a, ALICE "|||wrong||");
    a.recipient = "alice+x@example.test";
    door_meets(&f, &cache, &a, ALICE "|||right Shop||");
    a.passcode = "777777";
    door_meets(&f, &cache, &a, ALICE "|||right Old friend||");
    a.now = 1500;
    door_meets(&f, &cache, &a, ALICE "|||expired Old friend||");
    door_cache_release(&cache);
    fixture_stop(&f);
}

static void limited_addresses(void **state)
{
    struct fixture f;
    struct door_cache cache;
    struct door_attempt a = {.recipient = "alice+shop-x7@example.test", .sender = "x@away.test"};
    struct span targets[] = {span_text(ALICE), span_text(BOB)};
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    SET(&f, {ALICE, "address", "shop-x7", "", .expires_at = 1500}, {ALICE, "address", "bank", "@bank.test"});
    door_meets(&f, &cache, &a, ALICE "|||-|limited fits|only");
    a.now = 1500;
    door_meets(&f, &cache, &a, ALICE "|||-|limited expired fits|only");
    a.recipient = "Alice+Bank@Example.TEST";
    door_meets(&f, &cache, &a, ALICE "|||-|limited|");
    a.sender = "x@Bank.test";
    door_meets(&f, &cache, &a, ALICE "|||-|limited fits|");
    a.recipient = "bob+bank@example.test";
    door_meets(&f, &cache, &a, BOB "|||-||only");
    /* Another name that has a detail is no address of alice's. */
    fixture_change(
        &f,
        &(struct change){
            .kind = CHANGE_ALIAS_PUT, .subject = span_text("team@example.test"), .targets = targets, .target_count = 2},
        NULL);
    a.recipient = "team+bank@example.test";
    door_meets(&f, &cache, &a, ALICE "|||-||only & " BOB "|||-||only");
    door_cache_release(&cache);
    fixture_stop(&f);
}

/* Whose address the sender's is: only asked where anybody protects theirs. */
static void protected_senders(void **state)
{
    struct fixture f;
    struct door_cache cache;
    struct door_attempt a = {.recipient = BOB, .sender = ALICE};
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    door_meets(&f, &cache, &a, BOB "|||-||only");
    SET(&f, {ALICE, "rule", "protect-my-address", "on"});
    door_meets(&f, &cache, &a, BOB "|||-|| protected 2 " ALICE);
    a.sender = "ALICE+anything@example.test";
    door_meets(&f, &cache, &a, BOB "|||-|| protected 2 " ALICE);
    a.sender = "carol@example.test";
    door_meets(&f, &cache, &a, BOB "|||-||");
    a.sender = "alice@away.test";
    door_meets(&f, &cache, &a, BOB "|||-||");
    SET(&f, {ALICE, "-rule", "protect-my-address", ""});
    a.sender = ALICE;
    door_meets(&f, &cache, &a, BOB "|||-||only");
    SET(&f, {"example.test", "rule", "protect-my-address", "on"});
    door_meets(&f, &cache, &a, BOB "|1 protect-my-address=on,||-|| protected 1 " ALICE);
    door_cache_release(&cache);
    fixture_stop(&f);
}

static void expect_names(struct door_cache *cache, const char *name, bool proven, const char *wanted)
{
    struct list_hit hits[4];
    struct arena arena;
    struct buf out;
    size_t count;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 4096);
    assert_int_equal(door_name_hits(cache, span_text(name), proven, 1000, &arena, hits, 4, &count), 0);
    for (size_t i = 0; i < count; i++)
        buf_printf(&out, "%d:%.*s,", (int)hits[i].kind, SPAN_ARG(hits[i].entry));
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    buf_release(&out);
    arena_release(&arena);
}

static void host_names(void **state)
{
    struct fixture f;
    struct door_cache cache;
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    expect_names(&cache, "mx.good.test", true, "");
    SET(&f, {"", "approved", "*.good.test", ""}, {"", "denied-name", "dialup", ""}, {"", "denied-name", "dyn-*", ""},
        {"", "denied-name", "old", "", .expires_at = 900});
    expect_names(&cache, "mx.good.test", true, "3:*.good.test,");
    expect_names(&cache, "mx.good.test", false, "");
    expect_names(&cache, "7.dialup.net.test", false, "5:dialup,");
    expect_names(&cache, "dyn-7.net.test", false, "5:dyn-*,");
    expect_names(&cache, "old.net.test", false, "");
    door_cache_release(&cache);
    fixture_stop(&f);
}

/* What a person forwards is behind their own door, with a copy or without, by whatever name it came. */
static void forwarders(void **state)
{
    struct fixture f;
    struct door_cache cache;
    struct span team[] = {SPAN(ALICE), SPAN("bob@example.test"), SPAN("x@far.test")};
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    SET(&f, {ALICE, "rule", "no-ptr", "on"}, {"example.test", "rule", "helo-sane", "on"});
    SET(&f, {ALICE, "rule", "forward.to", "y@away.test"}, {ALICE, "rule", "forward.keep", "on"});
    struct door_attempt plain = {ALICE, "s@out.test", NULL, NULL, NULL, 0};
    struct door_attempt shop = {"alice+shop@example.test", "s@out.test", NULL, NULL, NULL, 0};
    struct door_attempt all = {"team@example.test", "s@out.test", NULL, NULL, NULL, 0};
    door_meets(&f, &cache, &plain, "alice@example.test|1 helo-sane=on,2 no-ptr=on,||-||only");
    SET(&f, {ALICE, "rule", "forward.keep", "off"}, {"alice+shop@example.test", "rule", "pregreet", "on"});
    door_meets(&f, &cache, &plain, "alice@example.test|1 helo-sane=on,2 no-ptr=on,||-||only");
    door_meets(&f, &cache, &shop, "alice@example.test|3 pregreet=on,1 helo-sane=on,2 no-ptr=on,||-||only");
    fixture_change(
        &f,
        &(struct change){
            .kind = CHANGE_ALIAS_PUT, .subject = span_text("team@example.test"), .targets = team, .target_count = 3},
        NULL);
    door_meets(&f, &cache, &all,
               "alice@example.test|1 helo-sane=on,2 no-ptr=on,||-||only & bob@example.test|1 helo-sane=on,||-||only & "
               "|1 helo-sane=on,||-||only");
    door_cache_release(&cache);
    fixture_stop(&f);
}

struct ways {
    struct fixture *f;
    struct door_cache *cache;
};

/* How each target is reached: the doors on the way, the first one first. */
static void expect_ways(const struct ways *w, const char *name, const char *wanted)
{
    struct directory d = {.db = w->f->store->db, .detail_separator = span_text("+")};
    struct directory_query query = {
        .local_part = span_text(name), .domain = span_text("example.test"), .each_way = true};
    struct door_question question = {.reverse_path = span_text("x@away.test"), .now = 1000};
    struct routing routing;
    struct judged_doors doors;
    struct arena arena;
    struct buf out;
    arena_init(&arena, 16 << 20);
    buf_init(&out, 1 << 16);
    assert_int_equal(directory_resolve(&d, &query, &arena, &routing), 0);
    assert_int_equal(doors_judge(w->cache, &d, &question, &routing, &arena, &doors), 0);
    for (size_t i = 0; i < routing.count; i++) {
        for (size_t k = 0; k < doors.target_guards[i].count; k++) {
            const struct judged_door *guard = &doors.doors[doors.target_guards[i].doors[k] - 1];
            assert_int_not_equal(guard->mailbox_id, 0);
            buf_printf(&out, "%.*s > ", SPAN_ARG(guard->address));
        }
        const struct judged_door *door = &doors.doors[doors.target_doors[i] - 1];
        buf_printf(&out, "%.*s", SPAN_ARG(door->address));
        buf_printf(&out, routing.targets[i].address.size ? " to %.*s, " : "%.*s, ",
                   SPAN_ARG(routing.targets[i].address));
    }
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    buf_release(&out);
    arena_release(&arena);
}

static void put_alias(struct fixture *f, const char *name, const struct span *targets, size_t count)
{
    fixture_change(f,
                   &(struct change){
                       .kind = CHANGE_ALIAS_PUT, .subject = span_text(name), .targets = targets, .target_count = count},
                   NULL);
}

/* All who forward something are asked about it, in the order in which it passes them; each way is one of its own. */
static void ways(void **state)
{
    struct fixture f;
    struct door_cache cache;
    struct ways w = {&f, &cache};
    struct span team[] = {SPAN(ALICE), SPAN("dora@example.test")};
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    fixture_account(&f, "dora@example.test", 0);
    put_alias(&f, "team@example.test", team, 2);
    expect_ways(&w, "alice", "alice@example.test, ");
    SET(&f, {ALICE, "rule", "forward.to", BOB}, {ALICE, "rule", "forward.keep", "off"});
    expect_ways(&w, "alice", "alice@example.test > bob@example.test, ");
    expect_ways(&w, "bob", "bob@example.test, ");
    SET(&f, {ALICE, "rule", "forward.keep", "on"});
    expect_ways(&w, "alice", "alice@example.test, alice@example.test > bob@example.test, ");
    SET(&f, {BOB, "rule", "forward.to", "y@away.test"}, {BOB, "rule", "forward.keep", "off"});
    expect_ways(&w, "bob", "bob@example.test to y@away.test, ");
    expect_ways(&w, "alice", "alice@example.test, alice@example.test > bob@example.test to y@away.test, ");
    /* Two who forward to one place: one lets it pass where the other may not. */
    SET(&f, {"dora@example.test", "rule", "forward.to", BOB}, {"dora@example.test", "rule", "forward.keep", "off"});
    SET(&f, {ALICE, "rule", "forward.keep", "off"});
    expect_ways(&w, "team",
                "alice@example.test > bob@example.test to y@away.test, "
                "dora@example.test > bob@example.test to y@away.test, ");
    SET(&f, {BOB, "rule", "forward.keep", "on"});
    expect_ways(&w, "team",
                "alice@example.test > bob@example.test, alice@example.test > bob@example.test to y@away.test, "
                "dora@example.test > bob@example.test, dora@example.test > bob@example.test to y@away.test, ");
    door_cache_release(&cache);
    fixture_stop(&f);
}

#define PEOPLE 250

static int judge_all(struct fixture *f, struct door_cache *cache, struct arena *arena, struct judged_doors *doors)
{
    struct directory d = {.db = f->store->db, .detail_separator = span_text("+")};
    struct directory_query query = {
        .local_part = span_text("all"), .domain = span_text("example.test"), .each_way = true};
    struct door_question question = {.reverse_path = span_text("x@away.test"), .now = 1000};
    struct routing routing;
    assert_int_equal(directory_resolve(&d, &query, arena, &routing), 0);
    assert_int_equal(routing.count, PEOPLE);
    return doors_judge(cache, &d, &question, &routing, arena, doors);
}

/* An address of very many people: long rules of their domain stand in the answer once. Where their own are too long for
 * it, nobody's are left out: there is no answer. */
static void many_doors(void **state)
{
    static char names[PEOPLE][40], words[3600];
    struct fixture f;
    struct door_cache cache;
    struct arena arena;
    struct judged_doors doors;
    struct span targets[PEOPLE];
    size_t size = 0;
    fixture_start(&f);
    door_cache_init(&cache, f.store->db);
    for (int i = 0; i < PEOPLE; i++) {
        snprintf(names[i], sizeof(names[i]), "p%d@example.test", i);
        fixture_account(&f, names[i], 0);
        targets[i] = span_text(names[i]);
    }
    for (char a = 'a'; a <= 'r'; a++)
        for (char b = 'a'; b <= 'z'; b++)
            size += (size_t)snprintf(words + size, sizeof(words) - size, "%s%c%cxxxx", size ? " " : "", a, b);
    SET(&f, {"example.test", "rule", "sender-tld.tlds", words});
    put_alias(&f, "all@example.test", targets, PEOPLE);
    arena_init(&arena, 16 << 20);
    assert_int_equal(judge_all(&f, &cache, &arena, &doors), 0);
    assert_int_equal(doors.count, PEOPLE);
    for (size_t i = 0; i < PEOPLE; i++) {
        assert_true(span_equal(doors.doors[i].rules, doors.doors[0].rules));
        assert_int_equal(doors.doors[i].same_rules, i > 0);
        assert_int_not_equal(doors.doors[i].account_id, 0);
    }
    for (int i = 0; i < PEOPLE; i++)
        SET(&f, {names[i], "rule", "no-ptr", "on"});
    arena_reset(&arena);
    assert_int_equal(judge_all(&f, &cache, &arena, &doors), -E2BIG);
    arena_release(&arena);
    door_cache_release(&cache);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(lists),
        cmocka_unit_test(passcodes),
        cmocka_unit_test(limited_addresses),
        cmocka_unit_test(protected_senders),
        cmocka_unit_test(host_names),
        cmocka_unit_test(forwarders),
        cmocka_unit_test(ways),
        cmocka_unit_test(many_doors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
