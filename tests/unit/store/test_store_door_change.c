/* What changes of doors do: all or nothing, the history, undo, forwarding, people and the administrator. */
#include "door_fixture.h"

#include "store/door_list.h"

#include <stdio.h>
#include <stdlib.h>

#define ALICE "alice@example.test"
#define BOB "bob@example.test"
#define WORDS(...)                            \
    (const struct door_words[]){__VA_ARGS__}, \
        sizeof((const struct door_words[]){__VA_ARGS__}) / sizeof(struct door_words)

static void all_or_nothing(void **state)
{
    static const struct {
        struct door_words words;
        const char *sentence;
    } cases[] = {
        {{"nobody@example.test", "white", "a@b.test", ""}, "there is no account nobody@example.test"},
        {{"away.test", "white", "a@b.test", ""}, "'away.test' is not a domain of ours"},
        {{ALICE, "rule", "no-such-rule", "on"}, "no-such-rule"},
        {{ALICE, "rule", "white-list", "perhaps"}, "white-list"},
        {{ALICE, "approved", "192.0.2.1", ""}, "approved"},
        {{ALICE, "rule", "white-list", "on", .locked = true}, "only a rule of the site can be locked"},
        {{ALICE, "rule", "white-list", "on", .expires_at = 5}, "has no time of expiry"},
        {{ALICE, "-white", "x@y.test", ""}, ALICE " has no white 'x@y.test'"},
        {{ALICE, "-rule", "white-list", ""}, "'white-list' is not set for " ALICE},
        {{"", "-black", "x@y.test", ""}, "the site has no black 'x@y.test'"},
        {{ALICE, "white", "A@B.test", ""}, "stands there twice"},
        {{ALICE, "white", "not an address", ""}, "not an address"},
        {{"alice+@example.test", "white", "x@y.test", ""}, "there is no account"},
    };
    struct fixture f;
    fixture_start(&f);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        door_set(&f, WORDS({ALICE, "white", "a@b.test", "a friend"}, cases[i].words), cases[i].sentence);
    door_expect(&f, "");
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_history"), 0);
    assert_int_equal(
        door_set(&f, WORDS({ALICE, "white", "A@B.test", "a friend"}, {"", "black", "@Spam.test", ""}), NULL), 1);
    door_expect(&f, ALICE " white a@b.test=a friend\n black @spam.test=\n");
    /* What is so already is no change. */
    assert_int_equal(door_set(&f, WORDS({ALICE, "white", "a@b.test", "a friend"}), NULL), 0);
    assert_int_equal(door_set(&f, WORDS({ALICE, "white", "a@b.test", "", .expires_at = 7}), NULL), 2);
    door_expect(&f, ALICE " white a@b.test= until 7\n black @spam.test=\n");
    assert_int_equal(door_set(&f, WORDS({ALICE, "-white", "A@b.TEST", ""}), NULL), 3);
    door_expect(&f, " black @spam.test=\n");
    fixture_stop(&f);
}

static void taken_back(void **state)
{
    struct fixture f;
    fixture_start(&f);
    door_undo(&f, ALICE, 0, "there is no change that could be taken back");
    assert_int_equal(
        door_set(&f, WORDS({ALICE, "white", "a@b.test", "one"}, {ALICE, "rule", "white-list", "on"}), NULL), 1);
    assert_int_equal(door_set(&f, WORDS({ALICE, "white", "a@b.test", "two"}), NULL), 2);
    assert_int_equal(door_set(&f, WORDS({BOB, "white", "c@b.test", ""}), NULL), 3);
    /* The first can't go while the second stands on it. */
    door_undo(&f, "", 1, "'a@b.test' was changed since");
    assert_int_equal(door_undo(&f, ALICE, 0, NULL), 4);
    door_expect(&f, ALICE " white a@b.test=one\n" ALICE " rule white-list=on\n" BOB " white c@b.test=\n");
    /* Without a number the next older one is meant, not the undo. */
    assert_int_equal(door_undo(&f, ALICE, 0, NULL), 5);
    door_expect(&f, BOB " white c@b.test=\n");
    door_undo(&f, ALICE, 0, "there is no change that could be taken back");
    door_undo(&f, ALICE, 1, "change 1 was taken back already");
    door_undo(&f, ALICE, 99, "there is no change 99");
    /* An undo can be undone, and then what it had undone may be again. */
    assert_int_equal(door_undo(&f, "", 5, NULL), 6);
    door_expect(&f, BOB " white c@b.test=\n" ALICE " white a@b.test=one\n" ALICE " rule white-list=on\n");
    assert_int_equal(door_undo(&f, ALICE, 1, NULL), 7);
    door_expect(&f, BOB " white c@b.test=\n");
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_history WHERE undone = 1"), 3);
    fixture_stop(&f);
}

