#include "run/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who may make a call. */
enum {
    ALWAYS = 1,
    ACCEPTING = 2,
    READING = 4, /* files */
    WRITING = 8, /* files; such a process is READING too */
    CONNECTING = 16,
    NOT_READING = 32,
    NOT_CONNECTING = 64,
    ASKING = 128, /* by datagrams */
    NOT_ASKING = 256,
    ALARMED = 512,
};

#define CALL(name, who)       \
    {                         \
        SCMP_SYS(name), (who) \
    }

/* The calls that remain. What is not a row here, nor in `refused`, ends the process. */
static const struct {
    int number;
    unsigned who;
} allowed[] = {
    /* Descriptors it has. */
    CALL(read, ALWAYS),
    CALL(readv, ALWAYS),
    CALL(pread64, ALWAYS),
    CALL(preadv, ALWAYS),
    CALL(write, ALWAYS),
    CALL(writev, ALWAYS),
    CALL(pwrite64, ALWAYS),
    CALL(pwritev, ALWAYS),
    CALL(recvmsg, ALWAYS),
    CALL(recvfrom, ALWAYS),
    CALL(close, ALWAYS),
    CALL(shutdown, ALWAYS),
    CALL(lseek, ALWAYS),
    CALL(_llseek, ALWAYS),
    CALL(fstat, ALWAYS),
    CALL(getsockopt, ALWAYS),
    CALL(getsockname, ALWAYS),
    CALL(getpeername, ALWAYS),
    /* Waiting. */
    CALL(epoll_create1, ALWAYS),
    CALL(epoll_ctl, ALWAYS),
    CALL(epoll_wait, ALWAYS),
    CALL(epoll_pwait, ALWAYS),
    CALL(poll, ALWAYS),
    CALL(ppoll, ALWAYS),
    CALL(clock_nanosleep, ALWAYS),
    CALL(nanosleep, ALWAYS),
    CALL(futex, ALWAYS),
    CALL(restart_syscall, ALWAYS),
    CALL(sched_yield, ALWAYS),
    /* Memory: mmap and mprotect have rows of their own below. */
    CALL(munmap, ALWAYS),
    CALL(mremap, ALWAYS),
    CALL(madvise, ALWAYS),
    CALL(brk, ALWAYS),
    /* Itself. */
    CALL(getrandom, ALWAYS),
    CALL(clock_gettime, ALWAYS),
    CALL(clock_getres, ALWAYS),
    CALL(gettimeofday, ALWAYS),
    CALL(time, ALWAYS),
    CALL(getpid, ALWAYS),
    CALL(gettid, ALWAYS),
    CALL(getppid, ALWAYS),
    CALL(getuid, ALWAYS),
    CALL(geteuid, ALWAYS),
    CALL(getgid, ALWAYS),
    CALL(getegid, ALWAYS),
    CALL(getrusage, ALWAYS),
    CALL(uname, ALWAYS),
    CALL(sysinfo, ALWAYS),
    CALL(rt_sigaction, ALWAYS),
    CALL(rt_sigprocmask, ALWAYS),
    CALL(rt_sigreturn, ALWAYS),
    CALL(sigaltstack, ALWAYS),
    CALL(exit, ALWAYS),
    CALL(exit_group, ALWAYS),
    CALL(membarrier, ALWAYS),
    CALL(sched_getaffinity, ALWAYS),
    CALL(setitimer, ALARMED),
    /* The network, by sockets that others made. */
    CALL(accept4, ACCEPTING),
    CALL(connect, CONNECTING), /* socket() has rows of its own below */
    CALL(bind, CONNECTING),    /* where from: without listen() nothing comes in by it */
    /* Files: Landlock says which. */
    CALL(open, READING),
    CALL(openat, READING),
    CALL(openat2, READING),
    CALL(stat, READING),
    CALL(lstat, READING),
    CALL(newfstatat, READING),
    CALL(statx, READING),
    CALL(statfs, READING),
    CALL(fstatfs, READING),
    CALL(access, READING),
    CALL(faccessat, READING),
    CALL(faccessat2, READING),
    CALL(readlink, READING),
    CALL(readlinkat, READING),
    CALL(getdents64, READING),
    CALL(getcwd, READING),
    CALL(fadvise64, READING),
    CALL(ftruncate, READING), /* the index of the database's log grows */
    CALL(flock, WRITING),
    CALL(fdatasync, WRITING),
    CALL(fsync, WRITING),
    CALL(sync_file_range, WRITING),
    CALL(unlink, WRITING),
    CALL(unlinkat, WRITING),
    CALL(mkdir, WRITING),
    CALL(mkdirat, WRITING),
    CALL(fchmod, WRITING),
    /* Puts reject.log aside; it can do no more than unlink and open. */
    CALL(renameat, WRITING),
};

