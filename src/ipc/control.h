/* Control frames: what the supervisor and its children say to one another.
 *
 * They travel over a SOCK_SEQPACKET socketpair, one frame a packet, with up to CONTROL_DESCRIPTORS_MAX descriptors
 * beside it; each descriptor's use is said in the frame. The supervisor takes frames from children as hostile: a child
 * that was taken over can at most get itself killed. Encoding and parsing are pure; only control_send and
 * control_receive touch the socket, and they never wait on a non-blocking one.
 */
#ifndef IPC_CONTROL_H
#define IPC_CONTROL_H

#include "base/buf.h"
#include "ipc/role.h"

#define CONTROL_FRAME_MAX (128u << 10)
#define CONTROL_DESCRIPTORS_MAX 128

enum control_kind {
    CONTROL_BOOT = 1, /* to a child, once, first: everything it needs */
    CONTROL_UPDATE,   /* to a child: new settings, new descriptors, or both */
    CONTROL_STOP,     /* to a child: `number` seconds to end what is in hand */
    CONTROL_READY,    /* from a child: it serves */
    CONTROL_KIND_END
};

enum control_use {
    CONTROL_FD_LOG = 1,  /* `what`: enum log_target */
    CONTROL_FD_LISTENER, /* `what`: enum service_kind; a frame that has one has all of them: they replace those before
                          */
    CONTROL_FD_ADMIN,    /* the role's control socket, listening */
    CONTROL_FD_PEER,     /* a channel's end to role `what`, instance `instance` */
    CONTROL_FD_TABLE,    /* the shared table of connections; `instance`: its columns */
    CONTROL_FD_BOARD,    /* a role's board of sessions; `what`: the role, `instance`: its columns */
    CONTROL_FD_AUTHORITIES, /* for the courier, beside settings: a file of certificates (PEM), open for reading */
    CONTROL_FD_BLACKLIST,   /* the own black list, compiled, in a sealed memfd (policy/blacklist.h): it replaces the one
                               before */
    CONTROL_FD_SCRIPT,      /* for the script process, beside settings: the site's script in a sealed memfd; without
                               it the file can't be read */
    CONTROL_FD_REMOTE_KEY,  /* for the courier: the key of remote accounts' passwords, a file open for reading */
    CONTROL_FD_REMOTE_AUTHORITIES, /* for the courier, beside settings: whom to believe as their providers (PEM) */
    CONTROL_FD_PARSING,            /* for who parses mail: policy/poison.h, `instance`: its own place */
    CONTROL_FD_POISON,             /* with it: the list, read-only */
    CONTROL_FD_CLOCK,              /* for all: the steady clock (proc/clock_keeper.h), read-only */
    CONTROL_USE_END
};

struct control_descriptor {
    enum control_use use;
    unsigned what, instance;
    int fd; /* control_send borrows it; after control_receive it is the frame's, -1 once taken */
};

/* Spans are borrowed: from the caller when sending, from the packet's buffer when received. Empty means not said. */
struct control_frame {
    enum control_kind kind;
    enum role role; /* BOOT: who the child is */
    unsigned instance;
    uint64_t number;         /* STOP: seconds. BOOT: the seed of the table of connections */
    uint64_t uid, gid;       /* BOOT: whom to become when started as root */
    uint64_t owner;          /* BOOT: whose the data directory is, when started as root */
    bool at_start;           /* BOOT: the server starts, and somebody looks at stderr */
    bool replaces_listeners; /* UPDATE: the listeners here are all there are, also when there are none */
    struct span settings;    /* settings_write()'s text */
    struct span certificate, key;
    struct span grant_key;     /* BOOT of auth and store */
    struct span trust_anchors; /* for the resolver, in any frame with settings: the root zone's keys */
    struct span remote_public; /* BOOT of the desk: the public key of remote accounts' passwords */
    struct span password;      /* for the courier, in any frame with settings: the smart host's; empty: none */
    struct control_descriptor descriptors[CONTROL_DESCRIPTORS_MAX];
    size_t descriptor_count;
};

/* -ENOSPC when there are CONTROL_DESCRIPTORS_MAX already. */
MUST_USE int control_add(struct control_frame *frame, enum control_use use, unsigned what, unsigned instance, int fd);

/* Appends the frame's bytes, without the descriptors themselves. */
void control_write(const struct control_frame *frame, struct buf *out);
/* Pure. Every descriptor's fd is -1. False when anything is out of place: an unknown field, one that is cut short or
 * doubled, a number out of range. */
MUST_USE bool control_parse(struct span packet, struct control_frame *frame);

/* 0, -EMSGSIZE when the frame is too large, -EAGAIN when the child does not read, or another negative errno. */
MUST_USE int control_send(int fd, const struct control_frame *frame);
/* Reads one packet into `packet` (its limit at least CONTROL_FRAME_MAX) and the frame. 0; -ENODATA at the end; -EAGAIN;
 * -EPROTO for a frame that is wrong, whose descriptors are closed; or another negative errno. */
MUST_USE int control_receive(int fd, struct buf *packet, struct control_frame *frame);
/* Closes the descriptors that nobody took. */
void control_close(struct control_frame *frame);

/* Both ends, close-on-exec and non-blocking, with room for a whole frame. 0 or a negative errno. */
MUST_USE int control_pair(int fds[2]);

#endif
