#include "ctl/privileges.h"

#include "proc/data_directory.h"

#include <errno.h>
#include <grp.h>
#include <unistd.h>

#define NOBODY 65534

int privileges_drop(const struct settings *settings)
{
    uid_t uid = NOBODY;
    gid_t gid = NOBODY;
    struct buf unused;
    if (geteuid() != 0)
        return 0;
    buf_init(&unused, 1000);
    if (find_user(settings->user, &uid, &gid, &unused) || !uid)
        uid = gid = NOBODY;
    buf_release(&unused);
    return setgroups(0, NULL) == 0 && setgid(gid) == 0 && setuid(uid) == 0 ? 0 : -errno;
}
