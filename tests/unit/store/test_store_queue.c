#include "fixture.h"

#include "base/clock.h"
#include "store/check.h"
#include "store/compact.h"
#include "store/queue.h"
#include "store/rebuild.h"
#include "store/sent.h"
#include "store/view_queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void check_is_clean(struct fixture *f)
{
    struct store_check_report report;
    assert_int_equal(store_check(f->directory, &report, NULL, NULL), 0);
    if (report.problems)
        fail_msg("check: %.*s", SPAN_ARG(buf_span(&report.text)));
    buf_release(&report.text);
}

static struct delivery_recipient remote(const char *target)
{
    return (struct delivery_recipient){
        .kind = DELIVERY_REMOTE, .address = span_text(target), .target = span_text(target)};
}

/* What the store counts by itself is what is there. */
static void check_count(struct fixture *f)
{
    assert_int_equal(f->store->queued.entries, fixture_count(f, "SELECT COUNT(*) FROM queue"));
    assert_int_equal(f->store->queued.held, fixture_count(f, "SELECT COUNT(*) FROM queue WHERE state = 1"));
}

/* One call in a batch of its own. */
static int deliver(struct fixture *f, struct delivery *d, uint64_t *id)
{
    d->body_fd = d->body_fd ? d->body_fd : -1;
    d->facts.received_at = 1700000000000000000u;
    d->facts.summary = span_text("sum");
    assert_int_equal(store_begin(f->store), 0);
    int rc = store_deliver(f->store, d, id);
    assert_int_equal(store_commit(f->store), 0);
    check_count(f);
    return rc;
}

