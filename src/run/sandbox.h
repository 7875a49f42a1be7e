/* The sandbox: what a process gives up, for good, before it reads its first input.
 *
 * In this order: limits (no core files, a cap on descriptors); as root an own root directory, and then another user;
 * the death signal; no_new_privs; Landlock (as much as this kernel knows: files from 5.13, TCP from 6.7, signals and
 * abstract sockets from 6.12); a seccomp list of the system calls that remain. The steps that need no root are taken
 * without it as well.
 *
 * A forbidden call that a taken-over process would try (files, sockets, programs, other processes) fails with EPERM.
 * One that nothing of ours and of our libraries ever makes ends the process with SIGSYS; in a test build it first says
 * which.
 */
#ifndef RUN_SANDBOX_H
#define RUN_SANDBOX_H

#include "base/buf.h"

#include <sys/types.h>

enum sandbox_files {
    SANDBOX_NO_FILES, /* only descriptors it is given */
    SANDBOX_READ,     /* reads below `directory` */
    SANDBOX_WRITE,    /* reads, makes, changes and removes below `directory` */
};

struct sandbox_profile {
    enum sandbox_files files;
    const char *directory;   /* must exist. Without files: any place where root may make a directory for a moment */
    const char *also_writes; /* with SANDBOX_READ: the name of one file in `directory` that it may write, where it is
                                there already; else NULL */
    bool may_accept;         /* connections, of listening sockets it is given */
    bool may_connect;        /* by IPv4 and IPv6, from an address of its choice, to any */
    bool may_ask;            /* by datagrams to any address and port, from sockets of its own: the DNS */
    bool has_alarm;          /* may set the timer whose signal ends it */
    uid_t uid;               /* whom to become when started as root; 0 is refused then */
    gid_t gid;
    unsigned descriptors; /* at most so many open at a time */
};

/* 0, or a negative errno with a sentence; then the process must end, it may be half in. Keeps its descriptors. As root
 * `directory` is the root directory afterwards: see sandbox_path(). */
MUST_USE int sandbox_enter(const struct sandbox_profile *profile, struct buf *problem);
/* The path by which `directory` is reached from inside. Ask before entering. */
const char *sandbox_path(const struct sandbox_profile *profile);
/* The version of Landlock that this kernel offers; 0 when there is none. */
int sandbox_landlock_version(void);

#endif
