#include "fixture.h"

#include "store/directory.h"

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
        assert_int_equal(
            directory_resolve(&d, span_text(rows[i].local_part), span_text(rows[i].domain), &arena, &routing), 0);
        if (routing.route != rows[i].route || routing.count != rows[i].targets)
            fail_msg("%s@%s: route %d, %zu targets", rows[i].local_part, rows[i].domain, routing.route, routing.count);
    }
    char *endless = arena_alloc(&arena, 100000);
    assert_non_null(endless);
    memset(endless, 'a', 100000);
    struct routing routing;
    assert_int_equal(directory_resolve(&d, span_from(endless, 100000), span_text("example.test"), &arena, &routing), 0);
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
    put_alias(&f, "x@example.test", (const char *[]){"a@elsewhere.test"}, 1, "not in one of our domains");
    put_alias(&f, "x@example.test", (const char *[]){"alice"}, 1, "not an address");
    put_alias(&f, "x@example.test", NULL, 0, "between 1 and");
    put_alias(&f, "alice@example.test", (const char *[]){"bob@example.test"}, 1, "already an account");
    static const struct {
        enum change_kind kind;
        const char *subject, *sentence;
    } rows[] = {
        {CHANGE_DOMAIN_ADD, "Example.Test", "already one of ours"},
        {CHANGE_DOMAIN_ADD, "not a domain", "not a domain name"},
        {CHANGE_DOMAIN_ADD, "a..b", "not a domain name"},
        {CHANGE_DOMAIN_ADD, "", "not a domain name"},
        {CHANGE_DOMAIN_REMOVE, "example.test", "still has 5 accounts and aliases"},
        {CHANGE_DOMAIN_REMOVE, "elsewhere.test", "not one of ours"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes),
        cmocka_unit_test(problems_are_sentences),
        cmocka_unit_test(logins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