static uint64_t queue_mail(struct fixture *f, struct delivery_recipient *recipients, size_t count)
{
    uint64_t id;
    struct delivery d = {.facts.reverse_path = span_text("alice@example.test"),
                         .facts.envid = span_text("e1"),
                         .facts.ret = 2,
                         .recipients = recipients,
                         .recipient_count = count,
                         .body = span_text("Subject: out\r\n\r\nbody\r\n")};
    assert_int_equal(deliver(f, &d, &id), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(recipients[i].outcome, DELIVERY_STORED);
    return id;
}

static void results(struct fixture *f, const struct delivery_result *list, size_t count)
{
    uint64_t id;
    struct delivery d = {.results = list, .result_count = count};
    assert_int_equal(deliver(f, &d, &id), 0);
    assert_int_equal(id, 0);
}

static uint64_t act(struct fixture *f, enum queue_action action, struct queue_choice choice)
{
    struct queue_page page = {0};
    uint64_t changed, all = 0;
    do {
        assert_int_equal(store_begin(f->store), 0);
        assert_int_equal(queue_change(f->store, &choice, action, &page, &changed), 0);
        assert_int_equal(store_commit(f->store), 0);
        check_count(f);
        all += changed;
    } while (page.more);
    return all;
}

static void rebuild(struct fixture *f)
{
    struct store_rebuild_report report;
    struct buf problem;
    buf_init(&problem, 4096);
    fixture_close(f);
    if (store_rebuild(f->directory, &report, NULL, NULL, &problem) != 0)
        fail_msg("rebuild: %.*s", SPAN_ARG(buf_span(&problem)));
    assert_int_equal(report.damaged_bytes, 0);
    buf_release(&problem);
    fixture_open(f);
    check_is_clean(f);
}

static void compact_all(struct fixture *f)
{
    int rc = compaction_start(f->store, 1);
    while (rc > 0 && (rc = compaction_step(f->store)) >= 0)
        rc = rc > 0 ? rc : compaction_start(f->store, 1);
    assert_int_equal(rc, 0);
    check_is_clean(f);
}

/* The text of one row, or "-". */
static const char *row(struct fixture *f, uint64_t id, unsigned number)
{
    static char text[2000];
    struct statement *st = database_query(
        f->store->db,
        "SELECT kind, state, destination, address, original, orcpt, notify, forwarder, list_id, reverse_path,"
        " attempts, warned, give_up, reply, size FROM queue WHERE message_id = $1 AND number = $2",
        "uu", id, (uint64_t)number);
    int rc = database_step(st);
    size_t size = 0;
    assert_true(rc >= 0);
    for (int i = 0; rc > 0 && i < 15; i++)
        size +=
            (size_t)snprintf(text + size, sizeof(text) - size, "%s%.*s", i ? "|" : "", SPAN_ARG(database_bytes(st, i)));
    database_end(st);
    if (rc == 0)
        snprintf(text, sizeof(text), "-");
    return text;
}

/* ---- Coming in ---- */

static void every_kind_of_recipient(void **state)
{
    struct fixture f;
    fixture_start(&f);
    assert_int_equal(database_run(f.store->db,
                                  "INSERT INTO list (id, domain_id, local_part, name, owner, posting) VALUES "
                                  "(900, (SELECT id FROM domain), 'news', 'News', '', 0)",
                                  ""),
                     0);
    struct delivery_recipient r[7] = {
        fixture_recipient(&f, "alice@example.test"),
        remote("bob@elsewhere.test"),
        {.kind = DELIVERY_REMOTE,
         .address = span_text("old@example.test"),
         .target = span_text("old@b.test"),
         .next_hop = span_text("old.b.test:2525"),
         .forwarder = span_text("example.test"),
         .orcpt = span_text("rfc822;old@example.test"),
         .notify = NOTIFY_FAILURE},
        {.kind = DELIVERY_LIST, .address = span_text("news@example.test"), .list_id = 900},
        {.kind = DELIVERY_LIST, .address = span_text("gone@example.test"), .list_id = 901},
        remote("bob@elsewhere.test"),
        fixture_recipient(&f, "carol@example.test"),
    };
    r[6].notify = NOTIFY_SUCCESS;
    uint64_t id;
    struct delivery d = {.facts.reverse_path = span_text("alice@example.test"),
                         .recipients = r,
                         .recipient_count = 7,
                         .body = span_text("body")};
    assert_int_equal(deliver(&f, &d, &id), 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(r[i].outcome, i == 4 ? DELIVERY_GONE : DELIVERY_STORED);
    assert_string_equal(row(&f, id, 1),
                        "1|0|elsewhere.test|bob@elsewhere.test|bob@elsewhere.test||0||0|alice@example.test|0|0|0||4");
    assert_string_equal(row(&f, id, 2), "1|0|old.b.test:2525|old@b.test|old@example.test|rfc822;old@example.test|4|"
                                        "example.test|0|alice@example.test|0|0|0||4");
    assert_string_equal(row(&f, id, 3),
                        "2|0|*local|news@example.test|news@example.test||0||900|alice@example.test|0|0|0||4");
    assert_string_equal(row(&f, id, 4),
                        "3|0|*local|carol@example.test|carol@example.test||2||0|alice@example.test|0|0|0||4");
    assert_string_equal(row(&f, id, 5), "-");
    assert_int_equal(fixture_count(&f, "SELECT living FROM message"), 2 + 4);
    /* Nobody is told about mail from nobody. */
    d.facts.reverse_path = span_text("");
    d.recipients = &r[6];
    d.recipient_count = 1;
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_string_equal(row(&f, id, 1), "-");
    check_is_clean(&f);
    fixture_stop(&f);
}

static void what_cannot_be_queued(void **state)
{
    static char long_name[QUEUE_ADDRESS_MAX + 20];
    struct fixture f;
    uint64_t id;
    memset(long_name, 'x', sizeof(long_name) - 1);
    memcpy(long_name + 1, "@", 1);
    const char *const targets[] = {"",         "nobody",       "@b.test",      "a@",
                                   "a@*local", "a\r\n@b.test", "a\177@b.test", long_name};
    fixture_start(&f);
    struct delivery_recipient local = fixture_recipient(&f, "alice@example.test");
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct delivery_recipient r[2] = {local, remote(targets[i])};
        struct delivery d = {.recipients = r, .recipient_count = 2, .body = span_text("x")};
        assert_int_equal(deliver(&f, &d, &id), -EINVAL);
    }
    struct delivery_result bad[] = {{1, 1, 0, 0, {NULL, 0}},
                                    {UINT64_MAX, 1, DELIVERY_DONE, 0, {NULL, 0}},
                                    {1, 1, DELIVERY_DEFERRED, UINT64_MAX, {NULL, 0}}};
    for (size_t i = 0; i < 3; i++) {
        struct delivery d = {
            .recipients = &local, .recipient_count = 1, .body = span_text("x"), .results = &bad[i], .result_count = 1};
        assert_int_equal(deliver(&f, &d, &id), -EINVAL);
    }
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM message"), 0);
    /* The mailbox is not taken to have the message already. */
    fixture_mail(&f, "alice@example.test", "y");
    check_is_clean(&f);
    fixture_stop(&f);
}

static void a_day_of_sending(void **state)
{
    struct fixture f;
    uint64_t id;
    uint32_t left;
    fixture_start(&f);
    fixture_close(&f);
    f.settings.submission.daily_recipients = 5;
    fixture_open(&f);
    struct delivery_recipient inbox = fixture_recipient(&f, "bob@example.test");
    struct delivery_recipient r[4] = {inbox, remote("a@b.test"), remote("c@b.test"), remote("a@b.test")};
    struct delivery d = {.facts.sender_account_id = 42, .recipients = r, .recipient_count = 4, .body = span_text("x")};
    for (int round = 0; round < 3; round++) {
        /* The same place twice is one. */
        assert_int_equal(deliver(&f, &d, &id), 0);
        for (int i = 0; i < 4; i++)
            assert_int_equal(r[i].outcome, round < 2 ? DELIVERY_STORED : DELIVERY_OVER_SENDING_QUOTA);
        assert_int_equal(sent_left(f.store->db, 42, sent_today(), 5, &left), 0);
        assert_int_equal(left, round == 0 ? 3 : 1);
    }
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue"), 4);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM entry"), 2);
    /* Mail to people here is not counted, and others have a day of their own. */
    d.recipient_count = 1;
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_int_equal(r[0].outcome, DELIVERY_STORED);
    d.recipient_count = 4;
    d.facts.sender_account_id = 43;
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_int_equal(r[1].outcome, DELIVERY_STORED);
    assert_int_equal(sent_left(f.store->db, 42, sent_today(), 0, &left), 0);
    assert_true(left == UINT32_MAX);
    /* Older days are forgotten with the next start. */
    assert_int_equal(database_run(f.store->db, "UPDATE sent SET day = 3", ""), 0);
    f.store->sent_day = 0;
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM sent"), 1);
    fixture_stop(&f);
}

