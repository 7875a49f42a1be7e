/* The roles that processes have. The supervisor says which role is at the other end of a channel; nobody claims one. */
#ifndef IPC_ROLE_H
#define IPC_ROLE_H

#include "base/span.h"

enum role {
    ROLE_SUPERVISOR,
    ROLE_GATE,     /* strangers' SMTP */
    ROLE_DESK,     /* members: submission, POP3 */
    ROLE_AUTH,     /* passwords and grants */
    ROLE_WRITER,   /* store: the one that writes */
    ROLE_READER,   /* store: read-only */
    ROLE_COURIER,  /* everything that connects outwards (place kept) */
    ROLE_RESOLVER, /* DNS (place kept) */
    ROLE_SCRIPT,   /* the site's Lua rules */
    ROLE_ADMIN,    /* the command line, over the control socket or a socketpair of its own */
    ROLE_COUNT
};

#define ROLE_BIT(role) (1u << (role))

const char *role_name(enum role role); /* "gate" */

#endif
