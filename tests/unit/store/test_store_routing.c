/* Where addresses lead: every kind of domain, alias and mailing list. */
#include "fixture.h"

#include "format/srs.h"
#include "format/verp.h"
#include "store/directory.h"
#include "store/srs_key.h"

#include <stdio.h>

#define NOW 1800000000u

static void domain(struct fixture *f, const char *name, bool is_backup, const char *alias_of, const char *next_hop,
                   const char *sentence)
{
    struct change change = {.kind = CHANGE_DOMAIN_ADD,
                            .subject = span_text(name),
                            .is_backup = is_backup,
                            .alias_of = span_text(alias_of),
                            .next_hop = span_text(next_hop)};
    fixture_change(f, &change, sentence);
}

/* `targets` are separated by spaces. */
static void with_targets(struct fixture *f, enum change_kind kind, const char *subject, const char *targets,
                         const char *sentence)
{
    struct span spans[16], rest = span_text(targets);
    size_t count = 0;
    while (rest.size && count < 16)
        spans[count++] = span_cut(&rest, ' ');
    struct change change = {.kind = kind, .subject = span_text(subject), .targets = spans, .target_count = count};
    fixture_change(f, &change, sentence);
}

static void alias(struct fixture *f, const char *address, const char *targets, const char *sentence)
{
    with_targets(f, CHANGE_ALIAS_PUT, address, targets, sentence);
}

static void mailing_list(struct fixture *f, const char *address, const char *owner, unsigned posting)
{
    struct change change = {
        .kind = CHANGE_LIST_PUT, .subject = span_text(address), .owner = span_text(owner), .posting = posting};
    fixture_change(f, &change, NULL);
}

static void write_address(struct fixture *f, uint64_t account, struct buf *out)
{
    struct statement *st = database_query(f->store->db, "SELECT local_part FROM account WHERE id = $1", "u", account);
    assert_int_equal(database_step(st), 1);
    buf_add_span(out, database_bytes(st, 0));
    database_end(st);
}

/* "alice remote:x@y>hop/forwarder? list bounce:7", or the route's name where it is not LOCAL. */
static void describe(struct fixture *f, const struct directory *d, const char *address, const char *sender,
                     const char *sent_on_to, struct buf *out)
{
    static const char *const names[] = {"", "NO_USER", "NOT_OURS", "OVER_QUOTA", "DISABLED", "LIST_REFUSES"};
    struct directory_query query = {.reverse_path = span_text(sender), .sent_on_to = span_text(sent_on_to)};
    struct routing routing;
    struct arena arena;
    arena_init(&arena, 4 << 20);
    assert_true(directory_split(span_text(address), &query.local_part, &query.domain));
    assert_int_equal(directory_resolve(d, &query, &arena, &routing), 0);
    buf_reset(out);
    buf_add_text(out, names[routing.route]);
    for (size_t i = 0; routing.route == ROUTED_LOCAL && i < routing.count; i++) {
        const struct route_target *t = &routing.targets[i];
        buf_add_text(out, i ? " " : "");
        if (t->kind == TARGET_MAILBOX)
            write_address(f, t->account_id, out);
        else if (t->kind == TARGET_REMOTE)
            buf_printf(out, "remote:%.*s%s%.*s%s%.*s%s", SPAN_ARG(t->address), t->next_hop.size ? ">" : "",
                       SPAN_ARG(t->next_hop), t->forwarder.size ? "/" : "", SPAN_ARG(t->forwarder),
                       t->verify ? "?" : "");
        else if (t->kind == TARGET_LIST)
            buf_add_text(out, "list");
        else
            buf_printf(out, "bounce:%u", (unsigned)t->list_member);
    }
    arena_release(&arena);
}

static void expect(struct fixture *f, const struct directory *d, const char *address, const char *sender,
                   const char *expected)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    describe(f, d, address, sender, "", &out);
    if (!span_is(buf_span(&out), expected))
        fail_msg("%s from <%s>: %.*s, expected %s", address, sender, SPAN_ARG(buf_span(&out)), expected);
    buf_release(&out);
}