static uint64_t count_due_at(struct fixture *f, uint64_t at)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM queue WHERE next_at = %llu", (unsigned long long)at);
    return fixture_count(f, sql);
}

/* Of 5 a day, with three days to wait. */
static void a_day_with_room(void **state)
{
    struct fixture f;
    uint64_t id, today = 19675, now = 1700000000u * NANOSECONDS;
    uint32_t left;
    clock_fake_start(now);
    fixture_start(&f);
    fixture_close(&f);
    f.settings.submission.daily_recipients = 5;
    f.settings.courier.give_up = 3 * 86400;
    fixture_open(&f);
    struct delivery_recipient again = remote("bob@example.test");
    again.next_hop = span_text("*local");
    struct delivery_recipient r[8] = {fixture_recipient(&f, "bob@example.test"), again};
    static const char *const sites[] = {"a@b.test", "b@b.test", "c@b.test", "d@b.test", "e@b.test", "f@b.test"};
    for (size_t i = 0; i < 6; i++)
        r[2 + i] = remote(sites[i]);
    /* How many at other sites, and on which day behind today they go out: -1 never. */
    static const struct {
        unsigned recipients;
        int day;
    } rows[] = {{4, 0}, {2, 1}, {6, -1}, {1, 0}, {1, 1}, {3, 2}, {2, 1}, {5, 3}, {3, -1}, {2, 2}, {1, -1}, {0, 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct delivery d = {.facts.sender_account_id = 42,
                             .recipients = r,
                             .recipient_count = 2 + rows[i].recipients,
                             .body = span_text("x"),
                             .may_wait = true};
        queue_news_clear(&f.store->news);
        assert_int_equal(deliver(&f, &d, &id), 0);
        uint64_t due = rows[i].day > 0 ? (today + (uint64_t)rows[i].day) * SENT_DAY : 0;
        for (size_t k = 0; k < d.recipient_count; k++)
            assert_int_equal(r[k].outcome, rows[i].day < 0 ? DELIVERY_OVER_SENDING_QUOTA : DELIVERY_STORED);
        assert_true(d.facts.remote_due_at == due);
        assert_true(f.store->news.rescan == (due > 0));
        assert_true(queue_news_is_empty(&f.store->news) == (rows[i].day < 0));
    }
    /* Those for people here, and those that are asked again, never wait. */
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM entry"), 9);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue WHERE destination = '*local'"), 9);
    assert_int_equal(fixture_count(&f,
                                   "SELECT COUNT(*) FROM queue WHERE destination <> '*local' AND next_at > created_at "
                                   "AND reply <> ''"),
                     15);
    assert_int_equal(count_due_at(&f, now), 9 + 5);
    for (uint64_t day = 1; day <= 3; day++)
        assert_int_equal(count_due_at(&f, (today + day) * SENT_DAY), 5);
    assert_int_equal(fixture_count(&f, "SELECT MAX(recipients) FROM sent"), 5);
    /* The next day its count is what was booked, for everybody, and there is a day more to wait for. */
    clock_fake_advance(SENT_DAY);
    assert_int_equal(sent_left(f.store->db, 42, sent_today(), 5, &left), 0);
    assert_int_equal(left, 0);
    struct delivery d = {.facts.sender_account_id = 42, .recipients = r, .recipient_count = 3, .body = span_text("x")};
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_int_equal(r[0].outcome, DELIVERY_OVER_SENDING_QUOTA);
    d.may_wait = true;
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_true(d.facts.remote_due_at == (today + 4) * SENT_DAY);
    check_is_clean(&f);
    fixture_stop(&f);
}

/* The way of an entry turns out to lead elsewhere, and there is no day with room: neither is it sent, nor gone. */
static void an_entry_past_the_limit(void **state)
{
    struct fixture f;
    uint64_t id, other;
    clock_fake_start(1700000000u * NANOSECONDS);
    fixture_start(&f);
    fixture_close(&f);
    f.settings.submission.daily_recipients = 1;
    f.settings.courier.give_up = 86400;
    fixture_open(&f);
    struct delivery_recipient again = remote("bob@example.test"), out = remote("a@b.test");
    again.next_hop = span_text("*local");
    struct delivery d = {
        .facts.sender_account_id = 42, .recipients = &again, .recipient_count = 1, .body = span_text("x")};
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM sent"), 0);
    struct delivery_result done = {.message_id = id, .number = 1, .kind = DELIVERY_DONE};
    for (int round = 0; round < 3; round++) {
        struct delivery_recipient copy = out;
        struct delivery moved = {.facts.sender_account_id = 42,
                                 .recipients = &copy,
                                 .recipient_count = 1,
                                 .body = span_text("x"),
                                 .may_wait = true};
        if (round == 2) {
            moved.results = &done;
            moved.result_count = 1;
        }
        assert_int_equal(deliver(&f, &moved, &other), 0);
        assert_int_equal(copy.outcome, round < 2 ? DELIVERY_STORED : DELIVERY_OVER_SENDING_QUOTA);
    }
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue WHERE destination = '*local'"), 1);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue"), 3);
    fixture_stop(&f);
}

