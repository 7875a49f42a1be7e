/* A reader beside the writer: messages move, and descriptors run out. */
#include "fixture.h"

#include "store/compact.h"
#include "store/view.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#define VOLUME_SIZE 20000
#define MANY 12       /* messages, more than a volume holds */
#define TURNS_MAX 600 /* of reading: more than twice as many as until a view lets go of removed files */

static char body[4000];

static void start(struct fixture *f, struct view *v)
{
    struct buf problem;
    buf_init(&problem, 4096);
    fixture_start(f);
    f->settings.store.volume_size = VOLUME_SIZE;
    f->settings.store.compress_from = 0;
    snprintf(body, sizeof(body), "Subject: x\r\n\r\n%03900d\r\n", 0);
    if (view_open(v, f->directory, &problem) != 0)
        fail_msg("view_open: %.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
}

static void stop(struct fixture *f, struct view *v)
{
    view_release(v);
    fixture_stop(f);
}

static int read_one(struct view *v, const struct view_message *m, uint32_t most)
{
    struct span facts;
    struct buf out;
    buf_init(&out, 1 << 20);
    int rc = view_message_read(v, m, 0, most, &facts, &out);
    if (rc == 0)
        assert_true(span_equal(buf_span(&out), span_head(span_text(body), most)));
    buf_release(&out);
    return rc;
}

/* One more turn of the view. */
static void fetch_one(struct fixture *f, struct view *v, uint32_t uid)
{
    struct piece piece;
    struct buf out;
    size_t count = 1;
    buf_init(&out, 1 << 20);
    uint64_t mailbox = fixture_recipient(f, "alice@example.test").mailbox_id;
    assert_int_equal(view_fetch(v, mailbox, &uid, 1, 0, FETCH_MAX, &piece, &count, &out), 0);
    assert_true(count == 1 && !piece.gone && span_is(buf_span(&out), body));
    buf_release(&out);
}

/* All but the first are deleted, and what is left moves to another volume. */
static void move(struct fixture *f)
{
    uint32_t uids[MANY - 1];
    for (uint32_t i = 0; i < MANY - 1; i++)
        uids[i] = i + 2;
    assert_int_equal(fixture_expunge(f, "alice@example.test", uids, MANY - 1), MANY - 1);
    int rc = compaction_start(f->store, 1);
    while (rc > 0 && (rc = compaction_step(f->store)) >= 0)
        rc = rc > 0 ? rc : compaction_start(f->store, 1);
    assert_int_equal(rc, 0);
}

/* The reader looks up where a message lies; the writer moves it and removes the volume; the reader reads. It may still
 * have the file, or let go of it at that very moment: either way nothing is damaged. */
static void moved_between_look_up_and_reading(void **state)
{
    for (unsigned i = 0; i < 4; i++) {
        const uint32_t most = i & 1 ? 100 : FETCH_MAX; /* a piece, or all of it */
        struct fixture f;
        struct view v;
        struct view_message before, after;
        start(&f, &v);
        uint64_t id = fixture_mail(&f, "alice@example.test", body);
        for (unsigned n = 1; n < MANY; n++)
            fixture_mail(&f, "alice@example.test", body);
        assert_int_equal(view_message_find(&v, id, &before), 1);
        assert_int_equal(read_one(&v, &before, most), 0);
        if (i & 2)
            fetch_one(&f, &v, 1);
        move(&f);
        int rc = 0;
        for (unsigned n = 0; rc == 0 && n < TURNS_MAX; n++)
            rc = read_one(&v, &before, most);
        assert_int_equal(rc, -EAGAIN);
        assert_int_equal(view_message_find(&v, id, &after), 1);
        assert_int_not_equal(after.volume, before.volume);
        assert_int_equal(read_one(&v, &after, most), 0);
        fetch_one(&f, &v, 1);
        stop(&f, &v);
    }
}

/* What is ours to mend is no damage of the message. */
static void no_descriptor_is_no_damage(void **state)
{
    struct fixture f;
    struct view v;
    struct view_message m;
    struct piece piece;
    struct rlimit limit, none;
    struct buf out;
    uint32_t uid = 1;
    size_t count = 1;
    start(&f, &v);
    buf_init(&out, 1 << 20);
    uint64_t id = fixture_mail(&f, "alice@example.test", body);
    uint64_t mailbox = fixture_recipient(&f, "alice@example.test").mailbox_id;
    assert_int_equal(view_message_find(&v, id, &m), 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){1, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int read = read_one(&v, &m, FETCH_MAX);
    int fetched = view_fetch(&v, mailbox, &uid, 1, 0, FETCH_MAX, &piece, &count, &out);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(read, -EMFILE);
    assert_int_equal(fetched, -EMFILE);
    assert_int_equal(read_one(&v, &m, FETCH_MAX), 0);
    fetch_one(&f, &v, 1);
    buf_release(&out);
    stop(&f, &v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moved_between_look_up_and_reading),
        cmocka_unit_test(no_descriptor_is_no_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