/* What somebody who took the process over would try, and what libraries try and can do without: these fail cleanly. */
static const int refused[] = {
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(creat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(rmdir),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(truncate),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(utimensat),
    SCMP_SYS(chdir),
    SCMP_SYS(fchdir),
    SCMP_SYS(chroot),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept4),
    SCMP_SYS(accept),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(clone),
    SCMP_SYS(clone3),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(prctl),
    SCMP_SYS(ioctl),
    SCMP_SYS(prlimit64),
    SCMP_SYS(getrlimit),
    SCMP_SYS(setrlimit),
    SCMP_SYS(personality),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(memfd_create),
    SCMP_SYS(wait4),
    SCMP_SYS(flock),
    SCMP_SYS(setitimer),
    SCMP_SYS(timer_create),
};

static unsigned profile_who(const struct sandbox_profile *profile)
{
    return ALWAYS | (profile->may_accept ? ACCEPTING : 0) | (profile->may_connect ? CONNECTING : NOT_CONNECTING) |
           (profile->files != SANDBOX_NO_FILES ? READING : NOT_READING) |
           (profile->files == SANDBOX_WRITE ? WRITING : 0) | (profile->may_ask ? ASKING : NOT_ASKING) |
           (profile->has_alarm ? ALARMED : 0);
}

static bool is_allowed(int number, unsigned who)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (allowed[i].number == number)
            return allowed[i].who & who;
    return false;
}

static int add_lists(scmp_filter_ctx filter, unsigned who)
{
    int error = 0;
    for (size_t i = 0; !error && i < sizeof allowed / sizeof *allowed; i++)
        if (allowed[i].who & who && allowed[i].number >= 0)
            error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i].number, 0);
    /* Numbers below zero are of calls that this CPU does not have. */
    for (size_t i = 0; !error && i < sizeof refused / sizeof *refused; i++)
        if (!is_allowed(refused[i], who) && refused[i] >= 0)
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    return error;
}

/* Calls whose arguments decide. What no row speaks of ends the process. */
#define MASKED(argument, mask, value)                   \
    {                                                   \
        (argument), SCMP_CMP_MASKED_EQ, (mask), (value) \
    }
#define IS_INT(argument, value) MASKED(argument, 0xffffffffu, value) /* the register's upper half is not looked at */
#define IS_TYPE(value) MASKED(1, 0xf, value)                         /* of a socket, whatever its flags */
#define REFUSE SCMP_ACT_ERRNO(EPERM)