static void bounces_of_a_list(void **state)
{
    struct fixture f;
    uint64_t id;
    fixture_start(&f);
    fixture_close(&f);
    f.settings.courier.list_bounces = 2;
    fixture_open(&f);
    assert_int_equal(database_script(f.store->db,
                                     "INSERT INTO list (id, domain_id, local_part, name, owner, posting) VALUES (900, "
                                     "(SELECT id FROM domain), 'news', '', '', 0);"
                                     "INSERT INTO list_member (list_id, number, address, bounces, suspended) VALUES "
                                     "(900, 1, 'a@b.test', 0, 0), (900, 2, 'c@b.test', 0, 0)"),
                     0);
    struct delivery_recipient r = {.kind = DELIVERY_LIST_BOUNCE, .list_id = 900, .list_member = 2};
    struct delivery d = {.recipients = &r, .recipient_count = 1, .body = span_text("x")};
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(deliver(&f, &d, &id), 0);
        assert_int_equal(r.outcome, DELIVERY_STORED);
        assert_int_equal(id, 0);
        assert_int_equal(fixture_count(&f, "SELECT suspended FROM list_member WHERE number = 2"), i >= 2);
    }
    r.list_member = 7; /* who has left */
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_int_equal(r.outcome, DELIVERY_STORED);
    r.list_id = 901;
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_int_equal(r.outcome, DELIVERY_GONE);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM message"), 0);
    assert_int_equal(fixture_count(&f, "SELECT bounces FROM list_member WHERE number = 1"), 0);
    fixture_stop(&f);
}

/* Of who bounces now and then nothing adds up; of who bounces for good it does, also across the halving. */
static void bounces_are_forgotten(void **state)
{
    static const struct {
        unsigned days; /* that go by before it */
        unsigned bounces;
    } rows[] = {{0, 1}, {0, 2}, {29, 3}, {2, 2}, {10, 3}, {10, 4}, {60, 2}, {365, 1}, {0, 2}, {0, 3}, {0, 4}};
    static const uint64_t day = 24 * 3600 * NANOSECONDS;
    struct fixture f;
    uint64_t id;
    clock_fake_start(1700000000u * NANOSECONDS);
    fixture_start(&f);
    fixture_close(&f);
    f.settings.courier.list_bounces = 5;
    fixture_open(&f);
    assert_int_equal(database_script(f.store->db,
                                     "INSERT INTO list (id, domain_id, local_part, name, owner, posting) VALUES (900, "
                                     "(SELECT id FROM domain), 'news', '', '', 0);"
                                     "INSERT INTO list_member (list_id, number, address, bounces, suspended) VALUES "
                                     "(900, 1, 'a@b.test', 5, 1), (900, 2, 'c@b.test', 0, 0)"),
                     0);
    struct delivery_recipient r = {.kind = DELIVERY_LIST_BOUNCE, .list_id = 900, .list_member = 2};
    struct delivery d = {.recipients = &r, .recipient_count = 1, .body = span_text("x")};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        clock_fake_advance(rows[i].days * day);
        assert_int_equal(deliver(&f, &d, &id), 0);
        assert_int_equal(fixture_count(&f, "SELECT bounces FROM list_member WHERE number = 2"), rows[i].bounces);
        assert_int_equal(fixture_count(&f, "SELECT suspended FROM list_member WHERE number = 2"), 0);
    }
    assert_int_equal(deliver(&f, &d, &id), 0);
    assert_int_equal(fixture_count(&f, "SELECT suspended FROM list_member WHERE number = 2"), 1);
    /* Who is suspended stays so, until they join anew. */
    assert_int_equal(fixture_count(&f, "SELECT bounces FROM list_member WHERE number = 1"), 5);
    fixture_stop(&f);
}

/* ---- What becomes of entries ---- */

static void what_the_courier_reports(void **state)
{
    struct fixture f;
    uint64_t bounce;
    fixture_start(&f);
    struct delivery_recipient r[3] = {remote("a@b.test"), remote("c@b.test"), remote("d@e.test")};
    uint64_t id = queue_mail(&f, r, 3);
    static char noisy[700] = "450 4.2.0 try\r\nlater\033[2J \xc3\xa4";
    memset(noisy + strlen(noisy), 'z', 600);
    struct delivery_result some[] = {
        {id, 1, DELIVERY_DONE, 0, {NULL, 0}},
        {id, 2, DELIVERY_WARNED, 1800000000000000000u, span_text(noisy)},
        {id, 3, DELIVERY_DEFERRED, 1800000000000000000u, span_text("451 busy")},
        {id, 9, DELIVERY_DONE, 0, {NULL, 0}},
        {4711, 1, DELIVERY_DEFERRED, 5, span_text("x")},
    };
    results(&f, some, 5);
    assert_string_equal(row(&f, id, 1), "-");
    assert_non_null(strstr(row(&f, id, 2), "|1|1|0|450 4.2.0 try  later?[2J \xc3\xa4zzz"));
    assert_non_null(strstr(row(&f, id, 3), "|1|0|0|451 busy|"));
    assert_int_equal(fixture_count(&f, "SELECT length(reply) FROM queue WHERE number = 2"), QUEUE_REPLY_MAX - 1);
    assert_int_equal(fixture_count(&f, "SELECT living FROM message"), 2);
    /* A report of failure comes with the end of its cause, also into a full mailbox. */
    assert_int_equal(database_run(f.store->db, "UPDATE account SET quota = 1 WHERE local_part = 'alice'", ""), 0);
    struct delivery_recipient alice = fixture_recipient(&f, "bob@example.test");
    alice.mailbox_id = fixture_count(&f, "SELECT m.id FROM mailbox m JOIN account a ON a.id = m.account_id WHERE "
                                         "a.local_part = 'alice'");
    alice.account_id = fixture_count(&f, "SELECT id FROM account WHERE local_part = 'alice'");
    some[1].kind = DELIVERY_DONE;
    some[2].kind = DELIVERY_DONE;
    struct delivery d = {.recipients = &alice,
                         .recipient_count = 1,
                         .body = span_text("Subject: failed\r\n\r\n"),
                         .results = &some[1],
                         .result_count = 2};
    assert_int_equal(deliver(&f, &d, &bounce), 0);
    assert_int_equal(alice.outcome, DELIVERY_STORED);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue"), 0);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM message WHERE living = 0"), 1);
    assert_true(fixture_count(&f, "SELECT dead_bytes FROM volume WHERE number = 1") > 0);
    /* The answer was lost and the call comes again: the report is there already. */
    assert_int_equal(deliver(&f, &d, &bounce), 0);
    assert_int_equal(bounce, 0);
    assert_int_equal(alice.outcome, DELIVERY_STORED);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM entry"), 1);
    check_is_clean(&f);
    fixture_stop(&f);
}