/* People change their own door only, and nothing that is the site's alone. */
static void people(void **state)
{
    struct fixture f;
    fixture_start(&f);
    uint64_t alice = fixture_recipient(&f, ALICE).account_id, bob = fixture_recipient(&f, BOB).account_id;
    door_set_as(&f, alice, WORDS({BOB, "white", "a@b.test", ""}), "is not yours");
    door_set_as(&f, alice, WORDS({"", "rule", "white-list", "on"}), "is not yours");
    door_set_as(&f, alice, WORDS({"example.test", "rule", "white-list", "on"}), "is not yours");
    door_set_as(&f, alice, WORDS({"bob+x@example.test", "rule", "white-list", "on"}), "is not yours");
    door_set_as(&f, alice, WORDS({ALICE, "denied", "192.0.2.1", ""}), "denied");
    door_set_as(&f, 4711, WORDS({ALICE, "white", "a@b.test", ""}), "the account is gone");
    assert_int_equal(
        door_set_as(&f, alice,
                    WORDS({ALICE, "white", "a@b.test", ""}, {"alice+x@example.test", "black", "c@d.test", ""}), NULL),
        1);
    door_expect(&f, ALICE " white a@b.test=\nalice+x@example.test black c@d.test=\n");
    /* Another's history is as unknown as none. */
    struct buf problem;
    struct door_outcome outcome;
    struct door_change undo = {.account_id = bob, .undo = true, .number = 1};
    buf_init(&problem, 4096);
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(store_door_change(f.store, &undo, &outcome, &problem), 0);
    assert_true(span_is(buf_span(&problem), "there is no change 1: the history shows those that there are"));
    undo.account_id = alice;
    buf_reset(&problem);
    assert_int_equal(store_door_change(f.store, &undo, &outcome, &problem), 0);
    assert_true(outcome.number == 2 && outcome.count == 2 && span_is(outcome.steps[0].after.set_by, ALICE));
    assert_int_equal(store_commit(f.store), 0);
    door_expect(&f, "");
    buf_release(&problem);
    fixture_stop(&f);
}

static void expect_targets(struct fixture *f, const char *wanted)
{
    struct buf out;
    buf_init(&out, 4096);
    struct statement *st = database_query(f->store->db,
                                          "SELECT t.address FROM alias a JOIN alias_target t ON t.alias_id = a.id WHERE"
                                          " a.local_part = 'alice' ORDER BY t.place",
                                          "");
    while (database_step(st) > 0)
        buf_printf(&out, "%.*s ", SPAN_ARG(database_bytes(st, 0)));
    database_end(st);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    buf_release(&out);
}

static void expect_list(struct fixture *f, const char *owner, uint32_t kinds, const char *wanted)
{
    struct directory d = {.db = f->store->db, .detail_separator = span_text("+")};
    struct door_list_query query = {.owner = span_text(owner), .levels_above = true, .kinds = kinds};
    struct door_listed *items = NULL;
    struct arena arena;
    struct buf out;
    size_t count;
    bool more;
    arena_init(&arena, 16 << 20);
    buf_init(&out, 4096);
    assert_int_equal(door_list(&d, &query, &arena, &items, &count, &more, &out), 0);
    for (size_t i = 0; i < count; i++)
        buf_printf(&out, "%u %.*s=%.*s,", items[i].item.level, SPAN_ARG(items[i].item.name),
                   SPAN_ARG(items[i].item.value));
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    buf_release(&out);
    arena_release(&arena);
}

