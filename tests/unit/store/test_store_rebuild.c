#include "fixture.h"

#include "base/clock.h"
#include "store/check.h"
#include "store/compact.h"
#include "store/rebuild.h"
#include "store/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void check_is_clean(struct fixture *f)
{
    struct store_check_report report;
    assert_int_equal(store_check(f->directory, &report, NULL, NULL), 0);
    if (report.problems)
        fail_msg("check: %.*s", SPAN_ARG(buf_span(&report.text)));
    buf_release(&report.text);
}

static void check_finds(struct fixture *f, const char *sentence)
{
    struct store_check_report report;
    assert_int_equal(store_check(f->directory, &report, NULL, NULL), 0);
    buf_add_char(&report.text, '\0');
    if (!report.problems || !strstr(report.text.data, sentence))
        fail_msg("check found %d problems and not \"%s\": %s", (int)report.problems, sentence, report.text.data);
    buf_release(&report.text);
}

static void set_flags(struct fixture *f, const char *address, uint32_t uid, uint64_t flags)
{
    struct delivery_recipient r = fixture_recipient(f, address);
    assert_int_equal(store_begin(f->store), 0);
    assert_int_equal(store_set_flags(f->store, r.mailbox_id, uid, flags), 0);
    assert_int_equal(store_commit(f->store), 0);
}