static void what_an_administrator_does(void **state)
{
    struct fixture f;
    clock_fake_start(1700000000u * NANOSECONDS);
    fixture_start(&f);
    struct delivery_recipient r[3] = {remote("a@b.test"), remote("c@b.test"), remote("d@e.test")};
    uint64_t one = queue_mail(&f, r, 3), two = queue_mail(&f, r, 3);
    struct delivery_result later = {one, 1, DELIVERY_DEFERRED, 1700009000u * NANOSECONDS, span_text("no")};
    results(&f, &later, 1);
    queue_news_clear(&f.store->news);
    assert_int_equal(act(&f, QUEUE_DO_HOLD, (struct queue_choice){.match = span_text("@B.TEST")}), 4);
    assert_int_equal(act(&f, QUEUE_DO_HOLD, (struct queue_choice){.match = span_text("b.test")}), 0);
    assert_int_equal(act(&f, QUEUE_DO_RETRY, (struct queue_choice){.message_id = one}), 1);
    assert_true(queue_news_is_empty(&f.store->news) == false && f.store->news.asked);
    assert_non_null(map_get(&f.store->news.destinations, span_text("e.test")));
    assert_null(map_get(&f.store->news.destinations, span_text("b.test")));
    assert_int_equal(act(&f, QUEUE_DO_RELEASE, (struct queue_choice){.message_id = one, .number = 1}), 1);
    assert_int_equal(fixture_count(&f, "SELECT next_at FROM queue WHERE number = 1 AND state = 0"),
                     1700000000u * NANOSECONDS);
    assert_int_equal(act(&f, QUEUE_DO_DROP, (struct queue_choice){.message_id = two}), 3);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM message WHERE living > 0"), 1);
    assert_int_equal(act(&f, QUEUE_DO_BOUNCE, (struct queue_choice){.match = span_text("alice@example.test")}), 3);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue WHERE give_up = 1 AND state = 0"), 3);
    /* What is to be given up does not wait again, and the courier hears of it. */
    queue_news_clear(&f.store->news);
    results(&f, &later, 1);
    assert_false(f.store->news.asked);
    assert_non_null(map_get(&f.store->news.destinations, span_text("b.test")));
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue WHERE next_at > 1700000000000000000"), 0);
    assert_int_equal(act(&f, QUEUE_DO_RETRY, (struct queue_choice){.message_id = one}), 3);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue WHERE give_up = 1"), 0);
    check_is_clean(&f);
    for (int direction = QUEUE_IN; direction <= QUEUE_OUT; direction++) {
        queue_news_clear(&f.store->news);
        assert_int_equal(queue_is_paused(f.store->db, direction), 0);
        assert_int_equal(store_begin(f.store), 0);
        assert_int_equal(queue_pause(f.store, direction, true), 0);
        assert_int_equal(store_commit(f.store), 0);
        assert_int_equal(queue_is_paused(f.store->db, direction), 1);
        assert_int_equal(f.store->news.rescan, direction == QUEUE_OUT);
    }
    fixture_close(&f);
    fixture_open(&f);
    assert_int_equal(queue_is_paused(f.store->db, QUEUE_IN), 1);
    fixture_stop(&f);
}

static void intake_goes_on(void **state)
{
    struct fixture f;
    uint64_t now = 1700000000u * NANOSECONDS;
    clock_fake_start(now);
    fixture_start(&f);
    struct delivery_recipient r[3] = {remote("bob@example.test"), remote("carol@example.test"), remote("d@e.test")};
    r[0].next_hop = r[1].next_hop = span_text("*local");
    uint64_t id = queue_mail(&f, r, 3);
    for (uint32_t number = 1; number <= 3; number++) {
        struct delivery_result later = {id, number, DELIVERY_DEFERRED, now + NANOSECONDS, span_text("paused")};
        results(&f, &later, 1);
    }
    assert_int_equal(act(&f, QUEUE_DO_HOLD, (struct queue_choice){.message_id = id, .number = 2}), 1);
    for (int paused = 1; paused >= 0; paused--) {
        queue_news_clear(&f.store->news);
        assert_int_equal(store_begin(f.store), 0);
        assert_int_equal(queue_pause(f.store, QUEUE_IN, paused), 0);
        assert_int_equal(store_commit(f.store), 0);
        assert_int_equal(count_due_at(&f, now), paused ? 0 : 1);
        assert_true(queue_news_is_empty(&f.store->news) == paused);
    }
    assert_int_equal(fixture_count(&f, "SELECT number FROM queue WHERE next_at = created_at"), 1);
    fixture_stop(&f);
}

