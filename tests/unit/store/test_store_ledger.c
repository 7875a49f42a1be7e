#include "fixture.h"

#include "base/clock.h"
#include "format/summary.h"
#include "policy/decide.h"
#include "store/ledger_list.h"
#include "store/mailbox.h"
#include "store/rebuild.h"
#include "store/reject_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define T0 1700000000000000000ull
#define DAY (24ull * 3600 * NANOSECONDS)

struct house {
    struct fixture fixture;
    struct arena arena;
};

static int start(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    fixture_start(&h->fixture);
    arena_init(&h->arena, 64 << 20);
    h->fixture.settings.ledger.reject_log = true;
    h->fixture.settings.ledger.reject_log_size = 64 << 10;
    h->fixture.settings.ledger.reject_log_keep = 3;
    assert_int_equal(store_set_settings(h->fixture.store, &h->fixture.settings), 0);
    *state = h;
    return 0;
}

static int stop(void **state)
{
    struct house *h = *state;
    arena_release(&h->arena);
    fixture_stop(&h->fixture);
    free(h);
    return 0;
}

static struct ledger_row refusal(uint64_t reference, const char *recipient, const char *sender)
{
    return (struct ledger_row){.reference = reference,
                               .at = T0 + reference * NANOSECONDS,
                               .attempts = 1,
                               .verdict = VERDICT_REFUSE,
                               .level = LEVEL_ACCOUNT,
                               .rule = span_text("sender-tld"),
                               .ip = span_text("192.0.2.7"),
                               .ptr = span_text("mx.b.example"),
                               .helo = span_text("b.example"),
                               .reverse_path = span_text(sender),
                               .recipient = span_text(recipient),
                               .evidence = span_text("b.example"),
                               .sentence = span_text("your domain ends in .example"),
                               .reply = span_text("550 5.7.1 no"),
                               .facts = span_text("FACTS"),
                               .asked = 5};
}

static void note(struct house *h, const struct ledger_row *rows, size_t count)
{
    struct store *s = h->fixture.store;
    assert_int_equal(ledger_begin(s), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ledger_insert(s, &rows[i]), 0);
    assert_int_equal(ledger_commit(s), 0);
    reject_log_flush(&s->ledger.reject_log);
}

static struct ledger_page look(struct house *h, struct ledger_choice choice)
{
    struct ledger_page page;
    arena_reset(&h->arena);
    assert_int_equal(ledger_list(h->fixture.store, &choice, &h->arena, &page), 0);
    return page;
}

static void read_file(struct house *h, const char *name, char *out, size_t room)
{
    char path[256];
    fixture_path(&h->fixture, name, path);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, out, room - 1);
    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

/* ---- Rows ---- */

/* What a gate that was taken over says of numbers and times breaks no sum, and lets no row live for ever. */
static void test_numbers_are_bounded(void **state)
{
    struct house *h = *state;
    struct ledger_row rows[] = {refusal(7, "bob@example.test", "x@b.example"),
                                refusal(8, "bob@example.test", "x@b.example")};
    struct reject_counts counts;
    uint64_t before = clock_wall();
    rows[0].attempts = rows[1].attempts = INT64_MAX;
    rows[0].at = rows[0].last_at = UINT64_MAX;
    note(h, rows, 2);
    note(h, rows, 1);
    struct ledger_page page = look(h, (struct ledger_choice){.reference = 7});
    assert_int_equal(page.count, 1);
    assert_int_equal(page.entries[0].row.attempts, LEDGER_ATTEMPTS_MAX);
    uint64_t at = page.entries[0].row.at, last_at = page.entries[0].row.last_at;
    assert_true(at >= before && at <= clock_wall() && last_at >= at && last_at <= clock_wall());
    arena_reset(&h->arena);
    assert_int_equal(ledger_count_rejects(h->fixture.store, &(struct ledger_choice){.before_id = 0}, INT64_MAX, false,
                                          &h->arena, &counts),
                     0);
    assert_true(counts.count == 1 && counts.counts[0].attempts == 2 * LEDGER_ATTEMPTS_MAX);
}

