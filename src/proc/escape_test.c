#include "proc/escape_test.h"

#ifdef OSTIARY_TEST_BUILD

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static int outcome(int result)
{
    if (result < 0)
        return errno;
    close(result);
    return 0;
}

static int open_passwd(const char *inside)
{
    return outcome(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int make_file(const char *inside)
{
    char path[512];
    snprintf(path, sizeof path, "%s/escape-test", inside);
    int error = outcome(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!error)
        unlink(path);
    return error;
}

static int read_directory(const char *inside)
{
    return outcome(open(inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_loopback(const char *inside)
{
    struct sockaddr_in address = loopback(9);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
    close(fd);
    return error;
}

static int send_datagram(const char *inside)
{
    struct sockaddr_in address = loopback(9);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = sendto(fd, "", 0, 0, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
    close(fd);
    return error;
}

static int bind_to(uint16_t port, bool and_listen)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int error = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
    if (!error && and_listen)
        error = listen(fd, 1) < 0 ? errno : 0;
    close(fd);
    return error;
}

static int bind_any_port(const char *inside)
{
    return bind_to(0, false);
}

/* Where somebody may be waiting for a service of ours. */
static int bind_known_port(const char *inside)
{
    return bind_to(2525, false);
}

static int listen_for_others(const char *inside)
{
    return bind_to(0, true);
}

/* To daemons of this machine: the bus, the log. */
static int speak_to_neighbours(const char *inside)
{
    return outcome(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
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

static int signal_supervisor(const char *inside)
{
    return kill(getppid(), 0) < 0 ? errno : 0;
}

static int map_code(const char *inside)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return code == MAP_FAILED ? errno : 0;
}

/* A log that is only appended to, made one that can be written over. */
static int change_flags(const char *inside)
{
    return fcntl(STDERR_FILENO, F_SETFL, 0) < 0 ? errno : 0;
}

/* A descriptor that signals another process. */
static int own_by_another(const char *inside)
{
    return fcntl(STDERR_FILENO, F_SETOWN, getppid()) < 0 ? errno : 0;
}

static int look_into_another(const char *inside)
{
    char byte;
    struct iovec to = {&byte, 1}, from = {&byte, 1};
    return process_vm_readv(getppid(), &to, 1, &from, 1, 0) < 0 ? errno : 0;
}

static int trace_another(const char *inside)
{
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0 ? errno : 0;
}

static int use_ring(const char *inside)
{
    return syscall(SYS_io_uring_setup, 1, NULL) < 0 ? errno : 0;
}

static int regain_root(const char *inside)
{
    return setresuid(0, 0, 0) < 0 ? errno : 0;
}

static int limit_itself(const char *inside)
{
    struct rlimit limit = {4096, 4096};
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? errno : 0;
}

static int ask_for_control(const char *inside)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? errno : 0;
}

static int set_alarm(const char *inside)
{
    struct itimerval timer = {.it_value.tv_sec = 600}, none = {.it_value.tv_sec = 0};
    if (setitimer(ITIMER_REAL, &timer, NULL) < 0)
        return errno;
    return setitimer(ITIMER_REAL, &none, NULL) < 0 ? errno : 0;
}

static const struct {
    const char *name;
    int (*attempt)(const char *inside);
} attempts[] = {
    {"open", open_passwd},
    {"make", make_file},
    {"list", read_directory},
    {"connect", connect_loopback},
    {"datagram", send_datagram},
    {"bind", bind_any_port},
    {"port", bind_known_port},
    {"listen", listen_for_others},
    {"unix", speak_to_neighbours},
    {"exec", run_program},
    {"fork", make_process},
    {"signal", signal_supervisor},
    {"code", map_code},
    {"flags", change_flags},
    {"owner", own_by_another},
    {"memory", look_into_another},
    {"trace", trace_another},
    {"ring", use_ring},
    {"root", regain_root},
    {"limits", limit_itself},
    {"dumpable", ask_for_control},
    {"alarm", set_alarm},
};

void escape_test_run(const struct role_row *row, const char *inside)
{
    if (!getenv("OSTIARY_ESCAPE_TEST"))
        return;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        int error = attempts[i].attempt(inside);
        const char *name = error ? strerrorname_np(error) : "none";
        log_write(LOG_FAILURE, "escape", NULL, "attempt role=%s what=%s result=%s", role_name(row->role),
                  attempts[i].name, name ? name : "unknown");
    }
}

#else

void escape_test_run(const struct role_row *row, const char *inside)
{
}

#endif