static void pages_of_a_long_queue(void **state)
{
    enum { MESSAGES = 1500 };
    struct fixture f;
    struct arena arena;
    struct queue_page page = {0};
    size_t seen = 0;
    arena_init(&arena, 64 << 20);
    fixture_start(&f);
    struct delivery_recipient r[2] = {remote("a@b.test"), remote("c@b.test")};
    struct delivery d = {.recipients = r, .recipient_count = 2, .body = span_text("x"), .body_fd = -1};
    assert_int_equal(store_begin(f.store), 0);
    for (uint64_t id, i = 0; i < MESSAGES; i++)
        assert_int_equal(store_deliver(f.store, &d, &id), 0);
    assert_int_equal(store_commit(f.store), 0);
    struct queue_choice all = {0};
    do {
        struct queue_place after = page.last;
        arena_reset(&arena);
        assert_int_equal(queue_list(f.store->db, &all, after, 700, &arena, &page), 0);
        for (size_t i = 0; i < page.count; i++)
            assert_true(page.rows[i].message_id > after.message_id || page.rows[i].number > after.number);
        seen += page.count;
    } while (page.more);
    assert_int_equal(seen, 2 * MESSAGES);
    assert_int_equal(act(&f, QUEUE_DO_HOLD, all), 2 * MESSAGES);
    assert_true(f.store->queued.entries == 2 * MESSAGES && f.store->queued.held == 2 * MESSAGES);
    /* An abandoned batch counts for nothing, and the next start counts anew. */
    page = (struct queue_page){0};
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(queue_change(f.store, &all, QUEUE_DO_DROP, &page, &seen), 0);
    store_abort(f.store);
    check_count(&f);
    fixture_close(&f);
    fixture_open(&f);
    check_count(&f);
    arena_release(&arena);
    fixture_stop(&f);
}

/* ---- What survives ---- */

static void rebuilt_and_compacted(void **state)
{
    struct fixture f;
    fixture_start(&f);
    fixture_close(&f);
    f.settings.store.volume_size = 3000; /* several volumes */
    fixture_open(&f);
    struct delivery_recipient r[4] = {remote("a@b.test"), remote("c@b.test"), remote("d@e.test"), remote("f@e.test")};
    uint64_t ids[12];
    for (int i = 0; i < 12; i++)
        ids[i] = queue_mail(&f, r, 4);
    for (int i = 0; i < 12; i++) {
        struct delivery_result done[] = {{ids[i], 1, DELIVERY_DONE, 0, {NULL, 0}},
                                         {ids[i], 2, DELIVERY_DEFERRED, 1900000000000000000u, span_text("x")},
                                         {ids[i], 3, DELIVERY_DONE, 0, {NULL, 0}},
                                         {ids[i], 4, DELIVERY_DONE, 0, {NULL, 0}}};
        results(&f, done, i % 4 ? 2 : 4);
        if (i % 3 == 0)
            act(&f, QUEUE_DO_HOLD, (struct queue_choice){.message_id = ids[i], .number = 2});
        if (i % 6 == 0)
            act(&f, QUEUE_DO_RELEASE, (struct queue_choice){.message_id = ids[i], .number = 2});
    }
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 12; i++) {
            assert_string_equal(row(&f, ids[i], 1), "-");
            assert_int_equal(strcmp(row(&f, ids[i], 3), "-") == 0, i % 4 == 0);
            assert_int_equal(strncmp(row(&f, ids[i], 2), i % 3 == 0 && i % 6 ? "1|1|b.test|" : "1|0|b.test|", 11), 0);
        }
        check_is_clean(&f);
        if (round % 2 == 0)
            rebuild(&f);
        else
            compact_all(&f);
    }
    /* After a rebuild all that is not held is due at once. */
    rebuild(&f);
    assert_int_equal(fixture_count(&f, "SELECT MAX(attempts) FROM queue"), 0);
    uint64_t now = clock_wall();
    assert_true(fixture_count(&f, "SELECT MAX(next_at) FROM queue") <= now);
    /* The last one done leaves nothing. */
    act(&f, QUEUE_DO_DROP, (struct queue_choice){0});
    compact_all(&f);
    compact_all(&f);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM message"), 0);
    rebuild(&f);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue"), 0);
    fixture_stop(&f);
}

/* ---- What the courier reads ---- */