static struct directory directory_of(struct fixture *f)
{
    return (struct directory){.db = f->store->db,
                              .detail_separator = span_text("+"),
                              .default_domain = span_text("example.test"),
                              .wall_seconds = NOW};
}

struct row {
    const char *address, *expected;
};

static void expect_all(struct fixture *f, const struct row *rows, size_t count)
{
    struct directory d = directory_of(f);
    for (size_t i = 0; i < count; i++)
        expect(f, &d, rows[i].address, "someone@elsewhere.test", rows[i].expected);
}

/* Whose mail is it that an address sent on to another site? */
static void who_sends_on(void **state)
{
    struct fixture f;
    fixture_start(&f);
    domain(&f, "also.test", false, "example.test", "", NULL);
    fixture_account(&f, "closed@example.test", 0);
    struct change close = {
        .kind = CHANGE_ACCOUNT_SET, .subject = span_text("closed@example.test"), .set_enabled = true};
    alias(&f, "alice@example.test", "a@else.test", NULL);
    alias(&f, "bob@example.test", "bob@example.test b@else.test", NULL);
    alias(&f, "closed@example.test", "c@else.test", NULL);
    fixture_change(&f, &close, NULL);
    alias(&f, "team@example.test", "carol@example.test bob@example.test alice@example.test t@else.test", NULL);
    alias(&f, "carol@example.test", "alice@example.test", NULL);
    alias(&f, "@example.test", "rest@else.test", NULL);
    static const struct {
        const char *address, *to, *expected;
    } rows[] = {
        {"alice@example.test", "a@else.test", "alice"},
        {"Alice+Shop@also.test", "A@ELSE.test", "alice"},
        {"bob@example.test", "b@else.test", "bob"},
        {"team@example.test", "a@else.test", "alice"},
        {"team@example.test", "b@else.test", "bob"},
        {"carol@example.test", "a@else.test", "alice"},
        {"team@example.test", "t@else.test", "NO_USER"},
        {"nobody@example.test", "rest@else.test", "NO_USER"},
        {"closed@example.test", "c@else.test", "DISABLED"},
        {"alice@example.test", "old@else.test", "alice"}, /* it was changed meanwhile */
        {"carol+x@example.test", "old@else.test", "carol"},
        {"team@example.test", "old@else.test", "NO_USER"},
        {"x@else.test", "y@else.test", "NOT_OURS"},
    };
    struct directory d = directory_of(&f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out;
        buf_init(&out, 1 << 16);
        describe(&f, &d, rows[i].address, "", rows[i].to, &out);
        if (!span_is(buf_span(&out), rows[i].expected))
            fail_msg("%s to %s: %.*s, expected %s", rows[i].address, rows[i].to, SPAN_ARG(buf_span(&out)),
                     rows[i].expected);
        buf_release(&out);
    }
    fixture_stop(&f);
}

