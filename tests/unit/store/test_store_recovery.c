#include "fixture.h"

#include "store/check.h"
#include "store/rebuild.h"
#include "store/schema.h"
#include "store/volume.h"
#include "store/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void check_is_clean(const char *directory)
{
    struct store_check_report report;
    assert_int_equal(store_check(directory, &report, NULL, NULL), 0);
    if (report.problems)
        fail_msg("check: %.*s", SPAN_ARG(buf_span(&report.text)));
    buf_release(&report.text);
}

/* What a crash leaves: the volume has a batch, in any state of completeness, whose transaction did not commit. */
static void unacknowledged_tails(void **state)
{
    struct fixture f;
    char before[100], volume[256], target[256], bytes[4096];
    struct buf text;
    buf_init(&text, 4096);
    fixture_start(&f);
    fixture_mail(&f, "alice@example.test", "kept");
    fixture_close(&f);
    snprintf(before, sizeof(before), "%.80s-before", f.directory);
    copy_directory(f.directory, before);
    fixture_path(&f, "volumes/0001.vol", volume);
    uint64_t start = file_size(volume);
    fixture_open(&f);
    fixture_mail(&f, "alice@example.test", "not acknowledged");
    fixture_close(&f);
    size_t size = file_size(volume) - start;
    int fd = open(volume, O_RDONLY);
    assert_true(fd >= 0 && size < sizeof(bytes));
    assert_int_equal(pread(fd, bytes, size, (off_t)start), size);
    close(fd);
    snprintf(target, sizeof(target), "%s/volumes/0001.vol", before);
    struct fixture g = f;
    snprintf(g.directory, sizeof(g.directory), "%s", before);
    g.settings.data_directory = before;
    for (size_t n = 0; n <= size; n += n < 80 || n > size - 3 ? 1 : 7) {
        fd = open(target, O_WRONLY);
        assert_int_equal(pwrite(fd, bytes, n, (off_t)start), n);
        close(fd);
        fixture_open(&g);
        assert_int_equal(file_size(target), start);
        assert_int_equal(g.store->counts.tail_bytes_cut, n);
        fixture_close(&g);
    }
    fixture_open(&g);
    fixture_mail(&g, "alice@example.test", "after the crash");
    fixture_fetch(&g, "alice@example.test", 2, &text);
    assert_true(span_is(buf_span(&text), "after the crash"));
    check_is_clean(before);
    fixture_close(&g);
    buf_release(&text);
    remove_directory(before);
    fixture_open(&f);
    fixture_stop(&f);
}

/* A restored backup of the database: the volumes have what was acknowledged since, and nothing of it may be cut off. */
static void an_older_database_is_refused(void **state)
{
    struct fixture f;
    char volume[256], path[256], aside[256];
    struct buf problem;
    buf_init(&problem, 4096);
    fixture_start(&f);
    fixture_close(&f);
    fixture_path(&f, "store.db", path);
    fixture_path(&f, "store.db-old", aside);
    fixture_path(&f, "volumes/0001.vol", volume);
    assert_int_equal(link(path, aside), 0);
    char copy[160];
    snprintf(copy, sizeof(copy), "%s-copy", f.directory);
    copy_directory(f.directory, copy);
    fixture_open(&f);
    fixture_mail(&f, "alice@example.test", "one");
    fixture_mail(&f, "alice@example.test", "two");
    fixture_close(&f);
    uint64_t size = file_size(volume);
    char from[256], wal[256];
    snprintf(from, sizeof(from), "%s/store.db", copy);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rename(from, path), 0);
    fixture_path(&f, "store.db-wal", wal);
    assert_true(unlink(wal) == 0 || errno == ENOENT);
    assert_null(store_open(&f.settings, &problem));
    buf_add_char(&problem, '\0');
    assert_non_null(strstr(problem.data, "older than the volumes"));
    assert_int_equal(file_size(volume), size);
    buf_release(&problem);
    remove_directory(copy);
    remove_directory(f.directory);
}

