#include "base/log.h"
#include "store/check_pages.h"
#include "store/checksum_vfs.h"
#include "store/schema.h"
#include "store/sqlite.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/ostiary-checksum-XXXXXX", path[64], other[64];

static int set_up(void **state)
{
    /* Each page that is found is told. */
    log_open(LOG_TO_FD, open("/dev/null", O_WRONLY));
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/a.db", directory);
    snprintf(other, sizeof other, "%s/b.db", directory);
    return 0;
}

static void forget(const char *file)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", file, ends[i]);
        unlink(name);
    }
}

static int tear_down(void **state)
{
    forget(path);
    forget(other);
    return rmdir(directory);
}

static struct database *open_it(const char *file, enum database_mode mode)
{
    struct buf problem;
    buf_init(&problem, 4096);
    struct database *db = database_open(file, mode, &problem);
    if (!db)
        fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    return db;
}

static void fill(struct database *db, unsigned rows)
{
    assert_int_equal(database_script(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, x BIGINT, text TEXT)"), 0);
    assert_int_equal(database_begin(db), 0);
    for (uint64_t i = 0; i < rows; i++)
        assert_int_equal(
            database_run(db, "INSERT INTO t VALUES ($1, $2, printf('%.*c', 1 + $1 % 9000, 'x'))", "uu", i, i * i), 0);
    assert_int_equal(database_commit(db), 0);
}

static uint64_t sum(struct database *db)
{
    uint64_t all = 0;
    assert_int_equal(database_find(db, &all, "SELECT SUM(x + length(text)) FROM t", ""), 1);
    return all;
}

static struct check_pages look(const char *file)
{
    static struct check_pages pages;
    assert_int_equal(check_pages(file, &pages), 0);
    return pages;
}

static void flip(const char *file, uint64_t offset, unsigned bit)
{
    unsigned char byte;
    int fd = open(file, O_RDWR);
    assert_true(fd >= 0 && pread(fd, &byte, 1, (off_t)offset) == 1);
    byte ^= (unsigned char)(1u << bit);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static void make(enum database_mode mode, unsigned rows)
{
    forget(path);
    struct database *db = open_it(path, mode);
    fill(db, rows);
    assert_int_equal(database_close(db), 0);
}

/* Every page of what is made, in each mode, and after changes. */
static void test_all_have_one(void **state)
{
    static const enum database_mode modes[] = {DATABASE_WRITE, DATABASE_REBUILD};
    for (size_t i = 0; i < 2; i++) {
        make(modes[i], 3000);
        struct check_pages pages = look(path);
        assert_true(pages.have_checksums && pages.pages > 1000 && pages.damaged == 0);
        struct database *db = open_it(path, DATABASE_WRITE);
        uint64_t before = sum(db);
        assert_int_equal(database_script(db,
                                         "DELETE FROM t WHERE id % 3 = 0; UPDATE t SET text = text || 'yy' WHERE id "
                                         "% 7 = 1; CREATE INDEX i ON t (x)"),
                         0);
        assert_true(sum(db) < before);
        assert_int_equal(database_checkpoint(db), 0);
        assert_int_equal(database_close(db), 0);
        assert_int_equal(look(path).damaged, 0);
    }
}

/* One bit anywhere in a page that is in use: reading fails, and the page is named. */
static void test_flipped(void **state)
{
    make(DATABASE_WRITE, 300);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    struct database *db = open_it(path, DATABASE_READ);
    uint64_t whole = sum(db), found = 0, flips = 0;
    database_close(db);
    for (uint64_t offset = 17; offset < (uint64_t)st.st_size; offset += 1009) {
        uint64_t now = 0;
        flip(path, offset, (unsigned)(offset % 8));
        struct check_pages pages = look(path);
        if (offset >= 18) {
            assert_int_equal(pages.damaged, 1);
            assert_int_equal(pages.numbers[0], offset / 4096 + 1);
        }
        struct buf problem;
        buf_init(&problem, 4096);
        db = database_open(path, DATABASE_READ, &problem);
        int rc = db ? database_find(db, &now, "SELECT SUM(x + length(text)) FROM t", "") : -1;
        assert_true(rc < 0 || now == whole);
        found += rc < 0;
        flips++;
        buf_release(&problem);
        database_close(db);
        flip(path, offset, (unsigned)(offset % 8));
    }
    assert_true(found > flips * 9 / 10);
    assert_int_equal(look(path).damaged, 0);
    /* The byte that says that there are checksums. */
    flip(path, 20, 3);
    assert_int_equal(look(path).damaged, 1);
    flip(path, 20, 3);
    /* Two pages that changed places. */
    char pages[2][4096];
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, pages, sizeof pages, 4096), sizeof pages);
    assert_int_equal(pwrite(fd, pages[1], 4096, 4096) + pwrite(fd, pages[0], 4096, 8192), 8192);
    close(fd);
    assert_int_equal(look(path).damaged, 2);
}