static void domains(void **state)
{
    struct fixture f;
    fixture_start(&f);
    domain(&f, "also.test", false, "example.test", "", NULL);
    domain(&f, "move.test", false, "", "old.test:2525", NULL);
    fixture_account(&f, "here@move.test", 0);
    domain(&f, "spare.test", true, "", "", NULL);
    domain(&f, "main.test", true, "", "[::1]:25", NULL);
    fixture_account(&f, "kept@main.test", 0);
    alias(&f, "far@example.test", "Some.One@Else.test nobody@move.test x@spare.test bob@also.test", NULL);
    static const struct row rows[] = {
        {"Alice@Also.test", "alice"},
        {"alice+x@also.test", "alice"},
        {"nobody@also.test", "NO_USER"},
        {"here@move.test", "here"},
        {"here+x@move.test", "here"},
        {"nobody@move.test", "remote:nobody@move.test>old.test:2525?"},
        {"x+y@move.test", "remote:x+y@move.test>old.test:2525?"},
        {"any@spare.test", "remote:any@spare.test"},
        {"any@main.test", "remote:any@main.test>[::1]:25?"},
        {"kept@main.test", "kept"},
        {"x@else.test", "NOT_OURS"},
        {"far@also.test", "remote:Some.One@else.test/example.test"
                          " remote:nobody@move.test>old.test:2525/example.test? remote:x@spare.test/example.test bob"},
    };
    expect_all(&f, rows, sizeof(rows) / sizeof(rows[0]));
    domain(&f, "x.test", false, "also.test", "", "is itself another name of example.test");
    domain(&f, "x.test", false, "nowhere.test", "", "ostiary domain add nowhere.test");
    domain(&f, "x.test", true, "example.test", "", "can't have a next hop or be a backup");
    domain(&f, "x.test", false, "", "old.test", "not a host and a port");
    domain(&f, "x.test", false, "", "old.test:0", "not a host and a port");
    domain(&f, "x.test", false, "", "[127.0.0.1]:25", "not a host and a port");
    domain(&f, "x.test", false, "", "a b:25", "not a host and a port");
    struct change change = {
        .kind = CHANGE_DOMAIN_SET, .subject = span_text("move.test"), .next_hop = span_text("NEW.test:26")};
    fixture_change(&f, &change, NULL);
    struct directory d = directory_of(&f);
    expect(&f, &d, "nobody@move.test", "", "remote:nobody@move.test>new.test:26?");
    change.next_hop = span_text("");
    fixture_change(&f, &change, NULL);
    expect(&f, &d, "nobody@move.test", "", "NO_USER");
    change.subject = span_text("also.test");
    fixture_change(&f, &change, "another name");
    change.subject = span_text("spare.test");
    fixture_change(&f, &change, "backup domain");
    change.is_backup = true;
    fixture_change(&f, &change, NULL);
    fixture_change(&f, &(struct change){.kind = CHANGE_DOMAIN_REMOVE, .subject = span_text("example.test")},
                   "still has 1 other name: remove it first");
    fixture_change(&f, &(struct change){.kind = CHANGE_ACCOUNT_ADD, .subject = span_text("x@also.test")},
                   "give the address as x@example.test");
    fixture_stop(&f);
}

static void aliases(void **state)
{
    struct fixture f;
    fixture_start(&f);
    fixture_account(&f, "closed@example.test", 0);
    fixture_account(&f, "full@example.test", 3);
    fixture_mail(&f, "full@example.test", "123");
    struct change close = {
        .kind = CHANGE_ACCOUNT_SET, .subject = span_text("closed@example.test"), .set_enabled = true};
    fixture_change(&f, &close, NULL);
    alias(&f, "alice@example.test", "alice@example.test a@else.test", NULL);
    alias(&f, "bob@example.test", "bob@else.test", NULL);
    alias(&f, "mixed@example.test", "closed@example.test full@example.test m@else.test", NULL);
    alias(&f, "shut@example.test", "closed@example.test", NULL);
    alias(&f, "stuffed@example.test", "closed@example.test full@example.test", NULL);
    alias(&f, "twice@example.test", "x@else.test X@else.test x@ELSE.test alice@example.test", NULL);
    static const struct row rows[] = {
        {"alice@example.test", "alice remote:a@else.test/example.test"},
        {"alice+d@example.test", "alice remote:a@else.test/example.test"},
        {"bob@example.test", "remote:bob@else.test/example.test"},
        {"mixed@example.test", "full remote:m@else.test/example.test"},
        {"shut@example.test", "DISABLED"},
        {"stuffed@example.test", "OVER_QUOTA"},
        {"twice@example.test", "remote:x@else.test/example.test remote:X@else.test/example.test alice"
                               " remote:a@else.test/example.test"},
        {"nobody@example.test", "NO_USER"},
    };
    expect_all(&f, rows, sizeof(rows) / sizeof(rows[0]));
    alias(&f, "@example.test", "carol@example.test rest@else.test", NULL);
    struct directory d = directory_of(&f);
    expect(&f, &d, "nobody@example.test", "", "carol remote:rest@else.test/example.test");
    expect(&f, &d, "carol+x@example.test", "", "carol");
    expect(&f, &d, "bob@example.test", "", "remote:bob@else.test/example.test");
    /* Circles: with somebody on them who keeps a copy they are harmless. */
    alias(&f, "carol@example.test", "alice@example.test", NULL);
    alias(&f, "alice@example.test", "alice@example.test carol@example.test", NULL);
    expect(&f, &d, "carol@example.test", "", "alice");
    expect(&f, &d, "alice@example.test", "", "alice");
    alias(&f, "alice@example.test", "carol@example.test", "lead to itself through carol@example.test");
    alias(&f, "new@example.test", "new@example.test", "lead to itself");
    alias(&f, "new@example.test", "NEW@example.test x@else.test", "lead to itself");
    alias(&f, "@example.test", "nobody@example.test", "lead to itself");
    alias(&f, "new@example.test", "x@else..test", "not an address");
    alias(&f, "new@example.test", "a(b@else.test", "not an address");
    alias(&f, "new@else.test", "x@else.test", "ostiary domain add else.test");
    fixture_change(&f, &(struct change){.kind = CHANGE_ALIAS_REMOVE, .subject = span_text("@example.test")}, NULL);
    expect(&f, &d, "nobody@example.test", "", "NO_USER");
    fixture_change(&f, &(struct change){.kind = CHANGE_ACCOUNT_REMOVE, .subject = span_text("bob@example.test")}, NULL);
    expect(&f, &d, "bob@example.test", "", "NO_USER");
    fixture_stop(&f);
}