static const struct {
    int number;
    unsigned who;
    uint32_t action;
    unsigned count;
    struct scmp_arg_cmp comparisons[2];
} checked[] = {
    /* Memory is never made executable: no code comes in. */
    {SCMP_SYS(mmap), ALWAYS, SCMP_ACT_ALLOW, 1, {MASKED(2, PROT_EXEC, 0)}},
    {SCMP_SYS(mmap), ALWAYS, REFUSE, 1, {MASKED(2, PROT_EXEC, PROT_EXEC)}},
    {SCMP_SYS(mprotect), ALWAYS, SCMP_ACT_ALLOW, 1, {MASKED(2, PROT_EXEC, 0)}},
    {SCMP_SYS(mprotect), ALWAYS, REFUSE, 1, {MASKED(2, PROT_EXEC, PROT_EXEC)}},
    /* send() only: a datagram to an address is a way out, and so is a connection that sending opens. */
    {SCMP_SYS(sendto), ALWAYS, SCMP_ACT_ALLOW, 2, {MASKED(3, MSG_FASTOPEN, 0), {4, SCMP_CMP_EQ, 0, 0}}},
    {SCMP_SYS(sendto), NOT_ASKING, REFUSE, 2, {MASKED(3, MSG_FASTOPEN, 0), {4, SCMP_CMP_NE, 0, 0}}},
    {SCMP_SYS(sendto), ASKING, SCMP_ACT_ALLOW, 2, {MASKED(3, MSG_FASTOPEN, 0), {4, SCMP_CMP_NE, 0, 0}}},
    {SCMP_SYS(sendto), ALWAYS, REFUSE, 1, {MASKED(3, MSG_FASTOPEN, MSG_FASTOPEN)}},
    {SCMP_SYS(sendmsg), ALWAYS, SCMP_ACT_ALLOW, 1, {MASKED(2, MSG_FASTOPEN, 0)}},
    {SCMP_SYS(sendmsg), ALWAYS, REFUSE, 1, {MASKED(2, MSG_FASTOPEN, MSG_FASTOPEN)}},
    /* Other families reach into the kernel or to processes of this machine. */
    {SCMP_SYS(socket), CONNECTING, SCMP_ACT_ALLOW, 2, {IS_INT(0, AF_INET), IS_TYPE(SOCK_STREAM)}},
    {SCMP_SYS(socket), CONNECTING, SCMP_ACT_ALLOW, 2, {IS_INT(0, AF_INET6), IS_TYPE(SOCK_STREAM)}},
    {SCMP_SYS(socket), ASKING, SCMP_ACT_ALLOW, 2, {IS_INT(0, AF_INET), IS_TYPE(SOCK_DGRAM)}},
    {SCMP_SYS(socket), ASKING, SCMP_ACT_ALLOW, 2, {IS_INT(0, AF_INET6), IS_TYPE(SOCK_DGRAM)}},
    {SCMP_SYS(socket), NOT_ASKING, REFUSE, 2, {IS_INT(0, AF_INET), IS_TYPE(SOCK_DGRAM)}},
    {SCMP_SYS(socket), NOT_ASKING, REFUSE, 2, {IS_INT(0, AF_INET6), IS_TYPE(SOCK_DGRAM)}},
    {SCMP_SYS(socket), CONNECTING, REFUSE, 1, {IS_INT(0, AF_UNIX)}},
    {SCMP_SYS(socket), CONNECTING, REFUSE, 1, {IS_INT(0, AF_NETLINK)}},
    {SCMP_SYS(socket), NOT_CONNECTING, REFUSE, 0, {{0}}},
    /* A descriptor's flags stay, or a log that is only appended to could be written over; so does its owner, or it
     * would signal other processes. The locks are the database's. */
    {SCMP_SYS(fcntl), ALWAYS, SCMP_ACT_ALLOW, 1, {IS_INT(1, F_DUPFD_CLOEXEC)}},
    {SCMP_SYS(fcntl), ALWAYS, SCMP_ACT_ALLOW, 1, {IS_INT(1, F_GETFL)}},
    {SCMP_SYS(fcntl), ALWAYS, SCMP_ACT_ALLOW, 1, {IS_INT(1, F_GETFD)}},
    {SCMP_SYS(fcntl), ALWAYS, SCMP_ACT_ALLOW, 1, {IS_INT(1, F_GET_SEALS)}},
    {SCMP_SYS(fcntl), NOT_ASKING, REFUSE, 1, {IS_INT(1, F_SETFL)}},
    /* libunbound makes its sockets non-blocking by it. Which descriptor it is can't be told here: a resolver that was
     * taken over could write over the log file it has. */
    {SCMP_SYS(fcntl), ASKING, SCMP_ACT_ALLOW, 2, {IS_INT(1, F_SETFL), IS_INT(2, O_RDWR | O_NONBLOCK)}},
    {SCMP_SYS(fcntl), ASKING, REFUSE, 2, {IS_INT(1, F_SETFL), MASKED(2, O_NONBLOCK, 0)}},
    {SCMP_SYS(setsockopt), ASKING, SCMP_ACT_ALLOW, 1, {IS_INT(1, IPPROTO_IP)}},
    {SCMP_SYS(setsockopt), ASKING, SCMP_ACT_ALLOW, 1, {IS_INT(1, IPPROTO_IPV6)}},
    {SCMP_SYS(setsockopt), ASKING, SCMP_ACT_ALLOW, 2, {IS_INT(1, IPPROTO_TCP), IS_INT(2, TCP_MAXSEG)}},
    {SCMP_SYS(setsockopt), ASKING, SCMP_ACT_ALLOW, 2, {IS_INT(1, SOL_SOCKET), IS_INT(2, SO_REUSEADDR)}},
    {SCMP_SYS(fcntl), ALWAYS, REFUSE, 1, {IS_INT(1, F_SETOWN)}},
    {SCMP_SYS(fcntl), READING, SCMP_ACT_ALLOW, 1, {IS_INT(1, F_SETFD)}},
    {SCMP_SYS(fcntl), READING, SCMP_ACT_ALLOW, 1, {IS_INT(1, F_GETLK)}},
    {SCMP_SYS(fcntl), READING, SCMP_ACT_ALLOW, 1, {IS_INT(1, F_SETLK)}},
    {SCMP_SYS(setsockopt), ALWAYS, SCMP_ACT_ALLOW, 2, {IS_INT(1, IPPROTO_TCP), IS_INT(2, TCP_NODELAY)}},
    /* libc's fstat() is this call with an empty path; a path could still be given, and finds an empty root or
     * Landlock. */
    {SCMP_SYS(newfstatat), NOT_READING, SCMP_ACT_ALLOW, 1, {MASKED(3, AT_EMPTY_PATH, AT_EMPTY_PATH)}},
    {SCMP_SYS(newfstatat), NOT_READING, REFUSE, 1, {MASKED(3, AT_EMPTY_PATH, 0)}},
};