/* Forwarding stands in the alias table alone, and reads and is taken back like any other setting. */
static void forwarding(void **state)
{
    struct fixture f;
    fixture_start(&f);
    door_set(&f, WORDS({ALICE, "rule", "forward", "on"}), "where should the mail of alice@example.test go?");
    door_set(&f, WORDS({"example.test", "rule", "forward.to", "x@away.test"}), "");
    door_set(&f, WORDS({ALICE, "rule", "forward.to", "nobody@example.test"}), "nobody here");
    assert_int_equal(
        door_set(&f, WORDS({ALICE, "rule", "forward.to", "x@away.test"}, {ALICE, "rule", "forward.keep", "on"}), NULL),
        1);
    expect_targets(&f, "alice@example.test x@away.test ");
    expect_list(&f, ALICE, 1u << DOOR_RULE, "2 forward=on,2 forward.to=x@away.test,2 forward.keep=on,");
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item"), 0);
    assert_int_equal(door_set(&f, WORDS({ALICE, "rule", "forward.keep", "off"}), NULL), 2);
    expect_targets(&f, "x@away.test ");
    assert_int_equal(door_set(&f, WORDS({ALICE, "rule", "forward", "off"}), NULL), 3);
    expect_targets(&f, "");
    expect_list(&f, ALICE, 1u << DOOR_RULE, "");
    assert_int_equal(door_undo(&f, ALICE, 0, NULL), 4);
    expect_targets(&f, "x@away.test ");
    assert_int_equal(door_undo(&f, ALICE, 0, NULL), 5);
    assert_int_equal(door_undo(&f, ALICE, 0, NULL), 6);
    expect_targets(&f, "");
    /* An alias that leads to its own mailbox only forwards nothing. */
    struct span self = span_text(ALICE);
    fixture_change(&f, &(struct change){.kind = CHANGE_ALIAS_PUT, .subject = self, .targets = &self, .target_count = 1},
                   NULL);
    expect_list(&f, ALICE, 0, "");
    assert_int_equal(door_set(&f, WORDS({ALICE, "rule", "forward.to", "x@away.test"}), NULL), 7);
    assert_int_equal(door_set(&f, WORDS({ALICE, "-rule", "forward", ""}), NULL), 8);
    expect_targets(&f, "");
    /* What leads to oneself alone can be taken away by the rule's name, and is not to be had by it. */
    struct span twice[] = {self, self};
    fixture_change(&f, &(struct change){.kind = CHANGE_ALIAS_PUT, .subject = self, .targets = twice, .target_count = 2},
                   NULL);
    assert_int_equal(door_set(&f, WORDS({ALICE, "rule", "forward", "off"}), NULL), 9);
    expect_targets(&f, "");
    door_set(&f, WORDS({ALICE, "rule", "forward", "off"}), "");
    fixture_change(&f,
                   &(struct change){.kind = CHANGE_DOMAIN_ADD,
                                    .subject = span_text("also.test"),
                                    .alias_of = span_text("example.test")},
                   NULL);
    fixture_change(
        &f,
        &(struct change){
            .kind = CHANGE_ALIAS_PUT, .subject = span_text("me@example.test"), .targets = &self, .target_count = 1},
        NULL);
    static const char *const selves[] = {
        ALICE, "Alice@Example.Test", "alice+x@example.test", "alice@also.test", "me@example.test", "me+y@also.test"};
    for (size_t i = 0; i < sizeof(selves) / sizeof(selves[0]); i++)
        for (int keep = 0; keep < 2; keep++)
            door_set(
                &f,
                WORDS({ALICE, "rule", "forward.to", selves[i]}, {ALICE, "rule", "forward.keep", keep ? "on" : "off"}),
                "leads back to the mailbox of alice@example.test itself");
    expect_targets(&f, "");
    /* No loops, nor what an administrator made for several. */
    struct span alice = span_text(ALICE), both[] = {span_text(BOB), span_text("x@away.test")};
    fixture_change(
        &f, &(struct change){.kind = CHANGE_ALIAS_PUT, .subject = span_text(BOB), .targets = &alice, .target_count = 1},
        NULL);
    door_set(&f, WORDS({ALICE, "rule", "forward.to", BOB}, {ALICE, "rule", "forward.keep", "off"}),
             "leads back to the mailbox of");
    struct span round[] = {alice, span_text("y@away.test")};
    fixture_change(
        &f, &(struct change){.kind = CHANGE_ALIAS_PUT, .subject = span_text(BOB), .targets = round, .target_count = 2},
        NULL);
    door_set(&f, WORDS({ALICE, "rule", "forward.to", BOB}, {ALICE, "rule", "forward.keep", "off"}),
             "would lead to itself");
    fixture_change(&f, &(struct change){.kind = CHANGE_ALIAS_REMOVE, .subject = span_text(BOB)}, NULL);
    fixture_change(&f, &(struct change){.kind = CHANGE_ALIAS_PUT, .subject = alice, .targets = both, .target_count = 2},
                   NULL);
    door_set(&f, WORDS({ALICE, "rule", "forward.to", "y@away.test"}), "an alias with several targets");
    expect_list(&f, ALICE, 0, "");
    fixture_stop(&f);
}

