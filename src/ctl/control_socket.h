/* A running server's control sockets, from the command line's side. */
#ifndef CTL_CONTROL_SOCKET_H
#define CTL_CONTROL_SOCKET_H

#include "ctl/ctl.h"

/* Connects to the socket of that name in the data directory; an absolute path is taken as it is. Blocks while it
 * connects: the server's backlog may be full for a moment. The descriptor, which blocks, too, or a negative errno:
 * -ENOENT, -ENOTDIR and -ECONNREFUSED say that no server runs. */
MUST_USE int control_socket_connect(const struct settings *settings, const char *name);
/* Why it could not be: an exit status with the sentence. */
MUST_USE int control_socket_explain(struct ctl *ctl, const struct settings *settings, int error);

#endif