/* A store in which everything has happened once. */
/* Domains of every kind, aliases that lead elsewhere, mailing lists. */
static void live_directory(struct fixture *f)
{
    const struct span two[] = {span_text("bob@example.test"), span_text("Zoe@else.test")};
    const struct change changes[] = {
        {.kind = CHANGE_DOMAIN_ADD, .subject = span_text("also.test"), .alias_of = span_text("example.test")},
        {.kind = CHANGE_DOMAIN_ADD, .subject = span_text("spare.test"), .is_backup = true},
        {.kind = CHANGE_DOMAIN_SET,
         .subject = span_text("spare.test"),
         .is_backup = true,
         .next_hop = span_text("main.test:25")},
        {.kind = CHANGE_DOMAIN_SET, .subject = span_text("example.test"), .next_hop = span_text("old.test:25")},
        {.kind = CHANGE_ALIAS_PUT, .subject = span_text("@example.test"), .targets = two, .target_count = 2},
        {.kind = CHANGE_ALIAS_PUT, .subject = span_text("bob@example.test"), .targets = two, .target_count = 2},
        {.kind = CHANGE_LIST_PUT, .subject = span_text("gone@example.test")},
        {.kind = CHANGE_LIST_JOIN, .subject = span_text("gone@example.test"), .targets = two, .target_count = 2},
        {.kind = CHANGE_LIST_REMOVE, .subject = span_text("gone@example.test")},
        {.kind = CHANGE_LIST_PUT,
         .subject = span_text("list@example.test"),
         .name = span_text("A list"),
         .owner = two[0],
         .posting = 2},
        {.kind = CHANGE_LIST_JOIN, .subject = span_text("list@example.test"), .targets = two, .target_count = 2},
        {.kind = CHANGE_LIST_LEAVE, .subject = span_text("list@example.test"), .targets = two, .target_count = 1},
        {.kind = CHANGE_LIST_PUT, .subject = span_text("list@example.test"), .posting = 1, .set_posting = true},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        fixture_change(f, &changes[i], NULL);
}

static void live(struct fixture *f)
{
    static const char *const both[] = {"alice@example.test", "bob@example.test"};
    struct span targets[] = {span_text("alice@example.test"), span_text("bob@example.test")};
    struct change alias = {
        .kind = CHANGE_ALIAS_PUT, .subject = span_text("info@example.test"), .targets = targets, .target_count = 2};
    struct change gone = {.kind = CHANGE_ACCOUNT_REMOVE, .subject = span_text("dave@example.test")};
    struct credential_facts credential = {span_text("scram-sha-256"), span_text("abc")};
    struct change password = {.kind = CHANGE_ACCOUNT_CREDENTIALS,
                              .subject = span_text("bob@example.test"),
                              .credentials = &credential,
                              .credential_count = 1};
    fixture_change(f, &alias, NULL);
    fixture_change(f, &password, NULL);
    fixture_account(f, "dave@example.test", 5000);
    fixture_mail(f, "dave@example.test", "for dave");
    for (int i = 0; i < 6; i++)
        fixture_deliver(f, both, 2, span_text("Subject: both\r\n\r\nbody\r\n"));
    fixture_mail(f, "carol@example.test", "for carol");
    set_flags(f, "alice@example.test", 2, FLAG_SEEN | FLAG_FLAGGED | 1u << FLAG_KEYWORDS);
    set_flags(f, "bob@example.test", 3, FLAG_ANSWERED);
    fixture_expunge(f, "alice@example.test", (uint32_t[]){1, 3, 6}, 3);
    fixture_expunge(f, "bob@example.test", (uint32_t[]){1, 6}, 2);
    fixture_change(f, &gone, NULL);
    fixture_account(f, "dave@example.test", 7000);
    fixture_mail(f, "dave@example.test", "for the new dave");
    live_directory(f);
}

static void rebuild_compare(struct fixture *f)
{
    struct buf before, after, problem;
    struct store_rebuild_report report;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    buf_init(&problem, 4096);
    fixture_list(f, &before);
    fixture_close(f);
    if (store_rebuild(f->directory, &report, NULL, NULL, &problem) != 0)
        fail_msg("rebuild: %.*s", SPAN_ARG(buf_span(&problem)));
    assert_int_equal(report.damaged_bytes, 0);
    assert_int_equal(report.unplaced, 0);
    fixture_open(f);
    fixture_list(f, &after);
    assert_string_equal(before.data, after.data);
    check_is_clean(f);
    buf_release(&before);
    buf_release(&after);
    buf_release(&problem);
}

static void rebuild_gives_the_same(void **state)
{
    struct fixture f;
    struct buf text;
    char path[256];
    buf_init(&text, 4096);
    fixture_start(&f);
    live(&f);
    check_is_clean(&f);
    rebuild_compare(&f);
    fixture_fetch(&f, "bob@example.test", 2, &text);
    assert_true(span_is(buf_span(&text), "Subject: both\r\n\r\nbody\r\n"));
    /* And when the database is gone altogether: the store does not begin as if it were empty. */
    fixture_close(&f);
    const char *const names[] = {"store.db", "store.db-wal", "store.db-shm"};
    for (int i = 0; i < 3; i++) {
        fixture_path(&f, names[i], path);
        assert_true(unlink(path) == 0 || errno == ENOENT);
    }
    struct buf problem;
    buf_init(&problem, 4096);
    assert_null(store_open(&f.settings, &problem));
    buf_add_char(&problem, '\0');
    assert_non_null(strstr(problem.data, "store rebuild"));
    buf_reset(&problem);
    struct store_rebuild_report report;
    assert_int_equal(store_rebuild(f.directory, &report, NULL, NULL, &problem), 0);
    assert_int_equal(report.messages, 6);
    fixture_open(&f);
    fixture_mail(&f, "alice@example.test", "next");
    fixture_fetch(&f, "alice@example.test", 7, &text);
    assert_true(span_is(buf_span(&text), "next"));
    rebuild_compare(&f);
    buf_release(&problem);
    buf_release(&text);
    fixture_stop(&f);
}

static void compact_all(struct fixture *f)
{
    for (int round = 0; round < 20 && compaction_start(f->store, 1) == 1; round++)
        while (compaction_is_running(f->store))
            assert_true(compaction_step(f->store) >= 0);
}

static uint64_t volume_bytes(struct fixture *f)
{
    return fixture_count(f, "SELECT SUM(end_position) FROM volume");
}

/* Thousands of messages and one expunge of most of them: no slice takes it whole, and a reader never sees a gap. */
static void compaction_in_slices(void **state)
{
    enum { MESSAGES = 6000, KEPT = 5 };
    struct fixture f;
    struct buf text, before, after;
    static uint32_t uids[MESSAGES];
    uint64_t slowest = 0, slices = 0;
    buf_init(&text, 1 << 20);
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    fixture_start(&f);
    assert_int_equal(store_begin(f.store), 0);
    for (int i = 0; i < MESSAGES; i++)
        fixture_gather(&f, "alice@example.test", span_text(i % 2 ? "odd" : "even"));
    assert_int_equal(store_commit(f.store), 0);
    for (uint32_t i = 0; i < MESSAGES; i++)
        uids[i] = i + 1;
    /* One message to two people, so that the expunge outlives the first compaction. */
    fixture_deliver(&f, (const char *[]){"alice@example.test", "bob@example.test"}, 2, span_text("both"));
    assert_int_equal(fixture_expunge(&f, "alice@example.test", uids, MESSAGES - KEPT), MESSAGES - KEPT);
    assert_int_equal(fixture_expunge(&f, "alice@example.test", (uint32_t[]){MESSAGES + 1}, 1), 1);
    fixture_list(&f, &before);
    assert_int_equal(compaction_start(f.store, 1), 1);
    while (compaction_is_running(f.store)) {
        uint64_t began = clock_monotonic();
        assert_true(compaction_step(f.store) >= 0);
        uint64_t took = clock_monotonic() - began;
        slowest = took > slowest ? took : slowest;
        slices++;
        if (slices % 8 == 1) {
            fixture_fetch(&f, "alice@example.test", MESSAGES, &text);
            assert_true(span_is(buf_span(&text), "odd"));
            fixture_fetch(&f, "bob@example.test", 1, &text);
            assert_true(span_is(buf_span(&text), "both"));
            fixture_list(&f, &after);
            assert_string_equal(before.data, after.data);
        }
    }
    print_message("slices %ju, the slowest %ju us\n", (uintmax_t)slices, (uintmax_t)(slowest / 1000));
    /* 256 records a slice, and the expunge in pieces of 2000. */
    assert_true(slices >= MESSAGES / 256 + 3);
    check_is_clean(&f);
    rebuild_compare(&f);
    buf_release(&text);
    buf_release(&before);
    buf_release(&after);
    fixture_stop(&f);
}

static void compaction_keeps_everything(void **state)
{
    struct fixture f;
    struct buf before, after;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    fixture_start(&f);
    live(&f);
    char *large = calloc(1, 300001);
    assert_non_null(large);
    for (int i = 0; i < 300000; i++)
        large[i] = (char)('!' + ((unsigned)i * 7919u >> 3) % 90);
    fixture_mail(&f, "carol@example.test", large);
    fixture_expunge(&f, "carol@example.test", (uint32_t[]){2}, 1);
    fixture_list(&f, &before);
    uint64_t bytes = volume_bytes(&f);
    compact_all(&f);
    assert_true(volume_bytes(&f) < bytes);
    fixture_list(&f, &after);
    assert_string_equal(before.data, after.data);
    check_is_clean(&f);
    rebuild_compare(&f);
    /* What was expunged stays so after several rounds, and uids go on. */
    for (int round = 0; round < 3; round++) {
        fixture_mail(&f, "carol@example.test", large);
        fixture_mail(&f, "alice@example.test", "small");
        set_flags(&f, "alice@example.test", 5, FLAG_SEEN << round);
        fixture_expunge(&f, "carol@example.test", (uint32_t[]){(uint32_t)round + 3}, 1);
        compact_all(&f);
        rebuild_compare(&f);
    }
    fixture_mail(&f, "carol@example.test", "last");
    fixture_fetch(&f, "carol@example.test", 6, &after);
    assert_true(span_is(buf_span(&after), "last"));
    free(large);
    buf_release(&before);
    buf_release(&after);
    fixture_stop(&f);
}

static void flip(const char *path, off_t at)
{
    char byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* The place of the n-th record, from 1, and its type. */
static off_t find_record(const char *path, unsigned n, uint32_t *type)
{
    char bytes[RECORD_HEADER_SIZE];
    struct record_header header;
    off_t at = 0;
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    for (unsigned i = 1;; i++) {
        if (pread(fd, bytes, sizeof bytes, at) != sizeof bytes)
            at = -1;
        if (at < 0)
            break;
        assert_true(record_header_parse(span_from(bytes, sizeof bytes), &header));
        *type = header.type;
        if (i == n)
            break;
        at += (off_t)record_size(&header);
    }
    close(fd);
    return at;
}

/* Whichever record of the directory is lost: the messages are all there, in accounts and domains that are, too. */
static void rebuild_lacks_one_record(void **state)
{
    static const uint32_t types[] = {RECORD_VOLUME, RECORD_DOMAIN, RECORD_ACCOUNT, RECORD_MAILBOX, RECORD_DOOR_ITEM};
    struct fixture f;
    char volume[256];
    unsigned tried = 0;
    uint32_t type;
    off_t at = 0;
    fixture_start(&f);
    fixture_mail(&f, "alice@example.test", "one");
    fixture_mail(&f, "bob@example.test", "two");
    fixture_path(&f, "volumes/0001.vol", volume);
    fixture_close(&f);
    for (unsigned n = 1; (at = find_record(volume, n, &type)) >= 0; n++) {
        struct store_rebuild_report report;
        struct buf problem;
        bool is_one = false;
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
            is_one |= types[i] == type;
        if (!is_one)
            continue;
        tried++;
        buf_init(&problem, 4096);
        flip(volume, at + RECORD_HEADER_SIZE);
        if (store_rebuild(f.directory, &report, NULL, NULL, &problem) != 0)
            fail_msg("without record %u: %.*s", n, SPAN_ARG(buf_span(&problem)));
        buf_release(&problem);
        flip(volume, at + RECORD_HEADER_SIZE);
        assert_true(report.damaged_bytes > 0);
        assert_int_equal(report.unplaced, 0);
        fixture_open(&f);
        check_is_clean(&f);
        assert_int_equal(fixture_count(&f,
                                       "SELECT COUNT(*) FROM entry e JOIN message m ON m.id = e.message_id"
                                       " JOIN mailbox b ON b.id = e.mailbox_id JOIN account a ON a.id = b.account_id"
                                       " JOIN domain d ON d.id = a.domain_id AND d.name = 'example.test'"
                                       " WHERE a.local_part IN ('alice', 'bob') AND b.name = 'INBOX'"),
                         2);
        fixture_close(&f);
    }
    assert_true(tried >= 8); /* the volume's, a domain's, three accounts' and their mailboxes' */
    fixture_open(&f);
    fixture_stop(&f);
}

/* Reading ahead ends before a damaged message: those before it are none the worse. */
static void damage_among_others(void **state)
{
    struct fixture f;
    struct view view;
    struct buf problem, out;
    char volume[256];
    fixture_start(&f);
    fixture_path(&f, "volumes/0001.vol", volume);
    for (int i = 0; i < 3; i++)
        fixture_mail(&f, "carol@example.test", "one of three");
    flip(volume, (off_t)file_size(volume) - 3);
    struct delivery_recipient carol = fixture_recipient(&f, "carol@example.test");
    buf_init(&problem, 4096);
    buf_init(&out, 1 << 20);
    assert_int_equal(view_open(&view, f.directory, &problem), 0);
    const uint32_t uids[] = {1, 2, 3};
    struct piece pieces[3];
    size_t count = 3;
    assert_int_equal(view_fetch(&view, carol.mailbox_id, uids, 3, 0, FETCH_MAX, pieces, &count, &out), 0);
    assert_int_equal(count, 2);
    assert_true(span_is(buf_span(&out), "one of threeone of three"));
    count = 1;
    buf_reset(&out);
    assert_int_equal(view_fetch(&view, carol.mailbox_id, &uids[2], 1, 0, FETCH_MAX, pieces, &count, &out), -EIO);
    view_release(&view);
    buf_release(&out);
    buf_release(&problem);
    fixture_stop(&f);
}

static void check_finds_damage(void **state)
{
    struct fixture f;
    char volume[256], aside[256];
    struct buf text;
    buf_init(&text, 4096);
    fixture_start(&f);
    live(&f);
    fixture_path(&f, "volumes/0001.vol", volume);
    fixture_path(&f, "aside", aside);
    fixture_mail(&f, "carol@example.test", "a body to be damaged");
    uint64_t end = file_size(volume);
    flip(volume, (off_t)end - 3);
    check_finds(&f, "is damaged");
    fixture_fetch(&f, "carol@example.test", 2, &text);
    assert_true(span_is(buf_span(&text), "DAMAGED"));
    flip(volume, (off_t)end - 3);
    check_is_clean(&f);
    assert_int_equal(rename(volume, aside), 0);
    check_finds(&f, "Volume 0001 is missing.");
    assert_int_equal(rename(aside, volume), 0);
    static const struct {
        const char *sql, *undo, *sentence;
    } rows[] = {
        {"UPDATE mailbox SET bytes = bytes + 1", "UPDATE mailbox SET bytes = bytes - 1", "quota is wrong"},
        {"UPDATE mailbox SET messages = messages + 1", "UPDATE mailbox SET messages = messages - 1",
         "messages and has"},
        {"UPDATE message SET position = position + 1 WHERE living > 0",
         "UPDATE message SET position = position - 1 WHERE living > 0", "its record is not in"},
        {"UPDATE message SET living = living + 1", "UPDATE message SET living = living - 1",
         "mailboxes and queue entries and has"},
        {"UPDATE entry SET message_id = message_id + 1000", "UPDATE entry SET message_id = message_id - 1000",
         "there is no message"},
        {"UPDATE mailbox SET uidnext = uidnext - 1", "UPDATE mailbox SET uidnext = uidnext + 1", "its next uid"},
        {"UPDATE account SET domain_id = domain_id + 1000", "UPDATE account SET domain_id = domain_id - 1000",
         "is of domain"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(database_script(f.store->db, rows[i].sql), 0);
        check_finds(&f, rows[i].sentence);
        assert_int_equal(database_script(f.store->db, rows[i].undo), 0);
        check_is_clean(&f);
    }
    buf_release(&text);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rebuild_gives_the_same), cmocka_unit_test(compaction_keeps_everything),
        cmocka_unit_test(compaction_in_slices),   cmocka_unit_test(damage_among_others),
        cmocka_unit_test(check_finds_damage),     cmocka_unit_test(rebuild_lacks_one_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