/* What goes with an account or a domain. */
static void removal(void **state)
{
    struct fixture f;
    fixture_start(&f);
    fixture_change(&f, &(struct change){.kind = CHANGE_DOMAIN_ADD, .subject = span_text("other.test")}, NULL);
    door_set(&f,
             WORDS({ALICE, "white", "a@b.test", ""}, {"alice+x@example.test", "black", "a@b.test", ""},
                   {BOB, "white", "a@b.test", ""}, {"other.test", "rule", "no-ptr", "on"},
                   {"example.test", "rule", "no-ptr", "on"}),
             NULL);
    fixture_change(&f, &(struct change){.kind = CHANGE_ACCOUNT_REMOVE, .subject = span_text(ALICE)}, NULL);
    fixture_change(&f, &(struct change){.kind = CHANGE_DOMAIN_REMOVE, .subject = span_text("other.test")}, NULL);
    door_expect(&f, BOB " white a@b.test=\nexample.test rule no-ptr=on\n");
    /* A new account of that name begins with nothing. */
    fixture_account(&f, ALICE, 0);
    door_expect(&f, BOB " white a@b.test=\nexample.test rule no-ptr=on\n");
    door_undo(&f, "", 1, "is gone");
    /* A number that somebody may have noted is not given again. */
    assert_int_equal(door_set(&f, WORDS({BOB, "white", "c@d.test", ""}), NULL), 2);
    fixture_change(&f, &(struct change){.kind = CHANGE_ACCOUNT_REMOVE, .subject = span_text(BOB)}, NULL);
    assert_int_equal(door_set(&f, WORDS({ALICE, "white", "c@d.test", ""}), NULL), 3);
    fixture_stop(&f);
}

/* What a person may do in a day, and how much of it is remembered, is bounded. */
static void bounds(void **state)
{
    struct fixture f;
    fixture_start(&f);
    uint64_t alice = fixture_recipient(&f, ALICE).account_id;
    struct door_wish wish = {
        .kind = DOOR_WHITE, .level = LEVEL_ACCOUNT, .owner = span_text(ALICE), .name = span_text("a@b.test")};
    struct door_change c = {.account_id = alice, .wishes = &wish, .count = 1};
    struct door_outcome outcome;
    struct buf problem;
    buf_init(&problem, 4096);
    assert_int_equal(store_begin(f.store), 0);
    for (int i = 0; i < DOOR_PERSON_CHANGES; i++) {
        wish.remove = i % 2;
        assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
        assert_int_equal(outcome.number, i + 1);
    }
    wish.remove = false;
    assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
    assert_int_equal(outcome.number, 0);
    assert_true(span_is(buf_span(&problem),
                        "that is more than may be changed within a day: go on tomorrow, or ask the administrator"));
    /* The administrator still may; the oldest is forgotten. */
    c.account_id = 0;
    assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
    assert_int_equal(outcome.number, DOOR_PERSON_CHANGES + 1);
    assert_int_equal(store_commit(f.store), 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_history"), DOOR_HISTORY_MAX);
    assert_int_equal(fixture_count(&f, "SELECT MIN(number) FROM door_history"), 2);
    buf_release(&problem);
    fixture_stop(&f);
}

/* Large changes, and those that are too large; all of them at once or none. */
static void large_changes(void **state)
{
    enum { MANY = DOOR_CHANGE_ITEMS_MAX + 1 };
    static char value[DOOR_VALUE_MAX];
    struct fixture f;
    struct door_outcome outcome;
    struct buf problem;
    struct door_wish *wishes = calloc(MANY, sizeof(*wishes));
    static const char account[] = "host=pop.test login=a secret=";
    char(*names)[40] = calloc(MANY, sizeof(*names));
    assert_true(wishes && names);
    memset(value, 'A', sizeof(value));
    memcpy(value, account, sizeof(account) - 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "f%d@away.test", i);
        wishes[i] =
            (struct door_wish){.kind = DOOR_BLACK, .level = LEVEL_SITE, .owner = {"", 0}, .name = span_text(names[i])};
    }
    fixture_start(&f);
    buf_init(&problem, 4096);
    struct door_change c = {.wishes = wishes, .count = MANY};
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
    assert_true(span_is(buf_span(&problem), "one change has at most 10000 items"));
    buf_reset(&problem);
    c.count = DOOR_CHANGE_ITEMS_MAX;
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "remote %d", i);
        wishes[i] = (struct door_wish){.kind = DOOR_REMOTE,
                                       .level = LEVEL_ACCOUNT,
                                       .owner = span_text(ALICE),
                                       .name = span_text(names[i]),
                                       .value = span_from(value, 1000)};
    }
    assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
    assert_true(span_is(buf_span(&problem), "That is too much for one change: make it in parts of at most 8 MB."));
    buf_reset(&problem);
    for (int i = 0; i < MANY; i++)
        wishes[i].value = span_from(value, 100);
    assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
    assert_true(problem.size == 0 && outcome.count == DOOR_CHANGE_ITEMS_MAX);
    assert_int_equal(store_commit(f.store), 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item"), DOOR_CHANGE_ITEMS_MAX);
    assert_int_equal(door_undo(&f, ALICE, 0, NULL), 2);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM door_item"), 0);
    buf_release(&problem);
    free(wishes);
    free(names);
    fixture_stop(&f);
}

