/* Calls that fail: what the owner of a server tells the libraries in its processes, in a page of shared memory that
 * OSTIARY_FAULTS names. failures.py knows the layout. */
#ifndef TORTURE_FAULTS_H
#define TORTURE_FAULTS_H

#include <stdatomic.h>
#include <stdint.h>

enum fault_kind {
    FAULT_SYNC = 1,
    FAULT_PWRITE = 2,
    FAULT_PWRITEV = 4,
    FAULT_WRITE = 8, /* to files: what goes to sockets is sent */
    FAULT_SIZE = 16, /* ftruncate */
    FAULT_NAME = 32, /* open with O_CREAT or O_TMPFILE, mkdir, linkat, unlink, rename */
    FAULT_ALLOCATION = 64,
    FAULT_RECEIVE = 128, /* recvmsg: what our own processes say to one another */
};

#define FAULT_SHORT 4096 /* instead of an errno: a write takes half of what it was given */

/* Whoever sets `error` last begins: from then on `skip` calls of the kinds in `kinds` by a process of the roles in
 * `roles` still work, the next `count` fail. */
struct faults {
    _Atomic uint32_t error; /* an errno; 0: nothing fails */
    _Atomic uint32_t kinds; /* mask of fault_kind */
    _Atomic uint32_t skip, count;
    _Atomic uint32_t failed, loaded; /* calls that failed; writers that mapped this page */
    _Atomic uint32_t roles;          /* mask by the places in fault_roles */
    _Atomic uint32_t seen;           /* calls that would have counted */
};

/* A server's processes, then commands of the command line. */
static const char *const fault_roles[] = {"writer",  "reader",   "gate",   "desk",    "auth",
                                          "courier", "resolver", "backup", "restore", "rebuild"};

/* Is this one of the calls that fail? Then with which error; else 0. */
uint32_t fault_strikes(uint32_t kind);

#endif