static void test_a_refusal_is_kept_and_found(void **state)
{
    struct house *h = *state;
    struct ledger_row row = refusal(0x123456789aull, "bob@example.test", "x@b.example");
    row.at = T0;
    note(h, &row, 1);
    struct ledger_page page = look(h, (struct ledger_choice){.reference = row.reference, .facts = true});
    assert_int_equal(page.count, 1);
    assert_false(page.more);
    const struct ledger_row *r = &page.entries[0].row;
    assert_true(r->reference == row.reference && r->at == row.at && r->last_at == row.at && r->attempts == 1);
    assert_int_equal(r->verdict, VERDICT_REFUSE);
    assert_int_equal(r->level, LEVEL_ACCOUNT);
    assert_int_equal(r->asked, 5);
    assert_true(span_is(r->rule, "sender-tld") && span_is(r->ip, "192.0.2.7") && span_is(r->ptr, "mx.b.example"));
    assert_true(span_is(r->helo, "b.example") && span_is(r->reverse_path, "x@b.example"));
    assert_true(span_is(r->evidence, "b.example") && span_is(r->sentence, "your domain ends in .example"));
    assert_true(span_is(r->reply, "550 5.7.1 no") && span_is(r->facts, "FACTS"));
    assert_true(span_is(r->recipient, "bob@example.test"));
    assert_int_equal(look(h, (struct ledger_choice){.reference = 1}).count, 0);
    /* Facts only where they are wanted. */
    assert_int_equal(look(h, (struct ledger_choice){.reference = row.reference}).entries[0].row.facts.size, 0);
}

static void test_rows_outlive_a_restart(void **state)
{
    struct house *h = *state;
    struct ledger_row row = refusal(7, "bob@example.test", "x@b.example");
    note(h, &row, 1);
    fixture_close(&h->fixture);
    fixture_open(&h->fixture);
    note(h, &row, 1);
    row.reference = 8;
    note(h, &row, 1);
    struct ledger_page page = look(h, (struct ledger_choice){0});
    assert_int_equal(page.count, 2);
    assert_int_equal(page.entries[0].row.reference, 8);
    assert_int_equal(page.entries[1].row.attempts, 2);
}

static void test_a_flood_told_piecemeal_is_one_row(void **state)
{
    struct house *h = *state;
    struct ledger_row rows[3] = {refusal(9, "bob@example.test", "x@b.example"),
                                 refusal(9, "bob@example.test", "y@b.example"),
                                 refusal(9, "bob@example.test", "z@b.example")};
    rows[1].attempts = 5000;
    rows[1].last_at = rows[0].at + 60 * NANOSECONDS;
    /* Somebody else's row that chance gave the same reference. */
    rows[2].account_id = 77;
    note(h, rows, 3);
    struct ledger_page page = look(h, (struct ledger_choice){.reference = 9});
    assert_int_equal(page.count, 2);
    assert_int_equal(page.entries[0].row.account_id, 77);
    assert_int_equal(page.entries[0].row.attempts, 1);
    assert_int_equal(page.entries[1].row.attempts, 5001);
    assert_true(page.entries[1].row.last_at == rows[1].last_at);
    assert_true(span_is(page.entries[1].row.reverse_path, "x@b.example"));
}

static void test_texts_are_cut_and_cleaned(void **state)
{
    struct house *h = *state;
    char longest[2000];
    memset(longest, 'a', sizeof(longest));
    struct ledger_row row = refusal(3, "bob@example.test", "x@b.example");
    row.helo = span_text("a\r\nb\tc\x7f");
    row.evidence = span_text("bad \xff utf-8 \x01");
    row.sentence = span_text("gr\xc3\xbc\xc3\x9f"
                             "e \xc2\x9b"
                             "31m");
    row.reply = span_from(longest, sizeof(longest));
    row.subject = span_from(longest, sizeof(longest));
    row.header_message_id = span_from("a\0b", 3);
    row.facts = span_from(longest, sizeof(longest));
    row.at = row.account_id = row.message_id = UINT64_MAX;
    row.asked = UINT64_MAX;
    note(h, &row, 1);
    struct ledger_page page = look(h, (struct ledger_choice){.reference = 3, .facts = true});
    assert_int_equal(page.count, 1);
    const struct ledger_row *r = &page.entries[0].row;
    assert_true(span_is(r->helo, "a??b?c?"));
    assert_true(span_is(r->evidence, "bad ? utf-8 ?"));
    assert_true(span_is(r->sentence, "gr\xc3\xbc\xc3\x9f"
                                     "e ??31m"));
    assert_int_equal(r->reply.size, LEDGER_REPLY_MAX);
    assert_int_equal(r->subject.size, LEDGER_TEXT_MAX);
    assert_true(span_is(r->header_message_id, "a?b"));
    assert_int_equal(r->facts.size, sizeof(longest));
    assert_true(r->at <= clock_wall() && r->asked == INT64_MAX);
}

static void test_a_cut_leaves_no_half_character(void **state)
{
    struct house *h = *state;
    char text[LEDGER_ADDRESS_MAX + 3];
    memset(text, 'a', sizeof(text));
    memcpy(text + LEDGER_ADDRESS_MAX - 1, "\xe2\x82\xac", 3);
    struct ledger_row row = refusal(4, "bob@example.test", "x@b.example");
    row.reverse_path = span_from(text, LEDGER_ADDRESS_MAX + 2);
    note(h, &row, 1);
    struct ledger_page page = look(h, (struct ledger_choice){.reference = 4});
    assert_int_equal(page.entries[0].row.reverse_path.size, LEDGER_ADDRESS_MAX - 1);
}

