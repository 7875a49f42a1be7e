#include "fixture.h"

#include "store/directory.h"
#include "store/list.h"

#include <stdio.h>
#include <sys/stat.h>

static void put_alias(struct fixture *f, const char *address, const char *const *targets, size_t count,
                      const char *sentence)
{
    struct span spans[8];
    for (size_t i = 0; i < count; i++)
        spans[i] = span_text(targets[i]);
    struct change change = {
        .kind = CHANGE_ALIAS_PUT, .subject = span_text(address), .targets = spans, .target_count = count};
    fixture_change(f, &change, sentence);
}

static void routes(void **state)
{
    struct fixture f;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    fixture_start(&f);
    fixture_change(&f, &(struct change){.kind = CHANGE_DOMAIN_ADD, .subject = span_text("Two.test")}, NULL);
    fixture_account(&f, "closed@example.test", 0);
    fixture_account(&f, "full@example.test", 3);
    fixture_account(&f, "a+b@example.test", 0);
    fixture_mail(&f, "full@example.test", "123");
    struct change close = {
        .kind = CHANGE_ACCOUNT_SET, .subject = span_text("closed@example.test"), .set_enabled = true};
    fixture_change(&f, &close, NULL);
    put_alias(&f, "team@example.test",
              (const char *[]){"alice@example.test", "bob+x@example.test", "closed@example.test"}, 3, NULL);
    put_alias(&f, "all@two.test", (const char *[]){"team@example.test", "carol@example.test", "alice@example.test"}, 3,
              NULL);
    put_alias(&f, "postmaster@example.test", (const char *[]){"alice@example.test"}, 1, NULL);
    static const struct {
        const char *local_part, *domain;
        enum route route;
        size_t targets;
    } rows[] = {
        {"alice", "example.test", ROUTED_LOCAL, 1},
        {"ALICE", "Example.TEST", ROUTED_LOCAL, 1},
        {"alice+detail+more", "example.test", ROUTED_LOCAL, 1},
        {"a+b", "example.test", ROUTED_LOCAL, 1},
        {"a+c", "example.test", ROUTED_NO_USER, 0},
        {"+alice", "example.test", ROUTED_NO_USER, 0},
        {"nobody", "example.test", ROUTED_NO_USER, 0},
        {"", "example.test", ROUTED_NO_USER, 0},
        {"alice", "elsewhere.test", ROUTED_NOT_OURS, 0},
        {"alice", "", ROUTED_NOT_OURS, 0},
        {"PostMaster", "", ROUTED_LOCAL, 1},
        {"Abuse", "example.test", ROUTED_LOCAL, 1}, /* whoever gets postmaster */
        {"abuse+spam", "example.test", ROUTED_LOCAL, 1},
        {"abuser", "example.test", ROUTED_NO_USER, 0},
        {"abuse", "", ROUTED_NOT_OURS, 0},
        {"abuse", "two.test", ROUTED_NO_USER, 0},
        {"postmaster", "two.test", ROUTED_NO_USER, 0},
        {"closed", "example.test", ROUTED_DISABLED, 0},
        {"full", "example.test", ROUTED_OVER_QUOTA, 0},
        {"team", "example.test", ROUTED_LOCAL, 2},
        {"all", "two.test", ROUTED_LOCAL, 3},
    };
    struct directory d = {
        .db = f.store->db, .detail_separator = span_text("+"), .default_domain = span_text("example.test")};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct routing routing;
        arena_reset(&arena);
        struct directory_query query = {span_text(rows[i].local_part), span_text(rows[i].domain), {"", 0}};
        assert_int_equal(directory_resolve(&d, &query, &arena, &routing), 0);
        if (routing.route == ROUTED_OVER_QUOTA)
            routing.count = 0;
        if (routing.route != rows[i].route || routing.count != rows[i].targets)
            fail_msg("%s@%s: route %d, %zu targets", rows[i].local_part, rows[i].domain, routing.route, routing.count);
    }
    char *endless = arena_alloc(&arena, 100000);
    assert_non_null(endless);
    memset(endless, 'a', 100000);
    struct routing routing;
    struct directory_query query = {span_from(endless, 100000), span_text("example.test"), {"", 0}};
    assert_int_equal(directory_resolve(&d, &query, &arena, &routing), 0);
    assert_int_equal(routing.route, ROUTED_NOT_OURS);
    arena_release(&arena);
    fixture_stop(&f);
}

