/* Transactions and their ends, also without memory. */
#include "base/log.h"
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/ostiary-database-XXXXXX", path[64];

static struct database *open_it(enum database_mode mode)
{
    struct buf problem;
    buf_init(&problem, 4096);
    struct database *db = database_open(path, mode, &problem);
    if (!db)
        fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    return db;
}

static int set_up(void **state)
{
    log_open(LOG_TO_FD, open("/dev/null", O_WRONLY));
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/a.db", directory);
    struct database *db = open_it(DATABASE_WRITE);
    return database_script(db, "CREATE TABLE t (n INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)") ||
           database_close(db);
}

static int tear_down(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
    return rmdir(directory);
}

static uint64_t count(struct database *db)
{
    uint64_t n = 0;
    assert_int_equal(database_find(db, &n, "SELECT COUNT(*) FROM t", ""), 1);
    return n;
}

static void memory_ends(void)
{
    sqlite3_hard_heap_limit64(1);
}

static void memory_is_back(void)
{
    sqlite3_hard_heap_limit64(0);
}

/* The first one of each connection, too: a statement that were only made now would find no memory. */
static void test_an_end_needs_no_memory(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        struct database *db = open_it(DATABASE_READ), *writer = open_it(DATABASE_WRITE);
        assert_int_equal(database_begin_read(db), 0);
        uint64_t before = count(db);
        memory_ends();
        if (way)
            database_rollback(db);
        else
            assert_int_equal(database_commit(db), 0);
        assert_int_equal(database_run(db, way ? "SELECT 1" : "SELECT 2", ""), -EIO); /* it has ended indeed */
        memory_is_back();
        assert_int_equal(database_begin(writer), 0);
        assert_int_equal(database_run(writer, "INSERT INTO t (n) VALUES (NULL)", ""), 0);
        assert_int_equal(database_commit(writer), 0);
        assert_int_equal(count(db), before + 1);
        assert_int_equal(database_close(db), 0);
        assert_int_equal(database_close(writer), 0);
    }
}

/* Whatever left it open: the next one begins, and reads what is there now. */
static void test_what_was_left_open_is_ended(void **state)
{
    (void)state;
    for (int way = 0; way < 2; way++) {
        struct database *db = open_it(DATABASE_READ), *writer = open_it(DATABASE_WRITE);
        assert_int_equal(database_begin_read(db), 0);
        uint64_t before = count(db);
        assert_int_equal(way ? database_begin(writer) : database_begin_unsynced(writer), 0);
        assert_int_equal(database_run(writer, "INSERT INTO t (n) VALUES (NULL)", ""), 0);
        assert_int_equal(database_begin(writer), 0); /* undone: it was never committed */
        assert_int_equal(database_run(writer, "INSERT INTO t (n) VALUES (NULL)", ""), 0);
        assert_int_equal(database_commit(writer), 0);
        assert_int_equal(count(db), before);
        if (way)
            assert_int_equal(database_begin_read(db), 0);
        else
            assert_int_equal(database_settle(db), 0);
        assert_int_equal(count(db), before + 1);
        assert_int_equal(database_settle(writer), 0);
        assert_int_equal(database_close(db), 0);
        assert_int_equal(database_close(writer), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_end_needs_no_memory),
        cmocka_unit_test(test_what_was_left_open_is_ended),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
