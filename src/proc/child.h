/* What all processes but the supervisor have in common: they take the boot frame from the supervisor, enter their
 * sandbox, start their part, say that they are ready, and from then on do what the supervisor says until it stops them
 * or dies. */
#ifndef PROC_CHILD_H
#define PROC_CHILD_H

#include "config/settings.h"
#include "format/sealed.h"
#include "ipc/control.h"
#include "ipc/grant.h"
#include "ipc/peers.h"
#include "policy/blacklist.h"
#include "proc/roles.h"
#include "run/loop.h"
#include "run/tls.h"

/* The descriptor of the control channel, and the hidden word of the command line behind which it is looked for. */
#define CHILD_CONTROL_FD 3
#define CHILD_WORD "process"

struct child;

/* What a role adds. Rows of a table in child.c. */
struct child_part {
    /* Makes child->part. 0 or a negative errno with a sentence. */
    int (*start)(struct child *child, struct buf *problem);
    /* A new channel of a client; takes fd. NULL for roles that nobody calls. */
    int (*attach)(struct child *child, int fd, enum role peer);
    /* The listeners and tables of this frame; takes the descriptors it wants. NULL for roles without. */
    int (*adopt)(struct child *child, struct control_frame *frame);
    /* child->settings, child->tls or child->blacklist are others now. NULL when the role reads them anew each time. */
    void (*update)(struct child *child);
    /* Ends what is in hand, until the deadline at most. Afterwards the process exits. */
    void (*stop)(struct fiber *self, struct child *child, uint64_t deadline);
};

struct child {
    const struct role_row *row;
    const struct child_part *does;
    unsigned instance;
    struct loop *loop;
    struct settings *settings;
    struct tls_context *tls;     /* NULL: none is offered */
    struct blacklist *blacklist; /* NULL: an empty one, or the role has none */
    struct peers peers;
    unsigned char grant_key[GRANT_KEY_SIZE];
    uint64_t seed;                    /* of the table of connections */
    struct buf trust_anchors;         /* the resolver's */
    uid_t owner;                      /* who may manage the server beside root */
    struct buf password, authorities; /* the courier's: of the smart host; PEM */
    bool has_script;                  /* the file could be read */
    struct buf script;                /* its text: of the script process */
    bool has_courier_files; /* those above and below are as a frame brought them; else the courier has taken them */
    struct buf remote_authorities;             /* the courier's: PEM, of the providers of remote accounts */
    unsigned char remote_key[SEALED_KEY_SIZE]; /* the courier's: private; the desk's: the public one */
    const char *inside;                        /* the data directory as it is reached from the sandbox */
    struct watch control;
    struct fiber *follower; /* who reads the supervisor's frames */
    struct timer lost;      /* a channel's end is given up for: see child.c */
    int log_fd;             /* ours to close when another comes; 0 to 2 are not */
    struct buf packet;
    void *part;
};

extern const struct child_part gate_part, desk_part, auth_part, writer_part, reader_part, resolver_part, courier_part,
    script_part;

/* The program of a process: `ostiary process ROLE INSTANCE`, which only the supervisor can start, as its control
 * channel is descriptor 3. Returns the exit status (sysexits). */
int child_main(int argc, char **argv);

/* What top and killall see, where there would be the "exe" that the supervisor executed: "ostiary-" and as much of
 * `what` as the kernel keeps. */
void child_name(const char *what);

#endif
