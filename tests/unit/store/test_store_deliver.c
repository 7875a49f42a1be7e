#include "fixture.h"

#include "store/view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void round_trip(void **state)
{
    struct fixture f;
    struct buf text;
    fixture_start(&f);
    buf_init(&text, 1 << 20);
    uint64_t first = fixture_mail(&f, "alice@example.test", "Subject: one\r\n\r\nHello\r\n");
    uint64_t second = fixture_mail(&f, "alice+news@example.test", "Subject: two\r\n\r\nAgain\r\n");
    assert_true(second > first);
    fixture_fetch(&f, "alice@example.test", 1, &text);
    assert_true(span_is(buf_span(&text), "Subject: one\r\n\r\nHello\r\n"));
    fixture_fetch(&f, "alice@example.test", 2, &text);
    assert_true(span_is(buf_span(&text), "Subject: two\r\n\r\nAgain\r\n"));
    fixture_fetch(&f, "alice@example.test", 3, &text);
    assert_true(span_is(buf_span(&text), "GONE"));
    assert_int_equal(fixture_expunge(&f, "alice@example.test", (uint32_t[]){1, 7}, 2), 1);
    fixture_fetch(&f, "alice@example.test", 1, &text);
    assert_true(span_is(buf_span(&text), "GONE"));
    /* A uid is never given twice, also after a restart. */
    fixture_close(&f);
    fixture_open(&f);
    fixture_mail(&f, "alice@example.test", "three");
    fixture_fetch(&f, "alice@example.test", 3, &text);
    assert_true(span_is(buf_span(&text), "three"));
    buf_release(&text);
    fixture_stop(&f);
}

static void fifty_people_one_record(void **state)
{
    struct fixture f;
    char names[50][32];
    const char *addresses[50];
    struct buf text;
    buf_init(&text, 4096);
    fixture_start(&f);
    for (int i = 0; i < 50; i++) {
        snprintf(names[i], sizeof(names[i]), "u%d@example.test", i);
        fixture_account(&f, names[i], 0);
        addresses[i] = names[i];
    }
    uint64_t lsn = f.store->volumes.lsn, syncs = f.store->volumes.syncs, position = f.store->volumes.position;
    uint64_t id = fixture_deliver(&f, addresses, 50, span_text("to all of you"));
    assert_int_equal(f.store->volumes.lsn, lsn + 1);
    assert_int_equal(f.store->volumes.syncs, syncs + 1);
    assert_true(f.store->volumes.position - position < 50 * 200);
    assert_int_equal(fixture_count(&f, "SELECT living FROM message ORDER BY id DESC LIMIT 1"), 50);
    fixture_fetch(&f, "u49@example.test", 1, &text);
    assert_true(id == lsn && span_is(buf_span(&text), "to all of you"));
    buf_release(&text);
    fixture_stop(&f);
}

static void group_commit(void **state)
{
    struct fixture f;
    fixture_start(&f);
    uint64_t syncs = f.store->volumes.syncs;
    assert_int_equal(store_begin(f.store), 0);
    for (int i = 0; i < 500; i++)
        fixture_gather(&f, "alice@example.test", span_text("one of five hundred"));
    assert_int_equal(store_commit(f.store), 0);
    assert_int_equal(f.store->volumes.syncs, syncs + 1);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM entry"), 500);
    assert_int_equal(fixture_count(&f, "SELECT messages FROM mailbox WHERE messages > 0"), 500);
    fixture_stop(&f);
}

static void an_abort_leaves_nothing(void **state)
{
    struct fixture f;
    struct buf before, after;
    buf_init(&before, 1 << 16);
    buf_init(&after, 1 << 16);
    fixture_start(&f);
    fixture_mail(&f, "alice@example.test", "before");
    fixture_list(&f, &before);
    uint64_t position = f.store->volumes.position;
    assert_int_equal(store_begin(f.store), 0);
    fixture_gather(&f, "alice@example.test", span_text("abandoned"));
    assert_int_equal(store_fail(f.store, -ENOSPC), -ENOSPC);
    assert_int_equal(store_commit(f.store), -ENOSPC);
    fixture_list(&f, &after);
    assert_string_equal(before.data, after.data);
    assert_int_equal(f.store->volumes.position, position);
    fixture_mail(&f, "alice@example.test", "after");
    fixture_fetch(&f, "alice@example.test", 2, &after);
    assert_true(span_is(buf_span(&after), "after"));
    buf_release(&before);
    buf_release(&after);
    fixture_stop(&f);
}

/* One answer speaks for all recipients: a message is too large for all of its mailboxes, or is stored in all of them.
 */