static int add_checked(scmp_filter_ctx filter, unsigned who)
{
    int error = 0;
    for (size_t i = 0; !error && i < sizeof checked / sizeof *checked; i++)
        if (checked[i].who & who)
            error = seccomp_rule_add_array(filter, checked[i].action, checked[i].number, checked[i].count,
                                           checked[i].comparisons);
    /* abort(): its own threads only. */
    scmp_datum_t self = (scmp_datum_t)getpid();
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self));
    return error ? error : seccomp_rule_add(filter, REFUSE, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_NE, self));
}

#ifdef OSTIARY_TEST_BUILD
/* Says which call it was, for whoever adds a library that makes a new one, and dies as it would have died. */
static void tell_call(int signal_number, siginfo_t *info, void *context)
{
    char line[96];
    int n = snprintf(line, sizeof line, "sandbox: system call %d is not in the list\n", info->si_syscall);
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        _exit(126);
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
}

static uint32_t default_action(void)
{
    struct sigaction action = {.sa_sigaction = tell_call, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSYS, &action, NULL);
    return SCMP_ACT_TRAP;
}
#else
static uint32_t default_action(void)
{
    return SCMP_ACT_KILL_PROCESS;
}
#endif

int sandbox_restrict_calls(const struct sandbox_profile *profile, struct buf *problem)
{
    int error = -ENOMEM;
    unsigned who = profile_who(profile);
    scmp_filter_ctx filter = seccomp_init(default_action());
    if (filter)
        error = add_lists(filter, who);
    if (!error)
        error = add_checked(filter, who);
    /* A binary search instead of a walk down the list; where the library is too old for it, the walk does. */
    if (!error && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0)
        error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 1);
    if (!error)
        error = seccomp_load(filter);
    seccomp_release(filter);
    if (error)
        buf_printf(problem, "the sandbox can't be entered: the list of system calls: %s", strerror(-error));
    return error;
}
