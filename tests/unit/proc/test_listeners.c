#include "proc/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static uint16_t port_of(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

/* A port that was free a moment ago: bound, asked, closed. */
static uint16_t free_port(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    uint16_t port = port_of(fd);
    close(fd);
    return port;
}

static void test_update(void **state)
{
    struct listener_setting rows[3] = {{SERVICE_SMTP, "127.0.0.1", free_port()},
                                       {SERVICE_POP3, "127.0.0.1", free_port()},
                                       {SERVICE_SUBMISSION, "127.0.0.1", 0}};
    struct settings settings = {.listeners = rows, .listener_count = 2};
    struct listeners l;
    struct buf problem;
    buf_init(&problem, 1000);
    listeners_init(&l);
    assert_int_equal(listeners_update(&l, &settings, &problem), 0);
    assert_int_equal(l.count, 2);
    int smtp = l.rows[0].fd, pop3 = l.rows[1].fd;
    assert_int_equal(port_of(smtp), rows[0].port);
    /* One goes, one comes, one stays the very same socket. */
    rows[0] = rows[1];
    rows[1] = (struct listener_setting){SERVICE_SUBMISSION, "127.0.0.1", free_port()};
    assert_int_equal(listeners_update(&l, &settings, &problem), 0);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.rows[0].fd, pop3);
    assert_int_equal(port_of(l.rows[1].fd), rows[1].port);
    /* A port that is taken: a sentence, and nothing has changed. */
    int other = l.rows[1].fd;
    struct listeners foreign;
    listeners_init(&foreign);
    rows[2].port = free_port();
    struct settings theirs = {.listeners = &rows[2], .listener_count = 1};
    assert_int_equal(listeners_update(&foreign, &theirs, &problem), 0);
    settings.listener_count = 3;
    assert_int_equal(listeners_update(&l, &settings, &problem), -EADDRINUSE);
    buf_add_char(&problem, 0);
    assert_non_null(strstr(problem.data, "submission on 127.0.0.1 port"));
    assert_non_null(strstr(problem.data, "another program has the port"));
    assert_int_equal(l.count, 2);
    assert_int_equal(l.rows[0].fd, pop3);
    assert_int_equal(l.rows[1].fd, other);
    assert_int_equal(port_of(other), rows[1].port);
    listeners_close(&foreign);
    listeners_close(&l);
    assert_int_equal(l.count, 0);
    buf_release(&problem);
}

static void test_bad_address(void **state)
{
    struct listener_setting row = {SERVICE_SMTP, "192.0.2.1", 2525};
    struct settings settings = {.listeners = &row, .listener_count = 1};
    struct listeners l;
    struct buf problem;
    buf_init(&problem, 1000);
    listeners_init(&l);
    assert_int_equal(listeners_update(&l, &settings, &problem), -EADDRNOTAVAIL);
    row.address = "nonsense";
    assert_int_equal(listeners_update(&l, &settings, &problem), -EINVAL);
    assert_int_equal(l.count, 0);
    buf_release(&problem);
}

static void test_control_socket(void **state)
{
    char directory[] = "/tmp/ostiary-control-XXXXXX", path[256], long_path[300];
    struct buf problem;
    struct stat status;
    buf_init(&problem, 1000);
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/control.sock", directory);
    int fd = control_socket_open(directory, "control.sock", false, 0, 0, &problem);
    assert_true(fd >= 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(control_socket_open(directory, "control.sock", false, 0, 0, &problem), -EBUSY);
    close(fd);
    fd = control_socket_open(directory, "control.sock", false, 0, 0, &problem); /* left behind by one that was killed */
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    memset(long_path, 'x', sizeof long_path - 1);
    long_path[sizeof long_path - 1] = 0;
    assert_int_equal(control_socket_open(long_path, "control.sock", false, 0, 0, &problem), -ENAMETOOLONG);
    rmdir(directory);
    buf_release(&problem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_update),
        cmocka_unit_test(test_bad_address),
        cmocka_unit_test(test_control_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