static void problems_are_sentences(void **state)
{
    struct fixture f;
    fixture_start(&f);
    put_alias(&f, "one@example.test", (const char *[]){"alice@example.test"}, 1, NULL);
    put_alias(&f, "two@example.test", (const char *[]){"one@example.test"}, 1, NULL);
    uint64_t changes = f.store->volumes.lsn;
    put_alias(&f, "one@example.test", (const char *[]){"two@example.test"}, 1, "lead to itself");
    put_alias(&f, "one@example.test", (const char *[]){"one@example.test"}, 1, "lead to itself");
    put_alias(&f, "x@example.test", (const char *[]){"nobody@example.test"}, 1, "neither an account nor an alias");
    put_alias(&f, "x@example.test", (const char *[]){"alice"}, 1, "not an address");
    put_alias(&f, "x@example.test", NULL, 0, "between 1 and");
    static const struct {
        enum change_kind kind;
        const char *subject, *sentence;
    } rows[] = {
        {CHANGE_DOMAIN_ADD, "Example.Test", "already one of ours"},
        {CHANGE_DOMAIN_ADD, "not a domain", "not a domain name"},
        {CHANGE_DOMAIN_ADD, "a..b", "not a domain name"},
        {CHANGE_DOMAIN_ADD, "", "not a domain name"},
        {CHANGE_DOMAIN_REMOVE, "example.test", "still has accounts, aliases or mailing lists, 5 in all"},
        {CHANGE_DOMAIN_REMOVE, "elsewhere.test", "The domain elsewhere.test is not one of ours."},
        {CHANGE_ACCOUNT_ADD, "dave@elsewhere.test", "ostiary domain add elsewhere.test"},
        {CHANGE_ACCOUNT_ADD, "ALICE@example.test", "already an account"},
        {CHANGE_ACCOUNT_ADD, "one@example.test", "already an alias"},
        {CHANGE_ACCOUNT_ADD, "two words@example.test", "not an address"},
        {CHANGE_ACCOUNT_ADD, "@example.test", "not an address"},
        {CHANGE_ACCOUNT_REMOVE, "alcie@example.test", "did you mean alice@example.test?"},
        {CHANGE_ACCOUNT_SET, "zzzzzzzz@example.test", "There is no account zzzzzzzz@example.test."},
        {CHANGE_ALIAS_REMOVE, "oen@example.test", "did you mean one@example.test?"},
        {(enum change_kind)99, "x", "no such change"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        fixture_change(&f, &(struct change){.kind = rows[i].kind, .subject = span_text(rows[i].subject)},
                       rows[i].sentence);
    assert_int_equal(f.store->volumes.lsn, changes);
    fixture_change(&f, &(struct change){.kind = CHANGE_ALIAS_REMOVE, .subject = span_text("two@example.test")}, NULL);
    fixture_change(&f, &(struct change){.kind = CHANGE_ACCOUNT_REMOVE, .subject = span_text("carol@example.test")},
                   NULL);
    fixture_change(&f, &(struct change){.kind = CHANGE_DOMAIN_ADD, .subject = span_text("short.test")}, NULL);
    fixture_change(&f, &(struct change){.kind = CHANGE_DOMAIN_REMOVE, .subject = span_text("short.test")}, NULL);
    fixture_stop(&f);
}

static void logins(void **state)
{
    struct fixture f;
    struct arena arena;
    struct login login;
    arena_init(&arena, 1 << 20);
    fixture_start(&f);
    struct directory d = {
        .db = f.store->db, .detail_separator = span_text("+"), .default_domain = span_text("example.test")};
    static const struct {
        const char *name;
        int found;
    } rows[] = {{"alice", 1},  {"Alice@EXAMPLE.test", 1}, {"alice@other.test", 0},
                {"", 0},       {"@example.test", 0},      {"alice@", 0},
                {"alice+x", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(directory_login(&d, span_text(rows[i].name), &arena, &login), rows[i].found);
    assert_int_equal(directory_login(&d, span_text("alice"), &arena, &login), 1);
    assert_true(span_is(login.address, "alice@example.test") && login.enabled && login.count == 1);
    assert_true(span_is(login.credentials[0].kind, "crypt") && span_is(login.credentials[0].value, "$y$secret"));
    uint64_t version = login.version;
    struct credential_facts two[] = {{span_text("apop"), span_text("x")}, {span_text("scram-sha-256"), span_text("y")}};
    struct change change = {.kind = CHANGE_ACCOUNT_CREDENTIALS,
                            .subject = span_text("alice@example.test"),
                            .credentials = two,
                            .credential_count = 2};
    fixture_change(&f, &change, NULL);
    assert_int_equal(directory_login(&d, span_text("alice"), &arena, &login), 1);
    assert_true(login.version != version && login.count == 2 && span_is(login.credentials[0].kind, "apop"));
    arena_release(&arena);
    fixture_stop(&f);
}

/* Sixteen rows of aliases that each lead to all of the next row: every one is followed once, however many ways lead
 * there. */
static void a_web_of_aliases(void **state)
{
    struct fixture f;
    char names[15][8][32];
    fixture_start(&f);
    for (int row = 14; row >= 0; row--) {
        const char *targets[8];
        for (int i = 0; i < 8; i++)
            targets[i] = row == 14 ? "alice@example.test" : names[row + 1][i];
        for (int i = 0; i < 8; i++) {
            snprintf(names[row][i], sizeof(names[row][i]), "r%d.%d@example.test", row, i);
            put_alias(&f, names[row][i], targets, row == 14 ? 1 : 8, NULL);
        }
    }
    put_alias(&f, names[14][7], (const char *[]){names[0][0]}, 1, "would lead to itself");
    fixture_stop(&f);
}

/* A page says whether there are more, by number and by size. */
static void pages_of_aliases(void **state)
{
    struct fixture f;
    struct arena arena;
    struct listed_alias *items;
    size_t count;
    bool more;
    arena_init(&arena, 64 << 20);
    fixture_start(&f);
    assert_int_equal(store_begin(f.store), 0);
    for (int i = 0; i < LIST_PAGE + 1; i++) {
        char name[64];
        struct span target = span_text("alice@example.test");
        struct change put = {.kind = CHANGE_ALIAS_PUT, .targets = &target, .target_count = 1};
        struct buf problem;
        uint64_t id;
        snprintf(name, sizeof(name), "n%03d@example.test", i);
        put.subject = span_text(name);
        buf_init(&problem, 4096);
        assert_int_equal(store_change(f.store, &put, &id, &problem), 0);
        assert_int_equal(problem.size, 0);
        buf_release(&problem);
    }
    assert_int_equal(store_commit(f.store), 0);
    struct span none = {NULL, 0};
    assert_int_equal(list_aliases(f.store->db, none, none, &arena, &items, &count, &more), 0);
    assert_true(count == LIST_PAGE && more);
    struct span last = items[count - 1].address;
    assert_int_equal(list_aliases(f.store->db, last, none, &arena, &items, &count, &more), 0);
    assert_true(count == 1 && !more && span_is(items[0].address, "n500@example.test"));
    arena_release(&arena);
    fixture_stop(&f);
}

/* The separator of the settings, not always a plus. */
static void another_separator(void **state)
{
    struct fixture f;
    fixture_start(&f);
    f.settings.smtp.detail_separator = "-";
    assert_int_equal(store_set_settings(f.store, &f.settings), 0);
    put_alias(&f, "info@example.test", (const char *[]){"bob-x@example.test"}, 1, NULL);
    put_alias(&f, "sales@example.test", (const char *[]){"bob+x@example.test"}, 1, "neither an account nor an alias");
    fixture_stop(&f);
}

/* It has password hashes in it. */
static void the_database_is_private(void **state)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm"};
    struct fixture f;
    fixture_start(&f);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            char path[256];
            struct stat st;
            fixture_path(&f, names[i], path);
            assert_int_equal(stat(path, &st), 0);
            assert_int_equal(st.st_mode & 0777, 0600);
            assert_int_equal(chmod(path, 0644), 0);
        }
        /* One that an older program made is made private at the next start. */
        fixture_close(&f);
        fixture_open(&f);
    }
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes),
        cmocka_unit_test(problems_are_sentences),
        cmocka_unit_test(logins),
        cmocka_unit_test(a_web_of_aliases),
        cmocka_unit_test(pages_of_aliases),
        cmocka_unit_test(another_separator),
        cmocka_unit_test(the_database_is_private),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
