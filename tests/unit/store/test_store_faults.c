/* The disk fails once, at every place of a small run in turn: each call gets its error, a failed sync is never tried
 * again, and whoever goes on (the same writer, or the next one over the same directory) has everything that was
 * acknowledged, once. */
#include "fixture.h"

#include "store/check.h"
#include "store/compact.h"
#include "store/queue.h"
#include "store/rebuild.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#define VOLUME_SIZE 6000 /* so that volumes are begun and compacted in the run */
#define SPOOLED 1300000

enum fault { WRITE_FAILS, WRITE_IS_SHORT, CUT_FAILS, SYNC_FAILS, STEP_FAILS, COMMIT_HAPPENED, FAULTS };

static struct {
    enum fault kind;
    unsigned countdown; /* calls until it strikes; 0: it has */
    int error;
    bool armed, cut_fails;
    bool sync_failed; /* of the volume that is open */
    const char *sql;  /* prepared last */
} plan;

static bool strikes(enum fault kind)
{
    return plan.armed && plan.kind == kind && plan.countdown > 0 && --plan.countdown == 0;
}

ssize_t __real_pwritev64(int fd, const struct iovec *pieces, int count, off_t position);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
int __real_ftruncate64(int fd, off_t size);
ssize_t __wrap_pwritev64(int fd, const struct iovec *pieces, int count, off_t position);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_ftruncate64(int fd, off_t size);

static int failed(void)
{
    errno = plan.error;
    return -1;
}

ssize_t __wrap_pwritev64(int fd, const struct iovec *pieces, int count, off_t position)
{
    bool is_short = strikes(WRITE_IS_SHORT), cut = strikes(CUT_FAILS);
    plan.cut_fails |= cut;
    if (cut || strikes(WRITE_FAILS))
        return failed();
    if (!is_short)
        return __real_pwritev64(fd, pieces, count, position);
    /* Half of the first piece is on the disk, and then that is full. */
    struct iovec half = {pieces->iov_base, pieces->iov_len / 2};
    plan.kind = WRITE_FAILS;
    plan.countdown = 1;
    return __real_pwritev64(fd, &half, 1, position);
}

int __wrap_fdatasync(int fd)
{
    if (plan.sync_failed)
        fail_msg("a sync that failed was tried again");
    plan.sync_failed = strikes(SYNC_FAILS);
    return plan.sync_failed ? failed() : __real_fdatasync(fd);
}

int __wrap_fsync(int fd)
{
    return strikes(SYNC_FAILS) ? failed() : __real_fsync(fd);
}

int __wrap_ftruncate64(int fd, off_t size)
{
    bool fails = plan.cut_fails;
    plan.cut_fails = false;
    return fails ? failed() : __real_ftruncate64(fd, size);
}

static const struct database_driver *real_driver;

static struct statement *watching_prepare(struct database *db, const char *sql)
{
    plan.sql = sql;
    return real_driver->prepare(db, sql);
}

static int failing_step(struct statement *st)
{
    bool is_commit = strcmp(plan.sql, "COMMIT") == 0;
    /* A rollback always happens, whatever it returns. */
    if (strcmp(plan.sql, "ROLLBACK") != 0 && strikes(STEP_FAILS))
        return -plan.error;
    int rc = real_driver->step(st);
    return is_commit && strikes(COMMIT_HAPPENED) ? -plan.error : rc;
}

static void open_store(struct fixture *f)
{
    static struct database_driver driver;
    plan.sync_failed = plan.cut_fails = false;
    fixture_open(f);
    real_driver = f->store->db->driver;
    driver = *real_driver;
    driver.prepare = watching_prepare;
    driver.step = failing_step;
    f->store->db->driver = &driver;
}

/* ---- The run: each step is a batch or several, and returns 0 or the error that its callers would be told ---- */

struct run {
    struct fixture f;
    struct delivery_recipient alice, bob, carol;
    int spool;
};