static const struct span bounce_key = SPAN("0123456789abcdef0123456789abcdef");

/* What leads where a bounce to the member comes back, made with `key` for `domain`. */
static void expect_bounce(struct fixture *f, struct directory *d, const char *list, const char *domain_name,
                          uint64_t member, const char *expected)
{
    struct buf address, path;
    buf_init(&address, 1024);
    buf_init(&path, 1024);
    verp_write(span_text(list), span_text(domain_name), member, bounce_key, &path);
    buf_printf(&address, "%.*s@example.test%c", SPAN_ARG(span_head(buf_span(&path), span_find(buf_span(&path), '@'))),
               0);
    assert_false(buf_failed(&address));
    expect(f, d, address.data, "", expected);
    buf_release(&address);
    buf_release(&path);
}

static void lists(void **state)
{
    struct fixture f;
    fixture_start(&f);
    domain(&f, "also.test", false, "example.test", "", NULL);
    mailing_list(&f, "all@example.test", "alice@example.test", 0);
    mailing_list(&f, "us@example.test", "alice@example.test", 1);
    mailing_list(&f, "news@example.test", "Boss@Else.test", 2);
    mailing_list(&f, "lost@example.test", "", 1);
    with_targets(&f, CHANGE_LIST_JOIN, "us@example.test", "bob@example.test Zoe@Else.test bob@example.test", NULL);
    alias(&f, "both@example.test", "us@example.test carol@example.test", NULL);
    struct directory d = directory_of(&f);
    static const struct {
        const char *address, *sender, *expected;
    } rows[] = {
        {"all@example.test", "x@else.test", "list"},
        {"ALL@also.test", "x@else.test", "list"},
        {"all+d@example.test", "x@else.test", "list"},
        {"all@example.test", "", "LIST_REFUSES"},
        {"us@example.test", "x@else.test", "LIST_REFUSES"},
        {"us@example.test", "ZOE@else.test", "list"},
        {"us@example.test", "bob@example.test", "list"},
        {"us@example.test", "alice@example.test", "list"},
        {"news@example.test", "bob@example.test", "LIST_REFUSES"},
        {"news@example.test", "boss@else.test", "list"},
        {"both@example.test", "x@else.test", "LIST_REFUSES"},
        {"both@example.test", "", "carol"},
        {"both@example.test", "bob@example.test", "list carol"},
        {"us-owner@example.test", "x@else.test", "alice"},
        {"news-owner@example.test", "", "remote:boss@else.test/example.test"},
        {"lost-owner@example.test", "x@else.test", "NO_USER"},
        {"nolist-owner@example.test", "x@else.test", "NO_USER"},
        {"us-bounces@example.test", "", "bounce:0"},
        {"US-Bounces@also.test", "", "bounce:0"},
        {"nolist-bounces@example.test", "", "NO_USER"},
        {"us-bounces+12@example.test", "", "NO_USER"},
        {"us-bounces+12-aaaaaa@example.test", "", "NO_USER"},
        {"us-bounces+x@example.test", "", "bounce:0"}, /* a detail; nobody is counted */
        {"-bounces+1@example.test", "", "NO_USER"},
        {"-owner@example.test", "", "NO_USER"},
    };
    d.srs_key = bounce_key;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect(&f, &d, rows[i].address, rows[i].sender, rows[i].expected);
    expect_bounce(&f, &d, "us", "example.test", 12, "bounce:12");
    expect_bounce(&f, &d, "us", "example.org", 12, "NO_USER");
    expect_bounce(&f, &d, "nolist", "example.test", 12, "NO_USER");
    d.srs_key = span_text("another key, which is as good..");
    expect_bounce(&f, &d, "us", "example.test", 12, "NO_USER");
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM list_member"), 2);
    assert_int_equal(database_run(f.store->db, "UPDATE list_member SET bounces = 5, suspended = 1", ""), 0);
    with_targets(&f, CHANGE_LIST_JOIN, "us@example.test", "zoe@else.test", NULL);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM list_member WHERE bounces = 0 AND suspended = 0"), 1);
    with_targets(&f, CHANGE_LIST_JOIN, "us@example.test", "us@example.test", "of itself");
    with_targets(&f, CHANGE_LIST_JOIN, "us@example.test", "nobody@example.test", "is nobody here");
    with_targets(&f, CHANGE_LIST_JOIN, "us@example.test", "", "Between 1 and");
    with_targets(&f, CHANGE_LIST_JOIN, "su@example.test", "bob@example.test", "did you mean us@example.test?");
    with_targets(&f, CHANGE_LIST_LEAVE, "us@example.test", "bob@example.test carol@example.test", "is not a member");
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM list_member"), 2);
    uint64_t number = fixture_count(&f, "SELECT MAX(number) FROM list_member");
    with_targets(&f, CHANGE_LIST_LEAVE, "us@example.test", "BOB@example.test zoe@else.test", NULL);
    with_targets(&f, CHANGE_LIST_JOIN, "us@example.test", "carol@example.test", NULL);
    assert_true(fixture_count(&f, "SELECT MAX(number) FROM list_member") > number);
    alias(&f, "us@example.test", "bob@example.test", "already a mailing list");
    struct change put = {.kind = CHANGE_LIST_PUT, .subject = span_text("us@example.test"), .posting = 1};
    fixture_change(&f, &put, "already a mailing list");
    put.set_posting = true;
    put.posting = 3;
    fixture_change(&f, &put, "nothing else");
    put.posting = 0;
    fixture_change(&f, &put, NULL);
    expect(&f, &d, "us@example.test", "x@else.test", "list");
    expect(&f, &d, "us-owner@example.test", "x@else.test", "alice");
    put.subject = span_text("alice@example.test");
    put.set_posting = false;
    fixture_change(&f, &put, "already an account");
    put.subject = span_text("both@example.test");
    fixture_change(&f, &put, "already an alias");
    fixture_change(&f, &(struct change){.kind = CHANGE_ACCOUNT_ADD, .subject = span_text("us@example.test")},
                   "already a mailing list");
    fixture_change(&f, &(struct change){.kind = CHANGE_LIST_REMOVE, .subject = span_text("us@example.test")}, NULL);
    expect(&f, &d, "us@example.test", "x@else.test", "NO_USER");
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM list_member"), 0);
    fixture_stop(&f);
}