static void test_what_is_no_row_changes_nothing(void **state)
{
    struct house *h = *state;
    struct store *s = h->fixture.store;
    struct ledger_row row = refusal(5, "bob@example.test", "x@b.example");
    assert_int_equal(ledger_begin(s), 0);
    row.verdict = VERDICT_WATCH + 1;
    assert_int_equal(ledger_insert(s, &row), -EINVAL);
    row.verdict = VERDICT_REFUSE;
    row.reference = LEDGER_REFERENCE_MAX + 1;
    assert_int_equal(ledger_insert(s, &row), -EINVAL);
    row.reference = 5;
    row.level = LEVEL_COUNT;
    assert_int_equal(ledger_insert(s, &row), -EINVAL);
    row.level = LEVEL_SITE;
    assert_int_equal(ledger_insert(s, &row), 0);
    assert_int_equal(ledger_commit(s), 0);
    assert_int_equal(look(h, (struct ledger_choice){0}).count, 1);
    /* Large facts are left out. */
    static char large[LEDGER_FACTS_MAX + 1];
    row.reference = 6;
    row.facts = span_from(large, sizeof(large));
    note(h, &row, 1);
    assert_int_equal(look(h, (struct ledger_choice){.reference = 6, .facts = true}).entries[0].row.facts.size, 0);
}

static void test_an_abort_leaves_nothing(void **state)
{
    struct house *h = *state;
    struct store *s = h->fixture.store;
    struct ledger_row row = refusal(5, "bob@example.test", "x@b.example");
    uint64_t count;
    note(h, &row, 1);
    row.reference = 6;
    assert_int_equal(ledger_begin(s), 0);
    assert_int_equal(ledger_insert(s, &row), 0);
    ledger_abort(s);
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(ledger_insert(s, &row), 0);
    store_abort(s);
    reject_log_flush(&s->ledger.reject_log);
    assert_int_equal(ledger_count(s, &count), 0);
    assert_int_equal(count, 1);
    char lines[4096];
    read_file(h, "reject.log", lines, sizeof(lines));
    assert_null(strchr(strchr(lines, '\n') + 1, '\n'));
    /* And what comes then has an id of its own. */
    note(h, &row, 1);
    assert_int_equal(look(h, (struct ledger_choice){0}).count, 2);
}

/* Rows that were not synced by themselves are in the log of the database all the same: another process sees them. */
static void test_commits_are_synced_again_afterwards(void **state)
{
    struct house *h = *state;
    struct ledger_row row = refusal(5, "bob@example.test", "x@b.example");
    uint64_t level = 0;
    assert_int_equal(database_find(h->fixture.store->db, &level, "PRAGMA synchronous", ""), 1);
    assert_int_equal(level, 2);
    note(h, &row, 1);
    assert_int_equal(database_find(h->fixture.store->db, &level, "PRAGMA synchronous", ""), 1);
    assert_int_equal(level, 2);
    assert_int_equal(ledger_begin(h->fixture.store), 0);
    assert_int_equal(database_find(h->fixture.store->db, &level, "PRAGMA synchronous", ""), 1);
    assert_int_equal(level, 1);
    ledger_abort(h->fixture.store);
    assert_int_equal(database_find(h->fixture.store->db, &level, "PRAGMA synchronous", ""), 1);
    assert_int_equal(level, 2);
}

/* ---- Mail ---- */

static uint64_t deliver(struct house *h, const char *address, const char *text)
{
    struct store *s = h->fixture.store;
    struct arena arena;
    struct buf summary;
    struct ledger_row row = refusal(0, address, "x@y.test");
    struct delivery_recipient r = fixture_recipient(&h->fixture, address);
    uint64_t id;
    arena_init(&arena, SUMMARY_ARENA_MAX);
    buf_init(&summary, SUMMARY_SIZE_MAX);
    assert_int_equal(summary_make(span_text(text), &arena, &summary), 0);
    row.verdict = VERDICT_ACCEPT;
    row.rule = span_text("");
    row.account_id = r.account_id;
    r.ledger = &row;
    struct delivery d = {.facts = {.received_at = T0, .summary = buf_span(&summary)},
                         .recipients = &r,
                         .recipient_count = 1,
                         .body = span_text(text),
                         .body_fd = -1};
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_deliver(s, &d, &id), 0);
    assert_int_equal(store_commit(s), 0);
    assert_int_equal(r.outcome, DELIVERY_STORED);
    buf_release(&summary);
    arena_release(&arena);
    return id;
}

