#include "proc/log_file.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY (86400 * NANOSECONDS)
#define TODAY (20000 * DAY + DAY / 2)

static char directory[] = "/tmp/ostiary-log-XXXXXX";

static const char *path_of(const char *suffix)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/log%s", directory, suffix);
    return path;
}

/* What the file says, "" when it is empty, NULL when there is none. */
static const char *content(const char *suffix)
{
    static char text[4096];
    int fd = open(path_of(suffix), O_RDONLY);
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static struct log_file open_log(struct settings *settings)
{
    struct log_file f;
    struct buf problem;
    buf_init(&problem, 1000);
    log_file_init(&f);
    assert_int_equal(log_file_open(&f, settings, &problem), 0);
    buf_release(&problem);
    return f;
}

static void say(const char *text)
{
    log_write(LOG_MAJOR, "test", NULL, "%s", text);
    log_flush();
}

static struct settings make_settings(unsigned keep, uint64_t rotate_size)
{
    static char path[256];
    snprintf(path, sizeof path, "%s", path_of(""));
    return (struct settings){.log = {.target = path, .level = LOG_LOW, .rotate_size = rotate_size, .keep = keep}};
}

static void remove_all(void)
{
    static const char *const suffixes[] = {"", ".1", ".2", ".3", ".4"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        unlink(path_of(suffixes[i]));
}

static void test_by_size(void **state)
{
    struct settings settings = make_settings(2, 10);
    struct log_file f = open_log(&settings);
    f.day = TODAY / DAY;
    assert_false(log_file_rotate(&f, TODAY)); /* empty */
    static const char *const words[] = {"first", "second", "third"};
    for (size_t i = 0; i < 3; i++) {
        say(words[i]);
        assert_true(log_file_rotate(&f, TODAY));
    }
    say("fourth");
    assert_non_null(strstr(content(""), "fourth"));
    assert_non_null(strstr(content(".1"), "third"));
    assert_non_null(strstr(content(".2"), "second"));
    assert_null(content(".3")); /* keep is 2: the first is gone */
    struct stat status;
    assert_int_equal(stat(path_of(""), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    log_file_close(&f);
    remove_all();
}

static void test_by_day(void **state)
{
    struct settings settings = make_settings(3, 0);
    struct log_file f = open_log(&settings);
    f.day = TODAY / DAY;
    say("monday");
    assert_false(log_file_rotate(&f, TODAY + DAY / 4));
    assert_true(log_file_rotate(&f, TODAY + DAY));
    say("tuesday");
    assert_false(log_file_rotate(&f, TODAY + DAY + 1));
    assert_non_null(strstr(content(".1"), "monday"));
    assert_non_null(strstr(content(""), "tuesday"));
    log_file_close(&f);
    remove_all();
}

/* What was written while the machine's clock was ahead is today's. */
static void test_a_line_of_the_future(void **state)
{
    struct settings settings = make_settings(3, 0);
    struct log_file f = open_log(&settings);
    say("too early");
    uint64_t now = clock_steady();
    const struct timespec ahead = {.tv_sec = (time_t)(now / NANOSECONDS) + 10 * 86400};
    assert_int_equal(futimens(f.fd, (const struct timespec[]){ahead, ahead}), 0);
    log_file_close(&f);
    f = open_log(&settings);
    assert_true(log_file_rotate(&f, now + 2 * DAY));
    log_file_close(&f);
    remove_all();
}

static void test_keeps_none(void **state)
{
    struct settings settings = make_settings(0, 1);
    struct log_file f = open_log(&settings);
    f.day = TODAY / DAY;
    say("gone");
    assert_true(log_file_rotate(&f, TODAY));
    assert_string_equal(content(""), "");
    assert_null(content(".1"));
    log_file_close(&f);
    remove_all();
}

/* Another process that still has the old descriptor loses nothing: it writes into the renamed file. */
static void test_old_descriptor(void **state)
{
    struct settings settings = make_settings(1, 1);
    struct log_file f = open_log(&settings);
    f.day = TODAY / DAY;
    int old = dup(f.fd);
    say("before");
    assert_true(log_file_rotate(&f, TODAY));
    assert_int_equal(write(old, "late\n", 5), 5);
    close(old);
    assert_non_null(strstr(content(".1"), "late"));
    log_file_close(&f);
    remove_all();
}

static void test_problems(void **state)
{
    struct buf problem;
    struct settings settings = make_settings(1, 1);
    struct log_file f = open_log(&settings);
    int fd = f.fd;
    buf_init(&problem, 1000);
    settings.log.target = "/tmp/no/such/directory/log";
    assert_int_equal(log_file_open(&f, &settings, &problem), -ENOENT);
    assert_true(problem.size > 0);
    assert_int_equal(f.fd, fd); /* all is as before */
    say("still here");
    assert_non_null(strstr(content(""), "still here"));
    buf_release(&problem);
    log_file_close(&f);
    remove_all();
}

static int set_up(void **state)
{
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_size),
        cmocka_unit_test(test_by_day),
        cmocka_unit_test(test_a_line_of_the_future),
        cmocka_unit_test(test_keeps_none),
        cmocka_unit_test(test_old_descriptor),
        cmocka_unit_test(test_problems),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
