#include "base/clock.h"
#include "policy/session_board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const unsigned char somebody[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 7};

struct pair {
    int fd;
    struct session_board *writer, *reader;
};

static struct pair open_pair(unsigned columns, unsigned slots)
{
    struct pair p = {.fd = session_board_create(columns, slots)};
    assert_true(p.fd >= 0);
    p.writer = session_board_map(p.fd, columns, columns - 1);
    p.reader = session_board_map(p.fd, columns, SESSION_BOARD_READ);
    assert_non_null(p.writer);
    assert_non_null(p.reader);
    assert_int_equal(session_board_columns(p.reader), columns);
    return p;
}

static void close_pair(struct pair *p)
{
    session_board_unmap(p->writer);
    session_board_unmap(p->reader);
    close(p->fd);
}

static unsigned count_all(const struct session_board *b)
{
    unsigned count = 0;
    struct session_view view;
    for (unsigned column = 0; column < session_board_columns(b); column++)
        for (unsigned i = 0; i < session_board_used(b, column); i++)
            count += session_board_read(b, column, i, &view);
    return count;
}

static void test_a_connection(void **state)
{
    struct pair p = open_pair(3, 10);
    struct session_view view;
    assert_int_equal(count_all(p.reader), 0);
    struct session_slot *slot = session_board_begin(p.writer, 4, somebody, span_text("abc-1"), 1234);
    assert_non_null(slot);
    assert_int_equal(session_board_used(p.reader, 2), 1);
    assert_int_equal(session_board_used(p.reader, 0), 0);
    assert_true(session_board_read(p.reader, 2, 0, &view));
    assert_int_equal(view.service, 4);
    assert_int_equal(view.since, 1234);
    assert_memory_equal(view.address, somebody, 16);
    assert_string_equal(view.session, "abc-1");
    assert_string_equal(view.account, "");
    assert_int_equal(view.accepted + view.refused + view.account_id, 0);

    session_note_account(slot, 77, span_text("alice@example.test"));
    session_note_accepted(slot);
    session_note_accepted(slot);
    session_note_refused(slot);
    assert_true(session_board_read(p.reader, 2, 0, &view));
    assert_int_equal(view.account_id, 77);
    assert_string_equal(view.account, "alice@example.test");
    assert_int_equal(view.accepted, 2);
    assert_int_equal(view.refused, 1);

    session_board_end(p.writer, slot);
    assert_false(session_board_read(p.reader, 2, 0, &view));
    /* The next one begins with nothing of the last. */
    assert_ptr_equal(session_board_begin(p.writer, 0, somebody, span_text("abc-2"), 5), slot);
    assert_true(session_board_read(p.reader, 2, 0, &view));
    assert_int_equal(view.accepted + view.refused + view.account_id, 0);
    assert_string_equal(view.account, "");
    close_pair(&p);
}

static void test_full(void **state)
{
    struct pair p = open_pair(1, 5);
    struct session_slot *slots[5];
    for (int i = 0; i < 5; i++)
        assert_non_null(slots[i] = session_board_begin(p.writer, 1, somebody, span_text("s"), 1));
    assert_null(session_board_begin(p.writer, 1, somebody, span_text("s"), 1));
    assert_int_equal(count_all(p.reader), 5);
    session_board_end(p.writer, slots[2]);
    session_board_end(p.writer, slots[0]);
    assert_int_equal(count_all(p.reader), 3);
    assert_non_null(session_board_begin(p.writer, 1, somebody, span_text("s"), 1));
    assert_non_null(session_board_begin(p.writer, 1, somebody, span_text("s"), 1));
    assert_null(session_board_begin(p.writer, 1, somebody, span_text("s"), 1));
    assert_int_equal(count_all(p.reader), 5);
    /* Without a slot, or without a board, nothing is noted. */
    session_note_account(NULL, 1, span_text("x"));
    session_note_accepted(NULL);
    session_note_refused(NULL);
    session_board_end(p.writer, NULL);
    session_board_end(NULL, NULL);
    assert_null(session_board_begin(NULL, 1, somebody, span_text("s"), 1));
    close_pair(&p);
}

static void test_long_texts(void **state)
{
    char text[400];
    memset(text, 'x', sizeof text);
    struct pair p = open_pair(1, 2);
    struct session_slot *slot = session_board_begin(p.writer, 1, somebody, span_from(text, sizeof text), 1);
    session_note_account(slot, 1, span_from(text, sizeof text));
    struct session_view view;
    assert_true(session_board_read(p.reader, 0, 0, &view));
    assert_int_equal(strlen(view.session), SESSION_ID_MAX);
    assert_int_equal(strlen(view.account), SESSION_ACCOUNT_MAX);
    close_pair(&p);
}

/* A process died, in the middle of writing, too. */
static void test_dead_process(void **state)
{
    struct pair p = open_pair(2, 8);
    struct session_board *other = session_board_map(p.fd, 2, 0);
    assert_non_null(session_board_begin(p.writer, 1, somebody, span_text("dead"), 1));
    assert_non_null(session_board_begin(other, 1, somebody, span_text("alive"), 1));
    session_board_clear_column(other, 1);
    assert_int_equal(count_all(p.reader), 1);
    struct session_board *successor = session_board_map(p.fd, 2, 1);
    assert_non_null(session_board_begin(successor, 1, somebody, span_text("new"), 1));
    assert_int_equal(count_all(p.reader), 2);
    session_board_unmap(successor);
    session_board_unmap(other);
    close_pair(&p);
}

/* A process that was taken over fills the whole board with nonsense: readers see nonsense, and nothing worse. */
static void test_nonsense(void **state)
{
    struct pair p = open_pair(2, 50);
    struct stat status;
    assert_int_equal(fstat(p.fd, &status), 0);
    size_t size = (size_t)status.st_size;
    unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, p.fd, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < size; i++)
            memory[i] = round < 3 ? (unsigned char)(round - 1) : (unsigned char)rand();
        for (unsigned column = 0; column < 3; column++) {
            assert_true(session_board_used(p.reader, column) <= 50);
            for (unsigned place = 0; place < 52; place++) {
                struct session_view view;
                if (!session_board_read(p.reader, column, place, &view))
                    continue;
                assert_true(strlen(view.session) <= SESSION_ID_MAX && strlen(view.account) <= SESSION_ACCOUNT_MAX);
                for (const char *c = view.account; *c; c++)
                    assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
            }
        }
    }
    munmap(memory, size);
    close_pair(&p);
}

static void test_what_is_no_board(void **state)
{
    assert_true(session_board_create(0, 10) < 0);
    assert_true(session_board_create(SESSION_BOARD_COLUMNS + 1, 10) < 0);
    assert_true(session_board_create(1, 0) < 0);
    assert_null(session_board_map(-1, 1, SESSION_BOARD_READ));
    int fd = session_board_create(2, 10);
    assert_null(session_board_map(fd, 2, 2));
    assert_null(session_board_map(fd, 0, SESSION_BOARD_READ));
    close(fd);
    fd = memfd_create("empty", MFD_CLOEXEC);
    assert_null(session_board_map(fd, 1, SESSION_BOARD_READ));
    close(fd);
    fd = session_board_create(1, UINT32_MAX);
    assert_true(fd >= 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection), cmocka_unit_test(test_full),     cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_dead_process), cmocka_unit_test(test_nonsense), cmocka_unit_test(test_what_is_no_board),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
