/* The supervisor's state, shared by supervisor.c (start, signals, end), process.c (one child's life), and reload.c. */
#ifndef PROC_SUPERVISOR_INTERNAL_H
#define PROC_SUPERVISOR_INTERNAL_H

#include "format/sealed.h"
#include "ipc/control.h"
#include "ipc/grant.h"
#include "policy/connection_table.h"
#include "policy/poison.h"
#include "policy/session_board.h"
#include "proc/clock_keeper.h"
#include "proc/listeners.h"
#include "proc/log_file.h"
#include "proc/roles.h"
#include "proc/supervisor.h"
#include "run/fiber.h"
#include "run/loop.h"

#include <sys/types.h>

#define PROCESSES_MAX 64

struct supervisor;

struct process {
    struct supervisor *supervisor;
    const struct role_row *row;
    unsigned instance;
    struct fiber *fiber; /* its life; NULL before that and when it is over */
    pid_t pid;           /* 0: not running */
    int control;         /* -1: not running, nor prepared */
    int child_end;       /* the other end while it is prepared, but not executed; else -1 */
    bool ready;
    bool was_ready;    /* ever */
    unsigned failures; /* in a row */
    bool is_wanted;    /* by the settings in force; else its place is kept */
    bool is_replaced;  /* told to end so that its successor begins anew */
    bool is_hurried;   /* a reload ends its wait to be started again */
    struct condition due;
    struct alarms alarms;
};

/* A role's shared table of connections, and its board of sessions. */
struct counted_role {
    int fd; /* -1: not counted */
    struct connection_table *table;
    unsigned columns;
    uint64_t seed;
    int board_fd; /* -1: none */
    struct session_board *board;
};

struct supervisor {
    const char *config_path;
    struct settings *settings;
    struct settings *first_settings; /* those of the start: a reload can't change all of them */
    struct supervisor_options options;
    struct loop *loop;
    struct process processes[PROCESSES_MAX];
    size_t process_count;
    struct condition changed; /* a process became ready or ended */
    struct listeners listeners;
    int admin[ROLE_COUNT]; /* the control sockets; -1: none */
    struct log_file log;
    struct counted_role counted[ROLE_COUNT];
    struct clock_keeper clock;
    struct poison_register *poison; /* a place for each of `processes` */
    unsigned char grant_key[GRANT_KEY_SIZE];
    struct buf certificate, key;                  /* PEM; empty: no TLS */
    struct buf password;                          /* of the smart host; empty: none */
    int authorities;                              /* courier.ca_file; -1: none */
    int script;                                   /* the text of script.file, in a sealed memfd; -1: none */
    int remote_authorities;                       /* remote.ca_file; -1: none */
    int remote_key;                               /* of the passwords of remote accounts; -1: not opened yet */
    unsigned char remote_public[SEALED_KEY_SIZE]; /* its public half */
    struct buf trust_anchors;                     /* empty: DNSSEC is not checked */
    struct {
        uid_t uid;
        gid_t gid;
    } users[ROLE_COUNT]; /* whom its processes become; zeros when we are not root */
    uid_t owner;         /* of the data directory; 0 when we are not root */
    struct {
        int fd;                   /* the compiled list in a sealed memfd; -1: none yet */
        bool wanted;              /* its files are to be read (again) */
        struct condition changed; /* wanted is set, or a try to read them has ended */
        unsigned tries;           /* how many have ended */
    } blacklist;
    int signals;
    bool stopping;  /* nothing is started any more */
    bool is_ending; /* the end is under way */
    bool is_open;   /* somebody may come in: whoever is started is given the listeners */
    bool told_ready;
    int status; /* to exit with */
};

/* ---- process.c ---- */

/* The fiber of a process: starts it, waits for its end, and starts it again until the server stops. */
void process_live(struct fiber *self, void *process);
/* To all that run or are prepared: new settings, listeners, log, as `frame` says, with each one's own listeners added
 * where the frame replaces them. */
void process_tell_all(struct supervisor *s, const struct control_frame *frame);
void process_kill(struct process *p, int signal_number);
/* Makes its control channel with the boot frame in it, so that the others have their channels to it, and it may be told
 * what is new, before it is executed: all of that waits there. Starting one does it where it was not done before. 0 or
 * a negative errno. */
MUST_USE int process_prepare(struct process *p);
/* For one that did not take what it was told: killed, or prepared in vain, it begins with what is true by then. */
void process_begin_anew(struct process *p);
/* Behind new settings: ends those that are no longer wanted, and starts those that are or that were left alone. */
void process_reconsider_all(struct supervisor *s);

/* Ends those of a role, which are started again: what they remember is not true any more. */
void process_replace(struct supervisor *s, enum role role);

/* Gives a child descriptors and starts this program anew with `arguments` and none of our environment: descriptor
 * 3 + i is fds[i]. 0 with *pid, or a negative errno. */
MUST_USE int process_spawn(char *const arguments[], const int *fds, size_t fd_count, pid_t *pid);
/* Waits until `pid` is gone, without blocking the others; kills it at the deadline or when this fiber is canceled. Its
 * wait status. */
int process_wait(struct fiber *self, pid_t pid, uint64_t deadline);

/* ---- blacklist.c ---- */

/* The fiber that has the own black list read and compiled, by a short-lived process of its own where there is anything
 * to read, whenever supervisor_want_blacklist asks for it, and gives it to those who look into it. */
void blacklist_live(struct fiber *self, void *supervisor);
void supervisor_want_blacklist(struct supervisor *s);
/* Waits until the first try has ended, whatever came of it. */
void blacklist_wait_first(struct fiber *self, struct supervisor *s);

/* ---- reload.c ---- */

/* Reads the PEM files that the settings name. 0, or a negative errno with a sentence; then both bufs are as before. */
MUST_USE int tls_files_read(const struct settings *settings, struct buf *certificate, struct buf *key,
                            struct buf *problem);
/* Reads the file that dns.trust_anchor names; where it can't, the log says so and there are none. */
void trust_anchors_read(const struct settings *settings, struct buf *anchors);
/* The same for the smart host's password and the certificates of authorities. */
MUST_USE int courier_files_read(const struct settings *settings, struct buf *password, int *authorities,
                                struct buf *problem);
/* Reads script.file; where it can't, the log says so and there is none. A memfd, so that a process which is started
 * anew gets what the one before had, whatever somebody edits meanwhile. */
void script_file_read(const struct settings *settings, int *script);
/* Opens remote.ca_file; where it can't, the log says so and no provider's certificate is right. */
void remote_authorities_open(const struct settings *settings, int *fd);
/* SIGHUP. */
void supervisor_reload(struct supervisor *s);

#endif