static void test_accepted_mail_has_a_row_with_its_words(void **state)
{
    struct house *h = *state;
    uint64_t id = deliver(h, "alice@example.test",
                          "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@y.test>\r\n\r\nhello\r\n");
    struct ledger_page page = look(h, (struct ledger_choice){.fate = true});
    assert_int_equal(page.count, 1);
    const struct ledger_entry *e = &page.entries[0];
    assert_true(span_is(e->row.subject, "gr\xc3\xbc\xc3\x9f"
                                        "e"));
    assert_true(span_is(e->row.header_message_id, "<1@y.test>"));
    assert_true(span_is(e->account, "alice@example.test"));
    assert_true(e->row.message_id == id && e->row.mailbox_id != 0 && e->row.uid == 1);
    assert_int_equal(e->fate, LEDGER_FATE_UNREAD);
    char lines[64];
    read_file(h, "reject.log", lines, sizeof(lines));
    assert_string_equal(lines, "");
}

static void test_two_names_of_one_mailbox_have_a_row_each(void **state)
{
    struct house *h = *state;
    struct store *s = h->fixture.store;
    struct ledger_row rows[2] = {refusal(0, "alice@example.test", "x@y.test"),
                                 refusal(0, "alice+shop@example.test", "x@y.test")};
    struct delivery_recipient r[2] = {fixture_recipient(&h->fixture, "alice@example.test"),
                                      fixture_recipient(&h->fixture, "alice+shop@example.test")};
    uint64_t id;
    for (int i = 0; i < 2; i++) {
        rows[i].verdict = VERDICT_ACCEPT;
        rows[i].account_id = r[i].account_id;
        r[i].ledger = &rows[i];
    }
    struct delivery d = {.recipients = r, .recipient_count = 2, .body = span_text("x\r\n"), .body_fd = -1};
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_deliver(s, &d, &id), 0);
    assert_int_equal(store_commit(s), 0);
    struct ledger_page page = look(h, (struct ledger_choice){.fate = true});
    assert_int_equal(page.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(page.entries[i].row.uid, 1);
        assert_int_equal(page.entries[i].fate, LEDGER_FATE_UNREAD);
    }
    /* No row, no mail: a row that is none refuses the call, and only that. */
    rows[0].verdict = 99;
    assert_int_equal(store_begin(s), 0);
    assert_int_equal(store_deliver(s, &d, &id), -EINVAL);
    assert_int_equal(store_commit(s), 0);
    assert_int_equal(look(h, (struct ledger_choice){0}).count, 2);
}

static void set_flags(struct house *h, uint64_t mailbox_id, uint32_t uid, uint64_t flags)
{
    assert_int_equal(store_begin(h->fixture.store), 0);
    assert_int_equal(store_set_flags(h->fixture.store, mailbox_id, uid, flags), 0);
    assert_int_equal(store_commit(h->fixture.store), 0);
}