/* Delivers until it is killed, and says on the pipe what was acknowledged. */
static void deliver_forever(struct fixture *f, int out)
{
    fixture_open(f);
    for (uint32_t n = 0;; n++) {
        char bodies[8][32];
        assert_int_equal(store_begin(f->store), 0);
        for (int i = 0; i < 8; i++) {
            snprintf(bodies[i], sizeof(bodies[i]), "message %u.%d", n, i);
            fixture_gather(f, "bob@example.test", span_text(bodies[i]));
        }
        assert_int_equal(store_commit(f->store), 0);
        uint32_t acknowledged = 8;
        assert_int_equal(write(out, &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
    }
}

static void killed_at_random(void **state)
{
    struct fixture f;
    uint64_t acknowledged = 0;
    fixture_start(&f);
    for (unsigned round = 0; round < 8; round++) {
        int ends[2];
        fixture_close(&f);
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(ends[0]);
            deliver_forever(&f, ends[1]);
        }
        close(ends[1]);
        uint32_t n;
        for (unsigned batches = 0; batches < 3 + round * 5; batches++) {
            assert_int_equal(read(ends[0], &n, sizeof(n)), sizeof(n));
            acknowledged += n;
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (read(ends[0], &n, sizeof(n)) == sizeof(n))
            acknowledged += n;
        close(ends[0]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        fixture_open(&f);
        uint64_t stored = fixture_count(&f, "SELECT COUNT(*) FROM entry");
        /* Nothing acknowledged is lost; one batch may have been committed and its acknowledgement killed. */
        assert_true(stored == acknowledged || stored == acknowledged + 8);
        acknowledged = stored;
        check_is_clean(f.directory);
    }
    fixture_stop(&f);
}

struct acknowledged {
    uint64_t message_id; /* both of its entries are in the queue */
    uint64_t done_id;    /* the first entry of this one is done, and its report is stored; 0: none */
};

static struct delivery_recipient remote(const char *target)
{
    return (struct delivery_recipient){
        .kind = DELIVERY_REMOTE, .address = span_text(target), .target = span_text(target)};
}

/* Accepts mail for other sites and reports on what it accepted before, until it is killed. */
static void queue_forever(struct fixture *f, int out)
{
    fixture_open(f);
    struct acknowledged said = {0};
    struct delivery_recipient alice = fixture_recipient(f, "alice@example.test");
    for (;;) {
        struct delivery_recipient r[3] = {remote("a@b.test"), remote("c@d.test"), alice}, to = alice;
        struct delivery_result result = {said.message_id, 1, DELIVERY_DONE, 0, {NULL, 0}};
        struct delivery mail = {.recipients = r, .recipient_count = 3, .body = span_text("out"), .body_fd = -1};
        struct delivery report = {.recipients = &to,
                                  .recipient_count = 1,
                                  .results = &result,
                                  .result_count = 1,
                                  .body = span_text("report"),
                                  .body_fd = -1};
        uint64_t id;
        said.done_id = said.message_id;
        assert_int_equal(store_begin(f->store), 0);
        assert_int_equal(store_deliver(f->store, &mail, &said.message_id), 0);
        if (said.done_id)
            assert_int_equal(store_deliver(f->store, &report, &id), 0);
        assert_int_equal(store_commit(f->store), 0);
        assert_int_equal(write(out, &said, sizeof(said)), sizeof(said));
    }
}

static uint64_t entries_of(struct fixture *f, uint64_t message_id)
{
    uint64_t count = 0;
    assert_int_equal(
        database_find(f->store->db, &count, "SELECT COUNT(*) FROM queue WHERE message_id = $1", "u", message_id), 1);
    return count;
}

static void killed_with_a_queue(void **state)
{
    struct fixture f;
    fixture_start(&f);
    for (unsigned round = 0; round < 8; round++) {
        int ends[2];
        fixture_close(&f);
        assert_int_equal(pipe(ends), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(ends[0]);
            queue_forever(&f, ends[1]);
        }
        close(ends[1]);
        struct acknowledged said[400];
        size_t count = 0;
        while (count < 4 + round * 6) {
            assert_int_equal(read(ends[0], &said[count], sizeof(said[0])), sizeof(said[0]));
            count++;
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        while (count < 400 && read(ends[0], &said[count], sizeof(said[0])) == sizeof(said[0]))
            count++;
        close(ends[0]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        fixture_open(&f);
        /* The last one may have been reported on in a batch that committed and whose answer was killed. */
        for (size_t i = 0; i + 1 < count; i++)
            assert_int_equal(entries_of(&f, said[i].message_id), 1);
        assert_in_range(entries_of(&f, said[count - 1].message_id), 1, 2);
        /* No end without its report, no report without its end: alice has a copy of each message and a report for each
         * entry that is gone. */
        assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM entry WHERE size = 6"),
                         fixture_count(&f, "SELECT 2 * (SELECT COUNT(*) FROM entry WHERE size = 3) - COUNT(*) FROM "
                                           "queue"));
        check_is_clean(f.directory);
    }
    fixture_stop(&f);
}

/* A store that was made before there was a queue: its database and its records, which end where the queue's fields
 * begin. */
static void a_store_without_a_queue(void **state)
{
    static const char undo[] = "DROP TABLE queue; DROP TABLE sent; DROP TABLE list; DROP TABLE list_member;"
                               "ALTER TABLE domain DROP COLUMN kind; ALTER TABLE domain DROP COLUMN alias_of;"
                               "ALTER TABLE domain DROP COLUMN next_hop; DELETE FROM meta WHERE name LIKE 'paused%';"
                               "DROP TABLE door_item; DROP TABLE door_history; DROP TABLE ledger; DROP TABLE "
                               "remote_seen; DELETE FROM meta WHERE name = 'door_version';"
                               "UPDATE schema_version SET version = 1";
    struct fixture f;
    struct buf after, problem;
    struct store_rebuild_report report;
    buf_init(&after, 1 << 20);
    buf_init(&problem, 4096);
    fixture_start(&f);
    struct delivery_recipient r = fixture_recipient(&f, "alice@example.test");
    struct message_entry entry = {.account_id = r.account_id,
                                  .mailbox_id = r.mailbox_id,
                                  .uid = 1,
                                  .uidvalidity = 1,
                                  .modseq = 2,
                                  .account = span_text("alice@example.test"),
                                  .mailbox = span_text("INBOX")};
    struct message_facts facts = {
        .message_id = f.store->volumes.lsn, .received_at = 1700000000000000000u, .entries = &entry, .entry_count = 1};
    struct body body = {.kind = BODY_MEMORY, .message_id = facts.message_id, .bytes = span_text("old mail"), .size = 8};
    struct record_place place;
    assert_int_equal(store_begin(f.store), 0);
    message_facts_write(&f.store->facts, &facts);
    buf_truncate(&f.store->facts, f.store->facts.size - 12);
    assert_int_equal(store_append(f.store, RECORD_MESSAGE, &body, &place), 0);
    wire_write_u64(&f.store->facts, f.store->volumes.lsn);
    wire_write_bytes(&f.store->facts, span_text("old.test"));
    assert_int_equal(store_append(f.store, RECORD_DOMAIN, NULL, &place), 0);
    assert_int_equal(store_commit(f.store), 0);
    assert_int_equal(database_script(f.store->db, undo), 0);
    fixture_close(&f);
    /* It opens, and goes on. */
    fixture_open(&f);
    assert_int_equal(fixture_count(&f, "SELECT version FROM schema_version"), SCHEMA_VERSION);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue"), 0);
    struct delivery_recipient to = remote("a@b.test");
    struct delivery mail = {.recipients = &to, .recipient_count = 1, .body = span_text("out"), .body_fd = -1};
    uint64_t id;
    assert_int_equal(store_begin(f.store), 0);
    assert_int_equal(store_deliver(f.store, &mail, &id), 0);
    assert_int_equal(store_commit(f.store), 0);
    fixture_close(&f);
    /* Its old records are understood. */
    assert_int_equal(store_rebuild(f.directory, &report, NULL, NULL, &problem), 0);
    assert_true(report.damaged_bytes == 0 && report.unplaced == 0);
    fixture_open(&f);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM queue"), 1);
    assert_int_equal(fixture_count(&f, "SELECT COUNT(*) FROM domain WHERE name = 'old.test' AND kind = 0"), 1);
    fixture_fetch(&f, "alice@example.test", 1, &after);
    assert_true(span_is(buf_span(&after), "old mail"));
    check_is_clean(f.directory);
    buf_release(&after);
    buf_release(&problem);
    fixture_stop(&f);
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Turns a bit of each page that the database's file has, of those that are in its log as well, or of all others. How
 * many that are. */
static unsigned damage(const char *directory, bool in_log)
{
    enum { PAGE = 4096, FRAME = PAGE + 24, PAGES = 4096 };
    static bool is_logged[PAGES + 1];
    unsigned char frame[24], byte;
    char path[256];
    unsigned count = 0;
    memset(is_logged, 0, sizeof is_logged);
    snprintf(path, sizeof path, "%s/store.db-wal", directory);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    for (off_t at = 32; pread(fd, frame, sizeof frame, at) == sizeof frame; at += FRAME) {
        assert_in_range(big_endian(frame), 1, PAGES);
        is_logged[big_endian(frame)] = true;
    }
    close(fd);
    snprintf(path, sizeof path, "%s/store.db", directory);
    fd = open(path, O_RDWR);
    for (off_t page = 2; page <= PAGES; page++) {
        off_t at = (page - 1) * PAGE + 8;
        if (is_logged[page] != in_log || pread(fd, &byte, 1, at) != 1)
            continue;
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        count++;
    }
    close(fd);
    return count;
}

static void check_says(const char *directory, const char *sentence)
{
    struct store_check_report report;
    assert_int_equal(store_check(directory, &report, NULL, NULL), 0);
    buf_add_char(&report.text, '\0');
    if (!report.problems || !strstr(report.text.data, sentence))
        fail_msg("check found %u problems: %s", (unsigned)report.problems, report.text.data);
    buf_release(&report.text);
}

/* The power went during a checkpoint: pages that are torn in the database's file are whole in its log. */
static void torn_pages(void **state)
{
    enum { TORN, OTHERS, WITHOUT_LOG, KINDS };
    struct fixture f;
    char after[100], name[120];
    fixture_start(&f);
    fixture_mail(&f, "alice@example.test", "one");
    assert_int_equal(database_checkpoint(f.store->db), 0);
    fixture_mail(&f, "alice@example.test", "two");
    snprintf(after, sizeof after, "%.80s-after", f.directory);
    for (unsigned kind = TORN; kind < KINDS; kind++) {
        copy_directory(f.directory, after);
        snprintf(name, sizeof name, "%s/store.db-shm", after);
        unlink(name);
        assert_in_range(damage(after, kind != OTHERS), 1, 1000);
        snprintf(name, sizeof name, "%s/store.db-wal", after);
        if (kind == WITHOUT_LOG)
            assert_int_equal(truncate(name, 0), 0);
        if (kind == TORN)
            check_is_clean(after);
        else
            check_says(after, "Run `ostiary store rebuild`");
        remove_directory(after);
    }
    fixture_stop(&f);
}

static void migrations(void **state)
{
    for (unsigned version = 0; version <= SCHEMA_VERSION; version++) {
        struct fixture f;
        char path[256];
        struct buf problem;
        buf_init(&problem, 4096);
        memset(&f, 0, sizeof(f));
        snprintf(f.directory, sizeof(f.directory), "/tmp/ostiary-store-XXXXXX");
        assert_non_null(mkdtemp(f.directory));
        fixture_path(&f, "store.db", path);
        struct database *db = database_open(path, DATABASE_WRITE, &problem);
        assert_non_null(db);
        assert_int_equal(schema_migrate_to(db, version, &problem), 0);
        assert_int_equal(schema_version(db), version);
        assert_int_equal(schema_migrate(db, &problem), 0);
        assert_int_equal(schema_migrate(db, &problem), 0);
        assert_int_equal(schema_version(db), SCHEMA_VERSION);
        assert_int_equal(database_run(db, "UPDATE schema_version SET version = version + 1", ""), 0);
        assert_int_equal(schema_migrate(db, &problem), -EPROTO);
        buf_add_char(&problem, '\0');
        assert_non_null(strstr(problem.data, "newer program"));
        assert_int_equal(database_close(db), 0);
        buf_release(&problem);
        remove_directory(f.directory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unacknowledged_tails),
        cmocka_unit_test(an_older_database_is_refused),
        cmocka_unit_test(killed_at_random),
        cmocka_unit_test(killed_with_a_queue),
        cmocka_unit_test(a_store_without_a_queue),
        cmocka_unit_test(torn_pages),
        cmocka_unit_test(migrations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