/* Patterns and passcodes are compared one by one: there are only so many. */
static void caps(void **state)
{
    struct fixture f;
    struct door_outcome outcome;
    struct buf problem;
    char name[40], code[20];
    struct door_wish wish = {.owner = {"", 0}};
    struct door_change c = {.wishes = &wish, .count = 1};
    fixture_start(&f);
    buf_init(&problem, 4096);
    assert_int_equal(store_begin(f.store), 0);
    for (int i = 0; i <= DOOR_PATTERNS_MAX; i++) {
        snprintf(name, sizeof(name), "dyn%d-*", i);
        wish = (struct door_wish){
            .kind = DOOR_DENIED_NAME, .level = LEVEL_SITE, .owner = {"", 0}, .name = span_text(name)};
        assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
        assert_int_equal(problem.size == 0, i < DOOR_PATTERNS_MAX);
    }
    assert_true(
        span_is(buf_span(&problem), "the site would have more than 1000 host names with a \"*\": remove some first"));
    buf_reset(&problem);
    for (int i = 0; i <= DOOR_PASSCODES_MAX; i++) {
        snprintf(name, sizeof(name), "friend %d", i);
        snprintf(code, sizeof(code), "%d", 100000 + i);
        wish = (struct door_wish){.kind = DOOR_PASSCODE,
                                  .level = LEVEL_ACCOUNT,
                                  .owner = span_text(ALICE),
                                  .name = span_text(name),
                                  .value = span_text(code)};
        assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
        assert_int_equal(problem.size == 0, i < DOOR_PASSCODES_MAX);
    }
    assert_true(span_is(buf_span(&problem), ALICE " would have more than 1000 passcodes: remove some first"));
    assert_int_equal(store_commit(f.store), 0);
    buf_release(&problem);
    fixture_stop(&f);
}