static void view_start(struct fixture *f, struct view *v)
{
    struct buf problem;
    buf_init(&problem, 4096);
    if (view_open(v, f->directory, &problem) != 0)
        fail_msg("view_open: %.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
}

static void destinations_that_are_due(void **state)
{
    enum { HOSTS = 30, CROWD = 2500 };
    const uint64_t now = 1700000000u * NANOSECONDS;
    struct fixture f;
    struct view v;
    struct arena arena;
    struct queue_due due;
    uint64_t id, next;
    clock_fake_start(now);
    arena_init(&arena, 64 << 20);
    fixture_start(&f);
    char targets[HOSTS][40];
    struct delivery_recipient r[HOSTS];
    for (int i = 0; i < HOSTS; i++) {
        snprintf(targets[i], sizeof(targets[i]), "a@host%02d.test", i);
        r[i] = remote(targets[i]);
    }
    id = queue_mail(&f, r, HOSTS);
    struct delivery_result later = {id, 3, DELIVERY_DEFERRED, now + 5, span_text("no")};
    results(&f, &later, 1);
    act(&f, QUEUE_DO_HOLD, (struct queue_choice){.message_id = id, .number = 5});
    view_start(&f, &v);
    /* Both ways to look give the same: by time while little is due, by destination when one has a crowd. */
    for (int round = 0; round < 2; round++) {
        size_t seen = 0;
        struct span after = {NULL, 0};
        do {
            assert_int_equal(view_queue_due(&v, now, after, 7, &arena, &due), 0);
            for (size_t i = 0; i < due.count; i++) {
                char expected[40];
                seen += seen == 2 || seen == 4;
                snprintf(expected, sizeof(expected), "host%02zu.test", seen);
                seen++;
                assert_true(span_is(due.destinations[i], expected));
            }
            after = due.count ? due.destinations[due.count - 1] : after;
        } while (due.more);
        assert_int_equal(seen, HOSTS);
        assert_int_equal(view_queue_next(&v, now, &next), 0);
        assert_true(next == now + 5);
        struct delivery_recipient crowd = remote("a@host11.test");
        struct delivery d = {.recipients = &crowd, .recipient_count = 1, .body = span_text("x"), .body_fd = -1};
        assert_int_equal(store_begin(f.store), 0);
        for (int i = 0; i < CROWD; i++)
            assert_int_equal(store_deliver(f.store, &d, &id), 0);
        assert_int_equal(store_commit(f.store), 0);
    }
    /* Entries come in order, in pages. */
    struct queue_cursor cursor = {0};
    struct queue_entry *entries;
    size_t count, all = 0;
    do {
        arena_reset(&arena);
        assert_int_equal(view_queue_entries(&v, span_text("host11.test"), now, &cursor, 1000, &arena, &entries, &count),
                         0);
        for (size_t i = 0; i < count; i++) {
            assert_true(entries[i].next_at > cursor.next_at || entries[i].message_id > cursor.message_id);
            assert_true(span_is(entries[i].address, "a@host11.test") && entries[i].kind == QUEUE_KIND_REMOTE);
            cursor = (struct queue_cursor){entries[i].next_at, entries[i].message_id, entries[i].number};
        }
        all += count;
    } while (count);
    assert_int_equal(all, 2 * CROWD + 1);
    view_release(&v);
    arena_release(&arena);
    fixture_stop(&f);
}

static void a_message_is_fetched(void **state)
{
    struct fixture f;
    struct view v;
    struct arena arena;
    struct buf out;
    struct message_facts facts;
    uint64_t total;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 8 << 20);
    fixture_start(&f);
    struct delivery_recipient r = remote("a@b.test");
    uint64_t id = queue_mail(&f, &r, 1);
    view_start(&f, &v);
    for (unsigned piece = 1; piece < 30; piece += 7) {
        uint64_t offset = 0;
        buf_reset(&out);
        do {
            size_t before = out.size;
            assert_int_equal(view_queue_fetch(&v, id, offset, piece, &arena, &facts, &total, &out), 0);
            assert_true(span_is(facts.envid, "e1") && facts.ret == 2 && facts.queued_count == 1);
            offset += out.size - before;
        } while (offset < total);
        assert_true(span_is(buf_span(&out), "Subject: out\r\n\r\nbody\r\n"));
    }
    assert_int_equal(view_queue_fetch(&v, id, total + 1, 10, &arena, &facts, &total, &out), -EINVAL);
    assert_int_equal(view_queue_fetch(&v, id + 1, 0, 10, &arena, &facts, &total, &out), -ENOENT);
    view_release(&v);
    char volume[256], aside[256];
    fixture_path(&f, "volumes/0001.vol", volume);
    fixture_path(&f, "aside", aside);
    assert_int_equal(rename(volume, aside), 0);
    view_start(&f, &v);
    assert_int_equal(view_queue_fetch(&v, id, 0, 10, &arena, &facts, &total, &out), -EBADMSG);
    assert_int_equal(rename(aside, volume), 0);
    assert_int_equal(view_queue_fetch(&v, id, 0, 10, &arena, &facts, &total, &out), 0);
    struct delivery_result done = {id, 1, DELIVERY_DONE, 0, {NULL, 0}};
    results(&f, &done, 1);
    assert_int_equal(view_queue_fetch(&v, id, 0, 10, &arena, &facts, &total, &out), -ENOENT);
    view_release(&v);
    buf_release(&out);
    arena_release(&arena);
    fixture_stop(&f);
}

/* ---- Import ---- */