static void rewritten_senders(void **state)
{
    struct fixture f;
    unsigned char key[SRS_KEY_SIZE], other[SRS_KEY_SIZE];
    fixture_start(&f);
    domain(&f, "spare.test", true, "", "", NULL);
    alias(&f, "@example.test", "alice@example.test", NULL);
    store_srs_key(f.store->volumes.mark, key);
    store_srs_key(f.store->volumes.mark + 1, other);
    assert_memory_not_equal(key, other, sizeof(key));
    struct directory d = directory_of(&f);
    struct buf address;
    buf_init(&address, 1024);
    struct span secret = span_from(key, sizeof(key)), domain_name = span_text("example.test");
    srs_forward_write(span_text("Some.One"), span_text("else.test"), domain_name, secret, NOW, &address);
    buf_add_char(&address, '\0');
    expect(&f, &d, address.data, "", "alice"); /* without a key it is an ordinary name */
    d.srs_key = secret;
    expect(&f, &d, address.data, "", "remote:Some.One@else.test");
    d.wall_seconds = NOW + (SRS_DAYS + 2) * 86400ull;
    expect(&f, &d, address.data, "", "NO_USER");
    d.wall_seconds = NOW;
    d.srs_key = span_from(other, sizeof(other));
    expect(&f, &d, address.data, "", "NO_USER"); /* not to the catch-all: nobody would ever have sent from it */
    d.srs_key = secret;
    buf_reset(&address);
    srs_forward_write(span_text("bob"), domain_name, domain_name, secret, NOW, &address);
    buf_add_char(&address, '\0');
    expect(&f, &d, address.data, "", "bob");
    buf_reset(&address);
    srs_forward_write(span_text("x"), span_text("else.test"), span_text("spare.test"), secret, NOW, &address);
    buf_add_char(&address, '\0');
    char expected[600];
    snprintf(expected, sizeof(expected), "remote:%s", address.data);
    for (char *c = expected; *c; c++)
        *c = ascii_lower(*c);
    expect(&f, &d, address.data, "", expected); /* its main server's, as far as we know */
    buf_release(&address);
    fixture_stop(&f);
}

