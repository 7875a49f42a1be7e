/* A process's control socket: takes the command line's connections and hands them to the role as ROLE_ADMIN's. Only
 * root and the data directory's owner are let in; with has_my_socket everybody, to a service that asks for a login. */
#ifndef PROC_ADMIN_SOCKET_H
#define PROC_ADMIN_SOCKET_H

#include "proc/child.h"
#include "run/loop.h"

struct admin_socket {
    struct child *child;
    struct watch watch;
    struct fiber *fiber; /* NULL: not open */
};

/* Takes the socket out of the frame, if one is there and none is open, and serves it. 0 or a negative errno. */
MUST_USE int admin_socket_adopt(struct admin_socket *a, struct child *child, struct control_frame *frame);
/* Takes no more connections. */
void admin_socket_stop(struct admin_socket *a);

#endif