/* No order of the wishes gets round a cap. */
static void scattered(void **state)
{
    enum { PAIRS = DOOR_PASSCODES_MAX + 1 };
    static struct door_wish wishes[2 * PAIRS];
    static char names[PAIRS][40], codes[PAIRS][20];
    struct fixture f;
    struct door_outcome outcome;
    struct buf problem;
    struct door_change c = {.wishes = wishes, .count = 2 * PAIRS};
    fixture_start(&f);
    buf_init(&problem, 4096);
    for (int i = 0; i < PAIRS; i++) {
        snprintf(names[i], sizeof(names[i]), "f%d@away.test", i);
        snprintf(codes[i], sizeof(codes[i]), "%d", 100000 + i);
        wishes[2 * i] = (struct door_wish){.kind = DOOR_PASSCODE,
                                           .level = LEVEL_ACCOUNT,
                                           .owner = span_text(ALICE),
                                           .name = span_text(names[i]),
                                           .value = span_text(codes[i])};
        wishes[2 * i + 1] = (struct door_wish){.kind = DOOR_BLACK,
                                               .level = LEVEL_ADDRESS,
                                               .owner = span_text("alice+x@example.test"),
                                               .name = span_text(names[i])};
    }
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
    assert_true(span_is(buf_span(&problem), ALICE " would have more than 1000 passcodes: remove some first"));
    buf_reset(&problem);
    c.count -= 2;
    assert_int_equal(store_door_change(f.store, &c, &outcome, &problem), 0);
    assert_true(problem.size == 0 && outcome.count == 2 * PAIRS - 2);
    assert_int_equal(store_commit(f.store), 0);
    buf_release(&problem);
    fixture_stop(&f);
}

/* An account has as many addresses as it likes, but all of them together have no more than one owner may. */
static void many_addresses(void **state)
{
    struct fixture f;
    fixture_start(&f);
    uint64_t alice = fixture_recipient(&f, ALICE).account_id;
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(
        database_run(f.store->db,
                     "INSERT INTO door_item (id, kind, level, owner_id, detail, name, value, expires_at, locked,"
                     " set_at, set_by) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $2)"
                     " SELECT 1000000 + i, 3, 3, $1, 'x' || i, 'a@b.test', '', 0, 0, 0, '' FROM n",
                     "uu", alice, (uint64_t)DOOR_ITEMS_MAX - 1),
        0);
    assert_int_equal(store_commit(f.store), 0);
    door_set(&f, WORDS({"alice+y@example.test", "black", "a@b.test", ""}, {ALICE, "black", "a@b.test", ""}),
             "would have more than 100000 settings and entries");
    assert_int_equal(door_set(&f, WORDS({"alice+y@example.test", "black", "a@b.test", ""}), NULL), 1);
    door_set(&f, WORDS({ALICE, "black", "a@b.test", ""}), "would have more than 100000 settings and entries");
    /* It is their own affair. */
    assert_int_equal(door_set(&f, WORDS({BOB, "black", "a@b.test", ""}), NULL), 2);
    fixture_stop(&f);
}

/* Large changes do not keep anybody from reading a history: its pages are bounded in bytes. */
static void history_pages(void **state)
{
    enum { ROWS = 12 };
    struct fixture f;
    struct door_past past[100];
    struct arena arena;
    uint64_t before = 0, last = ROWS + 1, seen = 0;
    bool more = true;
    fixture_start(&f);
    arena_init(&arena, 64u << 20); /* as the writer has it */
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(database_run(f.store->db,
                                  "INSERT INTO door_history (number, at, made_by, words, level, owner_id, detail,"
                                  " undone, undoes, before, after) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL"
                                  " SELECT i + 1 FROM n WHERE i < $1) SELECT i, 1, 'admin', '', 0, 0, '', 0, 0,"
                                  " randomblob(CASE WHEN i = 5 THEN 7 ELSE 7000000 END), '' FROM n",
                                  "u", (uint64_t)ROWS),
                     0);
    while (more) {
        size_t count = 100;
        arena_reset(&arena);
        assert_int_equal(door_history_list(f.store->db, NULL, before, &arena, past, &count, &more), 0);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(past[i].number, --last);
            seen++;
        }
        before = last;
    }
    assert_int_equal(seen, ROWS);
    size_t count = 1;
    assert_int_equal(door_history_list(f.store->db, NULL, 2, &arena, past, &count, &more), 0);
    assert_true(count == 1 && !more);
    assert_int_equal(store_commit(f.store), 0);
    arena_release(&arena);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_or_nothing), cmocka_unit_test(taken_back),    cmocka_unit_test(people),
        cmocka_unit_test(forwarding),     cmocka_unit_test(removal),       cmocka_unit_test(bounds),
        cmocka_unit_test(large_changes),  cmocka_unit_test(caps),          cmocka_unit_test(scattered),
        cmocka_unit_test(many_addresses), cmocka_unit_test(history_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