static int deliver(struct run *r, const struct delivery_recipient *to, size_t count, size_t size, int fd)
{
    static char body[5000];
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)('a' + i % 26);
    struct delivery_recipient recipients[2];
    uint64_t id;
    memcpy(recipients, to, count * sizeof(*to));
    struct delivery d = {.facts = {.received_at = 1700000000000000000u, .summary = span_text("sum")},
                         .recipients = recipients,
                         .recipient_count = count,
                         .body = span_from(body, fd < 0 ? size : 0),
                         .body_fd = fd};
    int rc = store_deliver(r->f.store, &d, &id);
    for (size_t i = 0; rc == 0 && i < count; i++)
        assert_int_equal(recipients[i].outcome, DELIVERY_STORED);
    return rc;
}

static int finish(struct run *r, int rc)
{
    int committed = store_commit(r->f.store);
    /* An operation that failed for its disk takes the batch with it. */
    if (rc != 0)
        assert_int_not_equal(committed, 0);
    return committed;
}

static int deliver_many(struct run *r)
{
    const struct delivery_recipient both[] = {r->alice, r->bob};
    int rc = store_begin(r->f.store);
    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < 3; i++)
        rc = deliver(r, both, 2, 400, -1);
    return finish(r, rc);
}

static int deliver_large(struct run *r)
{
    int rc = store_begin(r->f.store);
    if (rc != 0)
        return rc;
    rc = deliver(r, &r->carol, 1, 5000, -1);
    if (rc == 0)
        rc = deliver(r, &r->carol, 1, SPOOLED, r->spool);
    return finish(r, rc);
}

/* Mail for other sites, and a list's post; in the next batch one is done with a report to its sender, one waits. */
static int queue_mail(struct run *r)
{
    struct delivery_recipient recipients[3] = {
        {.kind = DELIVERY_REMOTE, .address = span_text("x@b.test"), .target = span_text("x@b.test")},
        r->bob,
        {.kind = DELIVERY_REMOTE, .address = span_text("y@c.test"), .target = span_text("y@c.test")}};
    recipients[1].notify = NOTIFY_SUCCESS;
    uint64_t id;
    struct delivery d = {.facts = {.received_at = 1700000000000000000u,
                                   .sender_account_id = r->bob.account_id,
                                   .reverse_path = span_text("bob@example.test")},
                         .recipients = recipients,
                         .recipient_count = 3,
                         .body = span_text("Subject: out\r\n\r\n"),
                         .body_fd = -1};
    int rc = store_begin(r->f.store);
    if (rc != 0)
        return rc;
    rc = store_deliver(r->f.store, &d, &id);
    return finish(r, rc);
}

static int queue_report(struct run *r)
{
    uint64_t id, oldest = 0;
    struct delivery_recipient to = r->bob;
    int rc = store_begin(r->f.store);
    if (rc != 0)
        return rc;
    rc = database_find(r->f.store->db, &oldest, "SELECT message_id FROM queue ORDER BY message_id LIMIT 1", "");
    struct delivery_result results[] = {{oldest, 1, DELIVERY_DONE, 0, {NULL, 0}},
                                        {oldest, 2, DELIVERY_WARNED, 1800000000000000000u, span_text("450 later")}};
    struct delivery d = {.recipients = &to,
                         .recipient_count = 1,
                         .results = results,
                         .result_count = 2,
                         .body = span_text("Subject: failed\r\n\r\n"),
                         .body_fd = -1};
    rc = rc < 0 ? store_fail(r->f.store, rc) : store_deliver(r->f.store, &d, &id);
    return finish(r, rc);
}

static int queue_hold(struct run *r)
{
    struct queue_page page = {0};
    uint64_t changed;
    int rc = store_begin(r->f.store);
    if (rc != 0)
        return rc;
    rc =
        queue_change(r->f.store, &(struct queue_choice){.match = span_text("@c.test")}, QUEUE_DO_HOLD, &page, &changed);
    return finish(r, rc);
}

