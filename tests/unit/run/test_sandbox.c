/* Each attempt runs in a child that entered a sandbox; its exit status is the errno it met. As root every profile is
 * tried twice: with the steps that need root, and without. */
#include "run/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static char directory[] = "/tmp/ostiary-sandbox-XXXXXX";
static int listener = -1, unconnected = -1, shared = -1;
static struct sockaddr_in listener_address;

static int open_outside(const char *inside)
{
    return open("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
}

__attribute__((noinline)) static int in_place(const char *inside, const char *name, char path[256])
{
    return snprintf(path, 256, "%s%s%s", inside, strcmp(inside, "/") ? "/" : "", name);
}

static int open_inside(const char *inside)
{
    char path[256];
    in_place(inside, "file", path);
    return open(path, O_RDONLY) < 0 ? errno : 0;
}

static int write_named(const char *inside)
{
    char path[256];
    in_place(inside, "shared", path);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return errno;
    return ftruncate(fd, 3) < 0 ? errno : 0;
}

static int write_other(const char *inside)
{
    char path[256];
    in_place(inside, "file", path);
    return open(path, O_RDWR) < 0 ? errno : 0;
}

static int make_inside(const char *inside)
{
    char path[256], other[256];
    in_place(inside, "new", path);
    in_place(inside, "newer", other);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return errno;
    if (write(fd, "x", 1) != 1 || fdatasync(fd) < 0)
        return errno;
    /* A log is put aside so. */
    if (renameat(AT_FDCWD, path, AT_FDCWD, other) < 0)
        return errno;
    return unlink(other) < 0 ? errno : 0;
}

static int climb_out(const char *inside)
{
    char path[256];
    in_place(inside, "../../../etc/passwd", path);
    return open(path, O_RDONLY) < 0 ? errno : 0;
}

static int connect_out(const char *inside)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    return connect(fd, (struct sockaddr *)&listener_address, sizeof listener_address) < 0 ? errno : 0;
}

static int bind_port(const char *inside)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (struct sockaddr *)&any, sizeof any) < 0 ? errno : 0;
}

/* A courier's way out: from an address of this machine, not waited for. */
static int connect_from(const char *inside)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int problem = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof problem;
    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
        return errno;
    if (connect(fd, (struct sockaddr *)&listener_address, sizeof listener_address) < 0 && errno != EINPROGRESS)
        return errno;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0 ? errno : problem;
}

/* Nothing comes in by a connecting process. */
static int listen_somewhere(const char *inside)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    return listen(fd, 1) < 0 ? errno : 0;
}

static int unix_socket(const char *inside)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0;
}

static int kernel_socket(const char *inside)
{
    return socket(AF_NETLINK, SOCK_RAW, 0) < 0 ? errno : 0;
}

static int run_program(const char *inside)
{
    char *const arguments[] = {(char *)"true", NULL};
    execve("/bin/true", arguments, NULL);
    return errno;
}

static int make_process(const char *inside)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 ? errno : 0;
}

static int signal_parent(const char *inside)
{
    return kill(getppid(), 0) < 0 ? errno : 0;
}

static int map_code(const char *inside)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
               ? errno
               : 0;
}

/* Descriptors that signal others, and a log that could be written over. */
static int own_by_another(const char *inside)
{
    return fcntl(listener, F_SETOWN, getppid()) < 0 ? errno : 0;
}

static int change_flags(const char *inside)
{
    return fcntl(listener, F_SETFL, 0) < 0 ? errno : 0;
}

static int send_to_address(const char *inside)
{
    struct sockaddr *to = (struct sockaddr *)&listener_address;
    return sendto(unconnected, "x", 1, 0, to, sizeof listener_address) < 0 ? errno : 0;
}

static int connect_by_sending(const char *inside)
{
    struct iovec piece = {(char *)"x", 1};
    struct msghdr message = {
        .msg_name = &listener_address, .msg_namelen = sizeof listener_address, .msg_iov = &piece, .msg_iovlen = 1};
    int flags = MSG_FASTOPEN | MSG_NOSIGNAL;
    if (sendto(unconnected, "x", 1, flags, NULL, 0) >= 0 || errno != EPERM)
        return EINVAL;
    return sendmsg(unconnected, &message, flags) < 0 ? errno : 0;
}