static void senders(void **state)
{
    struct fixture f;
    struct arena arena;
    fixture_start(&f);
    arena_init(&arena, 4 << 20);
    domain(&f, "also.test", false, "example.test", "", NULL);
    domain(&f, "spare.test", true, "", "", NULL);
    uint64_t full = fixture_account(&f, "full@example.test", 3);
    fixture_mail(&f, "full@example.test", "123");
    alias(&f, "full2@example.test", "full@example.test x@else.test", NULL);
    alias(&f, "bob@example.test", "bob@else.test", NULL);
    alias(&f, "team@example.test", "alice@example.test bob@example.test", NULL);
    mailing_list(&f, "all@example.test", "alice@example.test", 0);
    struct directory d = directory_of(&f);
    uint64_t alice = fixture_recipient(&f, "alice@example.test").account_id;
    uint64_t bob = fixture_count(&f, "SELECT id FROM account WHERE local_part = 'bob'");
    const struct {
        uint64_t account;
        const char *local_part, *domain;
        int may;
    } rows[] = {
        {alice, "alice", "example.test", 1},  {alice, "ALICE+x+y", "Also.test", 1}, {alice, "team", "also.test", 1},
        {alice, "bob", "example.test", 0},    {bob, "bob", "example.test", 1},      {bob, "bob+x", "also.test", 1},
        {bob, "team", "example.test", 1},     {full, "full", "example.test", 1},    {full, "full2", "example.test", 1},
        {alice, "all", "example.test", 0},    {alice, "alice", "else.test", 0},     {alice, "x", "spare.test", 0},
        {alice, "all-owner", "also.test", 1}, {alice, "", "example.test", 0},       {alice, "alice", "", 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (directory_may_send(&d, rows[i].account, span_text(rows[i].local_part), span_text(rows[i].domain), &arena) !=
            rows[i].may)
            fail_msg("%s@%s", rows[i].local_part, rows[i].domain);
    /* A login or a POP-before-SMTP window may be older than the closing. */
    struct change close = {.kind = CHANGE_ACCOUNT_SET, .subject = span_text("alice@example.test"), .set_enabled = true};
    fixture_change(&f, &close, NULL);
    const char *own[] = {"alice", "team"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        assert_int_equal(directory_may_send(&d, alice, span_text(own[i]), span_text("example.test"), &arena), 0);
    assert_int_equal(directory_may_send(&d, 999999, span_text("bob"), span_text("example.test"), &arena), 0);
    arena_release(&arena);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(domains),           cmocka_unit_test(who_sends_on),
                                       cmocka_unit_test(aliases),           cmocka_unit_test(lists),
                                       cmocka_unit_test(rewritten_senders), cmocka_unit_test(senders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
