#include "proc/data_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static char base[] = "/tmp/ostiary-data-XXXXXX";

static const char *below(const char *name)
{
    static char paths[4][256];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, 256, "%s/%s", base, name);
    return path;
}

static struct stat look(const char *path)
{
    struct stat status;
    assert_int_equal(lstat(path, &status), 0);
    return status;
}

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void test_makes_it(void **state)
{
    struct buf problem;
    buf_init(&problem, 1000);
    assert_int_equal(data_directory_prepare(below("a/b/data"), 0, 0, &problem), 0);
    assert_int_equal(look(below("a/b/data")).st_mode & 07777, 0700);
    assert_int_equal(data_directory_prepare(below("a/b/data"), 0, 0, &problem), 0);
    touch(below("file"));
    assert_int_equal(data_directory_prepare(below("file"), 0, 0, &problem), -ENOTDIR);
    assert_true(problem.size > 0);
    buf_release(&problem);
    unlink(below("file"));
    rmdir(below("a/b/data"));
    rmdir(below("a/b"));
    rmdir(below("a"));
}

/* What commands left there as root goes to the user; what a link leads to does not. */
static void test_gives_it_away(void **state)
{
    if (geteuid() != 0)
        skip();
    struct buf problem;
    buf_init(&problem, 1000);
    assert_int_equal(mkdir(below("data"), 0755), 0);
    assert_int_equal(mkdir(below("data/volumes"), 0700), 0);
    touch(below("data/volumes/0001.vol"));
    touch(below("outside"));
    touch(below("outside2"));
    assert_int_equal(symlink(below("outside"), below("data/link")), 0);
    assert_int_equal(link(below("outside2"), below("data/hard")), 0);
    assert_int_equal(data_directory_prepare(below("data"), NOBODY, NOBODY, &problem), 0);
    assert_int_equal(look(below("data")).st_uid, NOBODY);
    assert_int_equal(look(below("data")).st_mode & 07777, 0700);
    assert_int_equal(look(below("data/volumes")).st_uid, NOBODY);
    assert_int_equal(look(below("data/volumes/0001.vol")).st_gid, NOBODY);
    assert_int_equal(look(below("outside")).st_uid, 0);
    assert_int_equal(look(below("outside2")).st_uid, 0);
    /* One that is somebody else's is not taken away from them. */
    assert_int_equal(chown(below("data"), 12345, 12345), 0);
    assert_int_equal(data_directory_prepare(below("data"), NOBODY, NOBODY, &problem), -EPERM);
    static const char *const names[] = {"data/volumes/0001.vol", "data/link", "data/hard", "outside", "outside2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(below(names[i]));
    rmdir(below("data/volumes"));
    rmdir(below("data"));
    buf_release(&problem);
}

static void test_user(void **state)
{
    uid_t uid = 7;
    gid_t gid = 7;
    struct buf problem;
    buf_init(&problem, 1000);
    if (geteuid() == 0) {
        assert_int_equal(find_user("nobody", &uid, &gid, &problem), 0);
        assert_int_equal(uid, NOBODY);
        assert_int_equal(find_user("root", &uid, &gid, &problem), -EINVAL);
        assert_int_equal(find_user("no-such-user-here", &uid, &gid, &problem), -ENOENT);
        assert_true(problem.size > 0);
    } else {
        assert_int_equal(find_user("no-such-user-here", &uid, &gid, &problem), 0);
        assert_int_equal(uid, 0);
    }
    buf_release(&problem);
}

static int set_up(void **state)
{
    return mkdtemp(base) ? 0 : -1;
}

static int tear_down(void **state)
{
    return rmdir(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_makes_it),
        cmocka_unit_test(test_gives_it_away),
        cmocka_unit_test(test_user),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