static void test_the_fate_of_mail(void **state)
{
    struct house *h = *state;
    struct delivery_recipient alice = fixture_recipient(&h->fixture, "alice@example.test");
    for (int i = 0; i < 5; i++)
        deliver(h, "alice@example.test", "Subject: s\r\n\r\nx\r\n");
    set_flags(h, alice.mailbox_id, 2, FLAG_SEEN);
    set_flags(h, alice.mailbox_id, 3, FLAG_SEEN | FLAG_ANSWERED);
    /* The fourth is moved: its message has an entry in another mailbox. */
    uint64_t other, message = fixture_count(&h->fixture, "SELECT message_id FROM entry WHERE uid = 4");
    assert_int_equal(store_begin(h->fixture.store), 0);
    assert_int_equal(mailbox_create(h->fixture.store, alice.account_id, span_text("Archive"), 0, &other), 0);
    assert_int_equal(store_commit(h->fixture.store), 0);
    assert_int_equal(database_run(h->fixture.store->db,
                                  "UPDATE entry SET mailbox_id = $1, uid = 1 WHERE message_id = $2", "uu", other,
                                  message),
                     0);
    uint32_t fifth = 5;
    fixture_expunge(&h->fixture, "alice@example.test", &fifth, 1);
    struct ledger_page page = look(h, (struct ledger_choice){.account_id = alice.account_id, .fate = true});
    const enum ledger_fate wanted[] = {LEDGER_FATE_DELETED, LEDGER_FATE_FILED, LEDGER_FATE_ANSWERED, LEDGER_FATE_READ,
                                       LEDGER_FATE_UNREAD};
    assert_int_equal(page.count, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(page.entries[i].fate, wanted[i]);
}

/* ---- Looking ---- */

static size_t count_chosen(struct house *h, const char *for_whom, struct ledger_choice choice)
{
    struct arena arena;
    size_t count = 0;
    arena_init(&arena, 64 << 20);
    assert_int_equal(ledger_choose(h->fixture.store->db, span_text(for_whom), &arena, &choice), 0);
    for (bool more = true; more;) {
        struct ledger_page page;
        assert_int_equal(ledger_list(h->fixture.store, &choice, &arena, &page), 0);
        count += page.count;
        more = page.more;
        assert_true(!more || page.last_id < choice.before_id || choice.before_id == 0);
        choice.before_id = page.last_id;
    }
    arena_release(&arena);
    return count;
}

static void test_choices(void **state)
{
    struct house *h = *state;
    struct delivery_recipient alice = fixture_recipient(&h->fixture, "alice@example.test");
    struct ledger_row rows[] = {
        refusal(1, "alice@example.test", "x@b.example"), refusal(2, "ALICE+shop@example.test", "y@b.example"),
        refusal(3, "bob@example.test", "x@b.example"), refusal(4, "nobody@example.test", "X@B.Example"),
        refusal(5, "someone@other.test", "a_b%c@c.example")};
    rows[0].account_id = rows[1].account_id = alice.account_id;
    rows[2].rule = span_text("dnsbl");
    rows[3].ip = span_text("2001:db8::1");
    rows[4].verdict = VERDICT_DEFER;
    note(h, rows, 5);
    const struct {
        const char *for_whom;
        struct ledger_choice choice;
        size_t count;
    } cases[] = {
        {"", {0}, 5},
        {"", {.limit = 2}, 5},
        {"", {.limit = 1}, 5},
        {"Alice@Example.test", {0}, 2},
        {"alice@example.test", {.limit = 1}, 2},
        {"bob@example.test", {0}, 0}, /* his account's rows: it has none */
        {"nobody@example.test", {0}, 1},
        {"@example.test", {0}, 4},
        {"@other.test", {0}, 1},
        {"@test", {0}, 0},
        {"", {.rule = span_text("dnsbl")}, 1},
        {"", {.sender = span_text("x@b.example")}, 3},
        {"", {.sender = span_text("@b.example")}, 4},
        {"", {.sender = span_text("a_b%c@c.example")}, 1},
        {"", {.sender = span_text("axb%c@c.example")}, 0},
        {"", {.sender = span_text("%@c.example")}, 0},
        {"", {.peer = span_text("2001:db8::1")}, 1},
        {"", {.verdicts = 1u << VERDICT_DEFER}, 1},
        {"", {.verdicts = 1u << VERDICT_REFUSE}, 4},
        {"", {.since = T0 + 3 * NANOSECONDS}, 3},
        {"", {.until = T0 + 3 * NANOSECONDS}, 3},
        {"", {.reference = 2}, 1},
        {"bob@example.test", {.reference = 2}, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (count_chosen(h, cases[i].for_whom, cases[i].choice) != cases[i].count)
            fail_msg("case %zu: %zu rows, not %zu", i, count_chosen(h, cases[i].for_whom, cases[i].choice),
                     cases[i].count);
    struct ledger_page page;
    assert_int_equal(ledger_list(h->fixture.store, &(struct ledger_choice){.since = UINT64_MAX}, &h->arena, &page),
                     -EINVAL);
}

/* Many rows are looked at in several calls, each of which ends soon. */
static void test_a_long_ledger_is_walked_in_steps(void **state)
{
    struct house *h = *state;
    struct store *s = h->fixture.store;
    assert_int_equal(ledger_begin(s), 0);
    for (uint64_t i = 1; i <= 2 * LEDGER_LOOKED_AT + 10; i++) {
        struct ledger_row row = refusal(i, i == 3 ? "bob@example.test" : "carol@example.test", "x@b.example");
        row.rule = span_text(i == 3 ? "rare" : "common");
        assert_int_equal(ledger_insert(s, &row), 0);
    }
    assert_int_equal(ledger_commit(s), 0);
    struct ledger_page page = look(h, (struct ledger_choice){.rule = span_text("rare")});
    assert_int_equal(page.count, 0);
    assert_true(page.more);
    assert_int_equal(count_chosen(h, "", (struct ledger_choice){.rule = span_text("rare")}), 1);
    /* What is older than all that is wanted is not walked through. */
    page = look(h, (struct ledger_choice){.since = T0 + (2 * LEDGER_LOOKED_AT + 5) * NANOSECONDS});
    assert_int_equal(page.count, 6);
    assert_false(page.more);
}

static void test_counts_a_period(void **state)
{
    struct house *h = *state;
    struct ledger_row rows[] = {
        refusal(1, "bob@example.test", "a@b.example"), refusal(2, "bob@example.test", "a@b.example"),
        refusal(3, "bob@example.test", "a@b.example"), refusal(4, "carol@example.test", "a@b.example")};
    rows[0].at = T0 + DAY;
    rows[1].at = T0 + DAY + 5;
    rows[1].fetched = true;
    rows[2].at = T0 + 3 * DAY;
    rows[2].attempts = 1000;
    rows[2].rule = span_text("dnsbl");
    rows[3].at = T0 + 3 * DAY;
    rows[3].verdict = VERDICT_DEFER;
    note(h, rows, 4);
    struct reject_counts counts;
    struct ledger_choice choice = {.since = T0};
    assert_int_equal(ledger_count_rejects(h->fixture.store, &choice, DAY, false, &h->arena, &counts), 0);
    assert_int_equal(counts.count, 3);
    assert_false(counts.more);
    assert_true(counts.counts[0].period == 1 && !counts.counts[0].fetched && counts.counts[0].attempts == 1);
    assert_true(counts.counts[1].period == 1 && counts.counts[1].fetched && counts.counts[1].attempts == 1);
    assert_true(counts.counts[2].period == 3 && counts.counts[2].attempts == 1000);
    assert_int_equal(counts.counts[2].rule.size, 0);
    assert_int_equal(ledger_count_rejects(h->fixture.store, &choice, 30 * DAY, true, &h->arena, &counts), 0);
    assert_int_equal(counts.count, 3);
    assert_true(span_is(counts.counts[0].rule, "dnsbl") && span_is(counts.counts[1].rule, "sender-tld"));
    assert_int_equal(ledger_count_rejects(h->fixture.store, &choice, 0, false, &h->arena, &counts), -EINVAL);
}

/* ---- Pruning ---- */

static void test_the_oldest_go_first(void **state)
{
    struct house *h = *state;
    struct store *s = h->fixture.store;
    h->fixture.settings.ledger.days = 30;
    h->fixture.settings.ledger.rows = 100;
    assert_int_equal(store_set_settings(s, &h->fixture.settings), 0);
    for (uint64_t i = 1; i <= 150; i++) {
        struct ledger_row row = refusal(i, "bob@example.test", "x@b.example");
        note(h, &row, 1);
    }
    uint64_t now = T0 + 200 * NANOSECONDS, count;
    assert_true(ledger_is_prunable(&s->ledger, now));
    /* In slices. */
    for (uint64_t left = 150; left > 100; left -= 20) {
        uint64_t wanted = left - 20 > 100 ? left - 20 : 100;
        assert_int_equal(ledger_begin(s), 0);
        assert_int_equal(ledger_prune(s, now, 20), 0);
        assert_int_equal(ledger_commit(s), 0);
        assert_int_equal(ledger_count(s, &count), 0);
        assert_int_equal(count, wanted);
        assert_int_equal(fixture_count(&h->fixture, "SELECT COUNT(*) FROM ledger"), wanted);
        if (left < 20 + 100)
            break;
    }
    assert_int_equal(fixture_count(&h->fixture, "SELECT MIN(reference) FROM ledger"), 51);
    assert_false(ledger_is_prunable(&s->ledger, now));
    /* By age: sixty of them are thirty days old then. */
    now = T0 + 30 * DAY + 111 * NANOSECONDS;
    assert_true(ledger_is_prunable(&s->ledger, now));
    assert_int_equal(ledger_begin(s), 0);
    assert_int_equal(ledger_prune(s, now, 1000), 0);
    assert_int_equal(ledger_commit(s), 0);
    assert_int_equal(fixture_count(&h->fixture, "SELECT MIN(reference) FROM ledger"), 111);
    /* And all. */
    assert_int_equal(ledger_begin(s), 0);
    assert_int_equal(ledger_prune(s, now + 30 * DAY, 1000), 0);
    assert_int_equal(ledger_commit(s), 0);
    assert_int_equal(ledger_count(s, &count), 0);
    assert_int_equal(count, 0);
    struct ledger_row row = refusal(200, "bob@example.test", "x@b.example");
    note(h, &row, 1);
    assert_int_equal(look(h, (struct ledger_choice){0}).count, 1);
}

static void prune_all(struct store *s, uint64_t now)
{
    for (int i = 0; i < 1000 && ledger_is_prunable(&s->ledger, now); i++) {
        assert_int_equal(ledger_begin(s), 0);
        assert_int_equal(ledger_prune(s, now, 100), 0);
        assert_int_equal(ledger_commit(s), 0);
    }
    assert_false(ledger_is_prunable(&s->ledger, now));
}

static void test_peoples_own_changes_go_last(void **state)
{
    struct house *h = *state;
    struct store *s = h->fixture.store;
    h->fixture.settings.ledger.days = 30;
    assert_int_equal(store_set_settings(s, &h->fixture.settings), 0);
    assert_int_equal(database_begin(s->db), 0);
    for (uint64_t i = 1; i <= 300; i++)
        assert_int_equal(
            database_run(
                s->db,
                "INSERT INTO door_history (number, at, made_by, words, level, owner_id, detail, undone, undoes,"
                " before, after) VALUES ($1, $2, 'x', 'x', 2, $3, '', 0, 0, '', '')",
                "uuu", i, i == 300 ? T0 + 100 * DAY : T0, (uint64_t)(i % 3 ? 1 : 2)),
            0);
    assert_int_equal(database_commit(s->db), 0);
    struct ledger_row row = refusal(1, "bob@example.test", "x@b.example");
    note(h, &row, 1);
    prune_all(s, T0 + 10 * DAY);
    assert_int_equal(fixture_count(&h->fixture, "SELECT COUNT(*) FROM door_history"), 300);
    prune_all(s, T0 + 90 * DAY);
    /* 200 of the one, of which the newest hundred stay; 100 of the other, which all do. */
    assert_int_equal(fixture_count(&h->fixture, "SELECT COUNT(*) FROM door_history WHERE owner_id = 1"),
                     LEDGER_HISTORY_KEPT);
    assert_int_equal(fixture_count(&h->fixture, "SELECT COUNT(*) FROM door_history WHERE owner_id = 2"), 100);
    assert_int_equal(fixture_count(&h->fixture, "SELECT MIN(number) FROM door_history WHERE owner_id = 1"), 151);
    assert_int_equal(fixture_count(&h->fixture, "SELECT COUNT(*) FROM ledger"), 0);
}

static void test_a_rebuilt_store_begins_a_new_one(void **state)
{
    struct house *h = *state;
    struct ledger_row row = refusal(1, "bob@example.test", "x@b.example");
    note(h, &row, 1);
    fixture_close(&h->fixture);
    char path[256];
    fixture_path(&h->fixture, "store.db", path);
    assert_int_equal(unlink(path), 0);
    struct store_rebuild_report report = {0};
    struct buf problem;
    buf_init(&problem, 4096);
    assert_int_equal(store_rebuild(h->fixture.directory, &report, NULL, NULL, &problem), 0);
    buf_release(&problem);
    fixture_open(&h->fixture);
    assert_int_equal(look(h, (struct ledger_choice){0}).count, 0);
    note(h, &row, 1);
    assert_int_equal(look(h, (struct ledger_choice){0}).count, 1);
}

/* ---- reject.log ---- */

static void test_lines(void **state)
{
    (void)state;
    struct ledger_row row = refusal(0x123456789aull, "bob@example.test", "x@b.example");
    struct buf out;
    buf_init(&out, 65536);
    row.at = 1764000000ull * NANOSECONDS;
    reject_log_line(&row, &out);
    row.fetched = true;
    row.reverse_path = span_text("");
    row.helo = span_text("a\tb\nc\\d\x01\xff");
    row.evidence = span_text("\xc3\xbc\xc2\x9b");
    row.reference = 0;
    row.attempts = 12;
    row.last_at = row.at + 60 * NANOSECONDS;
    reject_log_line(&row, &out);
    buf_add_char(&out, '\0');
    char reference[10], wanted[1024];
    reference_write(0x123456789aull, reference);
    snprintf(
        wanted, sizeof(wanted),
        "2025-11-24T16:00:00Z\tdirect\tbob@example.test\tx@b.example\t192.0.2.7\tb.example\tsender-tld\tb.example\t"
        "550 5.7.1 no\t%s\n"
        "2025-11-24T16:00:00Z\tfetched\tbob@example.test\t<>\t192.0.2.7\ta\\x09b\\x0ac\\x5cd\\x01\\xff\tsender-tld\t"
        "\xc3\xbc\\xc2\\x9b\t550 5.7.1 no\t-\t12 times until 2025-11-24T16:01:00Z\n",
        reference);
    assert_string_equal(out.data, wanted);
    buf_release(&out);
}

static void test_the_file_is_put_aside(void **state)
{
    struct house *h = *state;
    char name[256];
    struct stat st;
    for (uint64_t i = 1; i <= 5000; i++) {
        struct ledger_row row = refusal(i, "bob@example.test", "x@b.example");
        note(h, &row, 1);
    }
    for (int i = 1; i <= 3; i++) {
        char file[32];
        snprintf(file, sizeof(file), "reject.log.%d", i);
        fixture_path(&h->fixture, file, name);
        assert_in_range(file_size(name), 64 << 10, 66 << 10);
    }
    fixture_path(&h->fixture, "reject.log", name);
    assert_in_range(file_size(name), 1, 66 << 10);
    fixture_path(&h->fixture, "reject.log.4", name);
    assert_int_equal(stat(name, &st), -1);
    char lines[512];
    read_file(h, "reject.log", lines, sizeof(lines));
    assert_int_equal(strncmp(lines, "2023-11-1", 9), 0);
}

static void test_off_means_no_file(void **state)
{
    struct house *h = *state;
    char name[256];
    struct stat st;
    h->fixture.settings.ledger.reject_log = false;
    assert_int_equal(store_set_settings(h->fixture.store, &h->fixture.settings), 0);
    struct ledger_row row = refusal(1, "bob@example.test", "x@b.example");
    note(h, &row, 1);
    fixture_path(&h->fixture, "reject.log", name);
    assert_int_equal(stat(name, &st), -1);
}

/* What takes no more lines: mail and the ledger go on, and the lines come back with the place. */
static void test_a_full_disk_is_its_own_trouble(void **state)
{
    struct house *h = *state;
    struct reject_log *log = &h->fixture.store->ledger.reject_log;
    struct ledger_row row = refusal(1, "bob@example.test", "x@b.example");
    note(h, &row, 1);
    close(log->fd);
    log->fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(log->fd >= 0);
    row.reference = 2;
    note(h, &row, 1);
    assert_true(log->in_trouble);
    assert_int_equal(log->dropped, 1);
    assert_int_equal(look(h, (struct ledger_choice){0}).count, 2);
    row.reference = 3;
    note(h, &row, 1);
    assert_false(log->in_trouble);
    assert_int_equal(log->dropped, 0);
    char lines[4096];
    read_file(h, "reject.log", lines, sizeof(lines));
    size_t count = 0;
    for (char *c = lines; *c; c++)
        count += *c == '\n';
    assert_int_equal(count, 2);
}

static void test_a_link_in_its_place_is_not_followed(void **state)
{
    struct house *h = *state;
    char name[256], target[256];
    struct stat st;
    fixture_path(&h->fixture, "reject.log", name);
    fixture_path(&h->fixture, "elsewhere", target);
    assert_int_equal(symlink(target, name), 0);
    struct ledger_row row = refusal(1, "bob@example.test", "x@b.example");
    note(h, &row, 1);
    assert_true(h->fixture.store->ledger.reject_log.in_trouble);
    assert_int_equal(stat(target, &st), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_refusal_is_kept_and_found, start, stop),
        cmocka_unit_test_setup_teardown(test_numbers_are_bounded, start, stop),
        cmocka_unit_test_setup_teardown(test_rows_outlive_a_restart, start, stop),
        cmocka_unit_test_setup_teardown(test_a_flood_told_piecemeal_is_one_row, start, stop),
        cmocka_unit_test_setup_teardown(test_texts_are_cut_and_cleaned, start, stop),
        cmocka_unit_test_setup_teardown(test_a_cut_leaves_no_half_character, start, stop),
        cmocka_unit_test_setup_teardown(test_what_is_no_row_changes_nothing, start, stop),
        cmocka_unit_test_setup_teardown(test_an_abort_leaves_nothing, start, stop),
        cmocka_unit_test_setup_teardown(test_commits_are_synced_again_afterwards, start, stop),
        cmocka_unit_test_setup_teardown(test_accepted_mail_has_a_row_with_its_words, start, stop),
        cmocka_unit_test_setup_teardown(test_two_names_of_one_mailbox_have_a_row_each, start, stop),
        cmocka_unit_test_setup_teardown(test_the_fate_of_mail, start, stop),
        cmocka_unit_test_setup_teardown(test_choices, start, stop),
        cmocka_unit_test_setup_teardown(test_a_long_ledger_is_walked_in_steps, start, stop),
        cmocka_unit_test_setup_teardown(test_counts_a_period, start, stop),
        cmocka_unit_test_setup_teardown(test_the_oldest_go_first, start, stop),
        cmocka_unit_test_setup_teardown(test_peoples_own_changes_go_last, start, stop),
        cmocka_unit_test_setup_teardown(test_a_rebuilt_store_begins_a_new_one, start, stop),
        cmocka_unit_test(test_lines),
        cmocka_unit_test_setup_teardown(test_the_file_is_put_aside, start, stop),
        cmocka_unit_test_setup_teardown(test_off_means_no_file, start, stop),
        cmocka_unit_test_setup_teardown(test_a_full_disk_is_its_own_trouble, start, stop),
        cmocka_unit_test_setup_teardown(test_a_link_in_its_place_is_not_followed, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
