#include "ipc/role.h"

static const char *const names[ROLE_COUNT] = {
    [ROLE_SUPERVISOR] = "supervisor",
    [ROLE_GATE] = "gate",
    [ROLE_DESK] = "desk",
    [ROLE_AUTH] = "auth",
    [ROLE_WRITER] = "writer",
    [ROLE_READER] = "reader",
    [ROLE_COURIER] = "courier",
    [ROLE_RESOLVER] = "resolver",
    [ROLE_SCRIPT] = "script",
    [ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role)
{
    return (unsigned)role < ROLE_COUNT ? names[role] : "?";
}