/* A disk that lost a page may give zeros for it. Each page is damaged then, that of a long value's end among them,
 * which would read as so many NULs. */
static void test_zeroed(void **state)
{
    char page[4096];
    static const char zeros[4096];
    make(DATABASE_WRITE, 1000);
    /* Pages that were freed are none the worse for it: also those that were never in use between two
     * transactions. */
    struct database *db = open_it(path, DATABASE_WRITE);
    uint64_t whole = 0, now = 0;
    assert_int_equal(database_begin(db), 0);
    assert_int_equal(database_script(db, "CREATE TABLE u (id INTEGER PRIMARY KEY, text TEXT)"), 0);
    assert_int_equal(database_script(db, "INSERT INTO u SELECT id, text FROM t"), 0);
    assert_int_equal(database_script(db, "INSERT INTO t VALUES (5000, 1, printf('%.*c', 9000, 'x'))"), 0);
    assert_int_equal(database_script(db, "DROP TABLE u"), 0);
    assert_int_equal(database_commit(db), 0);
    assert_int_equal(database_checkpoint(db), 0);
    whole = sum(db);
    assert_int_equal(database_close(db), 0);
    uint64_t count = look(path).pages;
    assert_true(count > 200 && look(path).damaged == 0);
    for (uint64_t number = 2; number <= count; number++) {
        off_t at = (off_t)(number - 1) * 4096;
        int fd = open(path, O_RDWR);
        assert_int_equal(pread(fd, page, sizeof page, at), sizeof page);
        assert_int_equal(pwrite(fd, zeros, sizeof zeros, at), sizeof zeros);
        struct check_pages pages = look(path);
        assert_true(pages.damaged == 1 && pages.numbers[0] == number);
        db = open_it(path, DATABASE_READ);
        int rc = database_find(db, &now, "SELECT SUM(x + length(replace(text, 'y', 'z'))) FROM t", "");
        assert_true(rc < 0 || now == whole);
        database_close(db);
        assert_int_equal(pwrite(fd, page, sizeof page, at), sizeof page);
        close(fd);
    }
    /* Behind its end, as a checkpoint that was cut off may leave it. */
    assert_int_equal(truncate(path, (off_t)(count + 1) * 4096), 0);
    assert_int_equal(look(path).damaged, 0);
}

static void make_old(void)
{
    sqlite3 *old;
    forget(path);
    assert_int_equal(sqlite3_open(path, &old), SQLITE_OK);
    assert_int_equal(sqlite3_exec(old,
                                  "CREATE TABLE t (id INTEGER PRIMARY KEY, x BIGINT, text TEXT);"
                                  "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 2000)"
                                  " INSERT INTO t SELECT i, i * i, printf('%.*c', 1 + i % 5000, 'x') FROM n",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(old);
}

/* What an older program made is read and written as ever, until it is renewed. */
static void test_older(void **state)
{
    bool is_done;
    make_old();
    struct database *db = open_it(path, DATABASE_WRITE);
    uint64_t before = sum(db);
    assert_int_equal(database_run(db, "INSERT INTO t VALUES (9999, 1, '')", ""), 0);
    assert_int_equal(database_checkpoint(db), 0);
    assert_false(look(path).have_checksums);
    assert_int_equal(sum(db), before + 1);
    assert_int_equal(db->driver->renew(db, &is_done), 0);
    assert_true(is_done);
    assert_int_equal(sum(db), before + 1);
    database_close(db);
    struct check_pages pages = look(path);
    assert_true(pages.have_checksums && pages.damaged == 0 && pages.pages > 100);
    db = open_it(path, DATABASE_READ);
    assert_int_equal(sum(db), before + 1);
    database_close(db);
}

static void test_copies(void **state)
{
    for (int is_old = 0; is_old < 2; is_old++) {
        struct buf problem;
        buf_init(&problem, 1000);
        forget(other);
        if (is_old)
            make_old();
        else
            make(DATABASE_WRITE, 500);
        struct database *db = open_it(path, DATABASE_READ);
        assert_int_equal(database_begin_read(db), 0);
        uint64_t before = sum(db);
        assert_int_equal(db->driver->copy(db, other, &problem), 0);
        assert_int_equal(database_commit(db), 0);
        database_close(db);
        assert_int_equal(look(other).have_checksums, !is_old);
        assert_int_equal(look(other).damaged, 0);
        db = open_it(other, DATABASE_WRITE);
        assert_int_equal(sum(db), before);
        database_close(db);
        buf_release(&problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_have_one), cmocka_unit_test(test_flipped), cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_older),        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