static int use_socket(const char *inside)
{
    int on = 1;
    return setsockopt(unconnected, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0 ? errno : 0;
}

static int set_option(const char *inside)
{
    int on = 1;
    return setsockopt(unconnected, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0 ? errno : 0;
}

static int set_timer(const char *inside)
{
    struct itimerval timer = {.it_value.tv_sec = 600};
    return setitimer(ITIMER_REAL, &timer, NULL) < 0 ? errno : 0;
}

static int signal_by_queue(const char *inside)
{
    return sigqueue(getppid(), 0, (union sigval){0}) < 0 ? errno : 0;
}

static int shorten(const char *inside)
{
    return ftruncate(shared, 0) < 0 ? errno : 0;
}

/* libc's converters of character sets are libraries in files: without them it says that it knows none, and goes on. */
static int load_converter(const char *inside)
{
    return iconv_open("UTF-8", "KOI8-R") == (iconv_t)-1 ? errno : 0;
}

static int accept_one(const char *inside)
{
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK) < 0 ? errno : 0;
}

static int ordinary_work(const char *inside)
{
    char *memory = malloc(1 << 20);
    if (!memory)
        return ENOMEM;
    memset(memory, 1, 1 << 20);
    struct stat status;
    int pair_is_refused = socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0, 0}) < 0;
    if (!pair_is_refused || fstat(STDERR_FILENO, &status) < 0 || memory[77] != 1)
        return EINVAL;
    free(memory);
    return 0;
}

static int tables_of_system(const char *inside)
{
    /* In nobody's list: ends the process. */
    acct(NULL);
    return 0;
}

enum { DEAD = 1000 }; /* ended by SIGSYS */

static const struct {
    const char *name;
    int (*attempt)(const char *inside);
    int none, read, write; /* the errno with SANDBOX_NO_FILES, READ, WRITE */
    int connecting;        /* with SANDBOX_NO_FILES and may_connect */
} rows[] = {
    {"work", ordinary_work, 0, 0, 0, 0},
    {"open outside", open_outside, EPERM, -1, -1, EPERM}, /* -1: EACCES of Landlock or ENOENT of an own root */
    {"open inside", open_inside, EPERM, 0, 0, EPERM},
    {"write the named file", write_named, EPERM, 0, 0, EPERM},
    {"write another file", write_other, EPERM, EACCES, 0, EPERM},
    {"make inside", make_inside, EPERM, EACCES, 0, EPERM},
    {"climb out", climb_out, EPERM, -1, -1, EPERM},
    {"accept", accept_one, EAGAIN, EPERM, EPERM, EPERM}, /* only the first may accept: nobody waits there */
    {"connect", connect_out, EPERM, EPERM, EPERM, 0},
    {"bind", bind_port, EPERM, EPERM, EPERM, 0},
    {"connect from an address", connect_from, EPERM, EPERM, EPERM, 0},
    {"listen", listen_somewhere, EPERM, EPERM, EPERM, EPERM},
    {"a socket of this machine", unix_socket, EPERM, EPERM, EPERM, EPERM},
    {"a socket to the kernel", kernel_socket, EPERM, EPERM, EPERM, EPERM},
    {"exec", run_program, EPERM, EPERM, EPERM, EPERM},
    {"fork", make_process, EPERM, EPERM, EPERM, EPERM},
    {"signal", signal_parent, EPERM, EPERM, EPERM, EPERM},
    {"a timer", set_timer, EPERM, EPERM, EPERM, EPERM}, /* a role of its own may */
    {"map code", map_code, EPERM, EPERM, EPERM, EPERM},
    {"queue a signal", signal_by_queue, EPERM, EPERM, EPERM, EPERM},
    {"owner of a descriptor", own_by_another, EPERM, EPERM, EPERM, EPERM},
    {"flags of a descriptor", change_flags, EPERM, EPERM, EPERM, EPERM},
    {"send to an address", send_to_address, EPERM, EPERM, EPERM, EPERM},
    {"connect by sending", connect_by_sending, EPERM, EPERM, EPERM, EPERM},
    {"an option in use", use_socket, 0, 0, 0, 0},
    {"another option", set_option, DEAD, DEAD, DEAD, DEAD},
    {"shorten", shorten, EPERM, 0, 0, EPERM}, /* a log, by who only appends */
    {"load a converter", load_converter, EINVAL, EINVAL, EINVAL, EINVAL},
    {"unknown call", tables_of_system, DEAD, DEAD, DEAD, DEAD},
};