static int expunge(struct run *r)
{
    uint32_t expunged;
    int rc = store_begin(r->f.store);
    if (rc != 0)
        return rc;
    rc = store_expunge(r->f.store, r->alice.account_id, r->alice.mailbox_id, (uint32_t[]){1, 2, 3}, 3, &expunged);
    if (rc == 0)
        rc = store_expunge(r->f.store, r->bob.account_id, r->bob.mailbox_id, (uint32_t[]){1, 2}, 2, &expunged);
    if (rc == 0)
        rc = store_expunge(r->f.store, r->carol.account_id, r->carol.mailbox_id, (uint32_t[]){1}, 1, &expunged);
    return finish(r, rc);
}

static int flags(struct run *r)
{
    int rc = store_begin(r->f.store);
    if (rc != 0)
        return rc;
    rc = store_set_flags(r->f.store, r->bob.mailbox_id, 3, FLAG_SEEN);
    return finish(r, rc);
}

static int change(struct run *r, enum change_kind kind)
{
    struct credential_facts credential = {span_text("crypt"), span_text("$y$x")};
    struct change c = {
        .kind = kind, .subject = span_text("dora@example.test"), .credentials = &credential, .credential_count = 1};
    struct buf problem;
    uint64_t id;
    int rc = store_begin(r->f.store);
    if (rc != 0)
        return rc;
    buf_init(&problem, 4096);
    rc = store_change(r->f.store, &c, &id, &problem);
    if (rc == 0 && problem.size)
        fail_msg("change: %.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    return finish(r, rc);
}

static int account_add(struct run *r)
{
    return change(r, CHANGE_ACCOUNT_ADD);
}

static int account_remove(struct run *r)
{
    return change(r, CHANGE_ACCOUNT_REMOVE);
}

static int compact(struct run *r)
{
    int rc = compaction_start(r->f.store, 1);
    while (rc > 0 && (rc = compaction_step(r->f.store)) >= 0)
        rc = rc > 0 ? rc : compaction_start(r->f.store, 1);
    if (rc < 0)
        compaction_free(r->f.store);
    return rc;
}

static int restart(struct run *r)
{
    struct buf problem;
    buf_init(&problem, 4096);
    fixture_close(&r->f);
    plan.sync_failed = false;
    struct store *s = store_open(&r->f.settings, &problem);
    assert_true(s || problem.size > 0);
    buf_release(&problem);
    store_close(s);
    plan.armed = false;
    open_store(&r->f);
    plan.armed = true;
    return 0;
}

static int (*const steps[])(struct run *) = {queue_mail,   deliver_many,   deliver_large, queue_report, queue_hold,
                                             expunge,      flags,          restart,       compact,      account_add,
                                             deliver_many, account_remove, queue_mail,    compact,      restart};

static void list(struct run *r, struct buf *out)
{
    plan.armed = false;
    fixture_list(&r->f, out);
    plan.armed = true;
}

/* One step, again after an error: of what failed nothing has happened, unless a commit that happened was called failed.
 */
static void perform(struct run *r, int (*step)(struct run *), struct buf *before, struct buf *after)
{
    list(r, before);
    for (int attempt = 0; attempt < 3; attempt++) {
        enum fault kind = plan.kind;
        int rc = step(r);
        if (rc == 0)
            return;
        assert_int_equal(plan.countdown, 0);
        if (rc != -plan.error)
            fail_msg("error %d and not %d", rc, -plan.error);
        bool must_stop = kind == SYNC_FAILS || kind == COMMIT_HAPPENED || kind == CUT_FAILS;
        assert_true(r->f.store->broken || !must_stop);
        if (r->f.store->broken) {
            assert_int_equal(store_begin(r->f.store), -EIO);
            plan.armed = false;
            fixture_close(&r->f);
            open_store(&r->f);
        }
        list(r, after);
        if (strcmp(before->data, after->data) != 0) {
            assert_int_equal(kind, COMMIT_HAPPENED);
            return;
        }
    }
    fail_msg("it fails again and again");
}

static void verify(struct fixture *f, struct buf *before, struct buf *after, bool rebuilds)
{
    struct store_check_report check;
    struct store_rebuild_report rebuild;
    struct buf problem;
    buf_init(&problem, 4096);
    assert_int_equal(store_check(f->directory, &check, NULL, NULL), 0);
    if (check.problems)
        fail_msg("check: %.*s", SPAN_ARG(buf_span(&check.text)));
    buf_release(&check.text);
    if (!rebuilds)
        return;
    fixture_list(f, before);
    fixture_close(f);
    assert_int_equal(store_rebuild(f->directory, &rebuild, NULL, NULL, &problem), 0);
    buf_release(&problem);
    fixture_open(f);
    fixture_list(f, after);
    assert_string_equal(before->data, after->data);
}

/* True when the fault struck. */
static bool run_with(enum fault kind, unsigned k, int error)
{
    struct run r;
    struct buf before, after;
    buf_init(&before, 1 << 20);
    buf_init(&after, 1 << 20);
    memset(&plan, 0, sizeof(plan));
    /* Hundreds of stores that make their own disk's failures need no disk. */
    fixture_start_in(&r.f, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    r.alice = fixture_recipient(&r.f, "alice@example.test");
    r.bob = fixture_recipient(&r.f, "bob@example.test");
    r.carol = fixture_recipient(&r.f, "carol@example.test");
    r.spool = store_spool(r.f.store);
    assert_true(r.spool >= 0);
    assert_int_equal(ftruncate(r.spool, SPOOLED), 0);
    fixture_close(&r.f);
    r.f.settings.store.volume_size = VOLUME_SIZE;
    open_store(&r.f);
    plan.kind = kind;
    plan.countdown = k;
    plan.error = error;
    plan.armed = true;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        perform(&r, steps[i], &before, &after);
    bool struck = plan.countdown == 0;
    plan.armed = false;
    assert_int_equal(fixture_count(&r.f, "SELECT COUNT(*) FROM entry"), 11);
    /* Statements are many, and the volumes do not know which of them failed. */
    verify(&r.f, &before, &after, kind != STEP_FAILS || k % 16 == 0);
    assert_int_equal(fixture_count(&r.f, "SELECT COUNT(*) FROM entry"), 11);
    assert_int_equal(fixture_count(&r.f, "SELECT COUNT(*) FROM queue"), 5);
    assert_int_equal(fixture_count(&r.f, "SELECT COUNT(*) FROM queue WHERE state = 1"), 1);
    close(r.spool);
    buf_release(&before);
    buf_release(&after);
    fixture_stop(&r.f);
    return struck;
}

static void each_place(enum fault kind, int error, unsigned at_least)
{
    unsigned k = 1;
    while (run_with(kind, k, error))
        k++;
    assert_true(k > at_least);
}

static void writes(void **state)
{
    each_place(WRITE_FAILS, EIO, 10);
    each_place(WRITE_FAILS, ENOSPC, 10);
}

static void short_writes(void **state)
{
    each_place(WRITE_IS_SHORT, ENOSPC, 10);
}

static void cuts(void **state)
{
    each_place(CUT_FAILS, EIO, 10);
}

static void syncs(void **state)
{
    each_place(SYNC_FAILS, EIO, 10);
}

static void statements(void **state)
{
    each_place(STEP_FAILS, ENOSPC, 100);
}

static void commits_in_doubt(void **state)
{
    each_place(COMMIT_HAPPENED, EIO, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes), cmocka_unit_test(short_writes), cmocka_unit_test(cuts),
        cmocka_unit_test(syncs),  cmocka_unit_test(statements),   cmocka_unit_test(commits_in_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
