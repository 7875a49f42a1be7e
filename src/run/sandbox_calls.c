#include "run/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Who may make a call. */
enum {
    ALWAYS = 1,
    ACCEPTING = 2,
    READING = 4, /* files */
    WRITING = 8, /* files; such a process is READING too */
    CONNECTING = 16,
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
    CALL(preadv2, ALWAYS),
    CALL(write, ALWAYS),
    CALL(writev, ALWAYS),
    CALL(pwrite64, ALWAYS),
    CALL(pwritev, ALWAYS),
    CALL(pwritev2, ALWAYS),
    CALL(recvmsg, ALWAYS),
    CALL(recvfrom, ALWAYS),
    CALL(sendmsg, ALWAYS),
    CALL(close, ALWAYS),
    CALL(shutdown, ALWAYS),
    CALL(lseek, ALWAYS),
    CALL(_llseek, ALWAYS),
    CALL(ftruncate, ALWAYS),
    CALL(fallocate, ALWAYS),
    CALL(fcntl, ALWAYS),
    CALL(dup, ALWAYS),
    CALL(dup3, ALWAYS),
    CALL(fstat, ALWAYS),
    CALL(setsockopt, ALWAYS),
    CALL(getsockopt, ALWAYS),
    CALL(getsockname, ALWAYS),
    CALL(getpeername, ALWAYS),
    /* Waiting. */
    CALL(epoll_create1, ALWAYS),
    CALL(epoll_ctl, ALWAYS),
    CALL(epoll_wait, ALWAYS),
    CALL(epoll_pwait, ALWAYS),
    CALL(epoll_pwait2, ALWAYS),
    CALL(poll, ALWAYS),
    CALL(ppoll, ALWAYS),
    CALL(clock_nanosleep, ALWAYS),
    CALL(nanosleep, ALWAYS),
    CALL(futex, ALWAYS),
    CALL(restart_syscall, ALWAYS),
    CALL(sched_yield, ALWAYS),
    CALL(eventfd2, ALWAYS),
    CALL(timerfd_create, ALWAYS),
    CALL(timerfd_settime, ALWAYS),
    /* Memory: mmap and mprotect have rules of their own below. */
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
    /* The network, by sockets that others made. */
    CALL(accept4, ACCEPTING),
    CALL(connect, CONNECTING),
    CALL(socket, CONNECTING),
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
    CALL(flock, READING),
    CALL(fadvise64, READING),
    CALL(fdatasync, WRITING),
    CALL(fsync, WRITING),
    CALL(sync_file_range, WRITING),
    CALL(copy_file_range, WRITING),
    CALL(rename, WRITING),
    CALL(renameat, WRITING),
    CALL(renameat2, WRITING),
    CALL(link, WRITING),
    CALL(linkat, WRITING),
    CALL(unlink, WRITING),
    CALL(unlinkat, WRITING),
    CALL(mkdir, WRITING),
    CALL(mkdirat, WRITING),
    CALL(rmdir, WRITING),
    CALL(fchmod, WRITING),
    CALL(umask, WRITING),
    CALL(utimensat, WRITING),
    CALL(truncate, WRITING),
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
    SCMP_SYS(chdir),
    SCMP_SYS(fchdir),
    SCMP_SYS(chroot),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(socket),
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
};

static unsigned profile_who(const struct sandbox_profile *profile)
{
    return ALWAYS | (profile->may_accept ? ACCEPTING : 0) | (profile->may_connect ? CONNECTING : 0) |
           (profile->files != SANDBOX_NO_FILES ? READING : 0) | (profile->files == SANDBOX_WRITE ? WRITING : 0);
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

/* Calls whose arguments decide. */
static int add_checked(scmp_filter_ctx filter, unsigned who)
{
    static const int memory[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    int error = 0;
    /* Memory is never made executable: no code comes in. */
    for (size_t i = 0; !error && i < sizeof memory / sizeof *memory; i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, memory[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (!error)
            error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), memory[i], 1,
                                     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    }
    /* send() only: a datagram to an address is a way out. */
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_EQ, 0));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendto), 1, SCMP_A4(SCMP_CMP_NE, 0));
    /* abort(): its own threads only. */
    scmp_datum_t self = (scmp_datum_t)getpid();
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_NE, self));
    /* libc's fstat() is this call with an empty path; a path could still be given, and finds an empty root or Landlock.
     */
    if (!error && !(who & READING))
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                                 SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    if (!error && !(who & READING))
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(newfstatat), 1,
                                 SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, 0));
    return error;
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