static int run_attempt(int (*attempt)(const char *), enum sandbox_files files, bool may_connect, bool as_root)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct buf problem;
        buf_init(&problem, 1000);
        if (!as_root && geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
            _exit(250);
        struct sandbox_profile profile = {.files = files,
                                          .directory = directory,
                                          .also_writes = files == SANDBOX_READ ? "shared" : NULL,
                                          .may_accept = files == SANDBOX_NO_FILES && !may_connect,
                                          .may_connect = may_connect,
                                          .uid = NOBODY,
                                          .gid = NOBODY,
                                          .descriptors = 64};
        const char *inside = sandbox_path(&profile);
        if (sandbox_enter(&profile, &problem)) {
            fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(&problem)));
            _exit(251);
        }
        if (geteuid() == 0)
            _exit(252);
        int result = attempt(inside);
        buf_release(&problem);
        _exit(result);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? DEAD : DEAD + 1;
    return WEXITSTATUS(status);
}

static bool is_expected(int expected, int met)
{
    return expected == -1 ? met == EACCES || met == ENOENT : met == expected;
}

static void run_rows(bool as_root)
{
    unsigned wrong = 0;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;)
        close(fd); /* of an earlier run */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const int expected[] = {rows[i].none, rows[i].read, rows[i].write, rows[i].connecting};
        for (int k = 0; k < 4; k++) {
            bool may_connect = k == 3;
            int met = run_attempt(rows[i].attempt, may_connect ? SANDBOX_NO_FILES : (enum sandbox_files)k, may_connect,
                                  as_root);
            if (is_expected(expected[k], met))
                continue;
            print_error("%s, profile %d: expected %d, met %d (%s)\n", rows[i].name, k, expected[k], met, strerror(met));
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_without_root(void **state)
{
    if (!sandbox_landlock_version())
        skip();
    run_rows(false);
}

static void test_with_root(void **state)
{
    if (geteuid() != 0)
        skip();
    run_rows(true);
}

/* As root the profile must name somebody else. */
static void test_refuses_root(void **state)
{
    if (geteuid() != 0)
        skip();
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct buf problem;
        buf_init(&problem, 1000);
        struct sandbox_profile profile = {.directory = directory, .descriptors = 64};
        int error = sandbox_enter(&profile, &problem);
        bool is_told = problem.size > 0;
        buf_release(&problem);
        _exit(error == -EINVAL && is_told ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static int set_up(void **state)
{
    char path[256];
    if (!mkdtemp(directory) || (geteuid() == 0 && chown(directory, NOBODY, NOBODY) < 0))
        return -1;
    static const char *const names[] = {"file", "shared"};
    for (size_t i = 0; i < 2; i++) {
        in_place(directory, names[i], path);
        int fd = open(path, O_CREAT | O_WRONLY, 0644);
        if (fd < 0 || (geteuid() == 0 && fchown(fd, NOBODY, NOBODY) < 0))
            return -1;
        close(fd);
    }
    socklen_t size = sizeof listener_address;
    listener_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&listener_address, size) < 0 || listen(listener, 5) < 0)
        return -1;
    in_place(directory, "shared", path);
    shared = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    unconnected = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (shared < 0 || unconnected < 0)
        return -1;
    return getsockname(listener, (struct sockaddr *)&listener_address, &size);
}

static int tear_down(void **state)
{
    char path[256];
    in_place(directory, "file", path);
    unlink(path);
    in_place(directory, "shared", path);
    unlink(path);
    close(listener);
    close(unconnected);
    close(shared);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_root),
        cmocka_unit_test(test_with_root),
        cmocka_unit_test(test_refuses_root),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