static void imports(void **state)
{
    static const struct {
        const char *account, *mailbox;
        uint64_t flags;
        const char *problem; /* NULL: stored */
    } rows[] = {
        {"alice@example.test", "inbox", FLAG_SEEN, NULL},
        {"ALICE@example.test", "Archive/2019", FLAG_ANSWERED | FLAG_DRAFT, NULL},
        {"alice@example.test", "Archive/2019", 0, NULL},
        {"alice@example.test", "\xc3\x84lteres", 0, NULL},
        {"nobody@example.test", "INBOX", 0, "There is no account"},
        {"alice", "INBOX", 0, "There is no account"},
        {"alice@example.test", "", 0, "cannot be a mailbox's name"},
        {"alice@example.test", "a//b", 0, "cannot be a mailbox's name"},
        {"alice@example.test", "a/", 0, "cannot be a mailbox's name"},
        {"alice@example.test", "/a", 0, "cannot be a mailbox's name"},
        {"alice@example.test", "a\nb", 0, "cannot be a mailbox's name"},
        {"alice@example.test", "a\xff", 0, "cannot be a mailbox's name"},
        {"alice@example.test", "INBOX", 256, "flags"},
        {"dave@example.test", "INBOX", 0, "quota of 5 bytes"},
    };
    struct fixture f;
    struct buf problem;
    uint64_t id;
    uint32_t uid;
    buf_init(&problem, 4096);
    fixture_start(&f);
    fixture_account(&f, "dave@example.test", 5);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct import import = {.account = span_text(rows[i].account),
                                .mailbox = span_text(rows[i].mailbox),
                                .flags = rows[i].flags,
                                .facts.received_at = 1500000000000000000u,
                                .body = span_text("imported"),
                                .body_fd = -1};
        buf_reset(&problem);
        assert_int_equal(store_begin(f.store), 0);
        assert_int_equal(store_import(f.store, &import, &id, &uid, &problem), 0);
        assert_int_equal(store_commit(f.store), 0);
        buf_add_char(&problem, '\0');
        if (rows[i].problem ? !strstr(problem.data, rows[i].problem) : problem.data[0])
            fail_msg("row %zu: %s", i, problem.data);
        assert_int_equal(id != 0 && uid != 0, !rows[i].problem);
    }
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM mailbox m JOIN account a ON a.id = m.account_id WHERE "
                                       "a.local_part = 'alice'"),
                     3);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM entry WHERE flags = 18"), 1);
    assert_int_equal(fixture_count(&f, "SELECT SUM(bytes) FROM mailbox"), 4 * 8);
    check_is_clean(&f);
    struct buf before, after;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    fixture_list(&f, &before);
    rebuild(&f);
    fixture_list(&f, &after);
    assert_string_equal(before.data, after.data);
    buf_release(&before);
    buf_release(&after);
    buf_release(&problem);
    fixture_stop(&f);
}

/* The clock was ten years ahead when they were put off, and is right now. */
static void clock_set_back(void **state)
{
    struct fixture f;
    fixture_start(&f);
    struct delivery_recipient list[] = {remote("x@far.test"), remote("y@far.test")};
    uint64_t id = queue_mail(&f, list, 2), years = 3650ull * 86400 * NANOSECONDS, now = clock_wall();
    const struct delivery_result put_off[] = {{id, 1, DELIVERY_DEFERRED, now + years, span_text("later")},
                                              {id, 2, DELIVERY_DEFERRED, now + 50 * NANOSECONDS, span_text("later")}};
    results(&f, put_off, 2);
    assert_int_equal(database_run(f.store->db, "UPDATE queue SET created_at = $1", "u", now + years), 0);
    queue_news_clear(&f.store->news);
    assert_int_equal(queue_mend_times(f.store), 0);
    assert_false(queue_news_is_empty(&f.store->news));
    now = clock_wall();
    assert_true(fixture_count(&f, "SELECT next_at FROM queue WHERE number = 1") <= now);
    /* When it came is not forgotten: the clock may be wrong now, and not then. */
    assert_true(fixture_count(&f, "SELECT MIN(created_at) FROM queue") > now + years / 2);
    /* An ordinary wait stays. */
    assert_true(fixture_count(&f, "SELECT next_at FROM queue WHERE number = 2") > now);
    queue_news_clear(&f.store->news);
    assert_int_equal(queue_mend_times(f.store), 0);
    assert_true(queue_news_is_empty(&f.store->news));
    /* Nothing that was tried waits for a day; what waits for a day with room does. */
    assert_int_equal(database_run(f.store->db, "UPDATE queue SET next_at = $1, attempts = number - 1", "u",
                                  now + 86400 * NANOSECONDS),
                     0);
    assert_int_equal(queue_mend_times(f.store), 0);
    assert_true(fixture_count(&f, "SELECT next_at FROM queue WHERE number = 1") > clock_wall());
    assert_true(fixture_count(&f, "SELECT next_at FROM queue WHERE number = 2") <= clock_wall());
    check_is_clean(&f);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_recipient),
        cmocka_unit_test(what_cannot_be_queued),
        cmocka_unit_test(a_day_of_sending),
        cmocka_unit_test(a_day_with_room),
        cmocka_unit_test(an_entry_past_the_limit),
        cmocka_unit_test(bounces_of_a_list),
        cmocka_unit_test(bounces_are_forgotten),
        cmocka_unit_test(what_the_courier_reports),
        cmocka_unit_test(rebuilt_and_compacted),
        cmocka_unit_test(a_message_is_fetched),

        cmocka_unit_test(imports),
        cmocka_unit_test(intake_goes_on),
        cmocka_unit_test(pages_of_a_long_queue),
        /* From here on the clock stands still. */
        cmocka_unit_test(what_an_administrator_does),
        cmocka_unit_test(destinations_that_are_due),
        cmocka_unit_test(clock_set_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