static void quota(void **state)
{
    struct fixture f;
    fixture_start(&f);
    fixture_account(&f, "dora@example.test", 100);
    fixture_account(&f, "emil@example.test", 10);
    enum { DORA = 1, EMIL = 2, BOB = 4 };
    static const struct {
        size_t size;
        int to;
        bool stored;
    } rows[] = {
        {60, DORA, true}, {41, DORA, false},       {41, DORA | EMIL, false}, {40, DORA | EMIL, true},
        {1, DORA, false}, {1, DORA | EMIL, false}, {1, DORA | BOB, true},    {500, DORA | EMIL | BOB, true},
        {0, EMIL, false}, {900, DORA | BOB, true}, {900, BOB, true},
    };
    static const char *const names[] = {"dora@example.test", "emil@example.test", "bob@example.test"};
    struct delivery_recipient known[3];
    char body[1024];
    memset(body, 'x', sizeof(body));
    for (int i = 0; i < 3; i++)
        known[i] = fixture_recipient(&f, names[i]);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        /* The first twice, and one that is no longer there. */
        struct delivery_recipient r[5] = {{.account_id = 1, .mailbox_id = 999}};
        size_t count = 1;
        uint64_t id, rows_before = fixture_count(&f, "SELECT COUNT(*) FROM entry");
        for (int n = 0; n < 3; n++)
            if (rows[i].to & 1 << n)
                r[count++] = known[n];
        r[count] = r[1];
        struct delivery d = {
            .recipients = r, .recipient_count = count + 1, .body = span_from(body, rows[i].size), .body_fd = -1};
        assert_int_equal(store_begin(f.store), 0);
        assert_int_equal(store_deliver(f.store, &d, &id), 0);
        assert_int_equal(store_commit(f.store), 0);
        assert_int_equal(r[0].outcome, DELIVERY_GONE);
        for (size_t n = 1; n <= count; n++)
            assert_int_equal(r[n].outcome, rows[i].stored ? DELIVERY_STORED : DELIVERY_OVER_QUOTA);
        assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM entry") - rows_before, rows[i].stored ? count - 1 : 0);
    }
    /* An expunge makes room. */
    uint32_t expunged;
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(
        store_expunge(f.store, known[0].account_id, known[0].mailbox_id, (uint32_t[]){1, 2, 3, 4, 5}, 5, &expunged), 0);
    assert_int_equal(store_commit(f.store), 0);
    assert_int_equal(expunged, 5);
    fixture_mail(&f, "dora@example.test", "fits");
    fixture_stop(&f);
}

/* Sizes around the blocks' bounds, in memory and from a file, compressible and not. */
static void bodies_of_all_sizes(void **state)
{
    static const size_t sizes[] = {
        0, 1, BODY_BLOCK_SIZE - 1, BODY_BLOCK_SIZE, BODY_BLOCK_SIZE + 1, 5 * BODY_BLOCK_SIZE + 12345};
    size_t largest = 5 * BODY_BLOCK_SIZE + 12345;
    struct fixture f;
    struct buf text;
    uint32_t uid = 0;
    char *body = malloc(largest);
    assert_non_null(body);
    buf_init(&text, 16 << 20);
    fixture_start(&f);
    for (int kind = 0; kind < 2; kind++) {
        uint32_t state32 = 1;
        for (size_t i = 0; i < largest; i++) {
            state32 = state32 * 1664525 + 1013904223;
            body[i] = kind ? (char)(state32 >> 24) : "the same again and again "[i % 25];
        }
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct delivery_recipient r = fixture_recipient(&f, "alice@example.test");
            uint64_t id;
            int fd = i % 2 ? store_spool(f.store) : -1;
            struct delivery d = {
                .recipients = &r, .recipient_count = 1, .body = span_from(body, sizes[i]), .body_fd = fd};
            if (fd >= 0)
                assert_int_equal(write(fd, body, sizes[i]), sizes[i]);
            assert_int_equal(store_begin(f.store), 0);
            assert_int_equal(store_deliver(f.store, &d, &id), 0);
            assert_int_equal(store_commit(f.store), 0);
            if (fd >= 0)
                close(fd);
            fixture_fetch(&f, "alice@example.test", ++uid, &text);
            assert_true(span_equal(buf_span(&text), span_from(body, sizes[i])));
        }
    }
    /* Compressible ones took little. */
    assert_true(fixture_count(&f, "SELECT SUM(stored) FROM message") < largest * 3);
    free(body);
    buf_release(&text);
    fixture_stop(&f);
}

static void a_large_maildrop(void **state)
{
    enum { MESSAGES = 100000 };
    struct fixture f;
    struct view view;
    struct buf problem, out;
    buf_init(&problem, 4096);
    buf_init(&out, 1 << 20);
    fixture_start(&f);
    struct delivery_recipient inbox = fixture_recipient(&f, "alice@example.test");
    for (int batch = 0; batch < 20; batch++) {
        assert_int_equal(store_begin(f.store), 0);
        for (int i = 0; i < MESSAGES / 20; i++) {
            struct delivery_recipient r = inbox;
            uint64_t id;
            struct delivery d = {.recipients = &r, .recipient_count = 1, .body = span_text("small"), .body_fd = -1};
            assert_int_equal(store_deliver(f.store, &d, &id), 0);
        }
        assert_int_equal(store_commit(f.store), 0);
    }
    assert_int_equal(view_open(&view, f.directory, &problem), 0);
    uint32_t from = 1, count, pages = 0, all = 0;
    do {
        buf_reset(&out);
        assert_int_equal(view_maildrop(&view, inbox.mailbox_id, from, &out, &count, &from), 0);
        assert_int_equal(out.size, (size_t)count * MAILDROP_ENTRY_SIZE);
        all += count;
        pages++;
    } while (from != 0);
    assert_int_equal(all, MESSAGES);
    assert_int_equal(pages, 2);
    /* Many small ones come with one call, in order. */
    uint32_t uids[1000];
    struct piece pieces[1000];
    size_t piece_count = 1000;
    for (uint32_t i = 0; i < 1000; i++)
        uids[i] = 5000 + i;
    buf_reset(&out);
    assert_int_equal(view_fetch(&view, inbox.mailbox_id, uids, 1000, 0, 1 << 20, pieces, &piece_count, &out), 0);
    assert_int_equal(piece_count, 1000);
    assert_int_equal(out.size, 5000);
    view_release(&view);
    buf_release(&out);
    buf_release(&problem);
    fixture_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(fifty_people_one_record),
        cmocka_unit_test(group_commit),
        cmocka_unit_test(an_abort_leaves_nothing),
        cmocka_unit_test(quota),
        cmocka_unit_test(bodies_of_all_sizes),
        cmocka_unit_test(a_large_maildrop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
