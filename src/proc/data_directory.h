/* The data directory, made and given to the processes' user before any of them starts. */
#ifndef PROC_DATA_DIRECTORY_H
#define PROC_DATA_DIRECTORY_H

#include "base/buf.h"

#include <sys/types.h>

/* Whom the processes become: the user's numbers when we are root, zeros when not. 0, or -ENOENT with a sentence. */
MUST_USE int find_user(const char *name, uid_t *uid, gid_t *gid, struct buf *problem);
/* The same for the processes of one role: "<name>-<role>" where there is such a system user; else the numbers stay as
 * they are. */
MUST_USE int find_role_user(const char *name, const char *role, uid_t *uid, gid_t *gid, struct buf *problem);

/* Makes it (mode 0700) where it is missing, with the directories above it that root may have to make (0755). As root
 * (uid not 0) whatever in it belongs to root, left there by commands run without the server, is given to the user;
 * ordinary files with more than one name are left alone, as a link could lead it to somebody else's. 0, or a negative
 * errno with a sentence. */
MUST_USE int data_directory_prepare(const char *path, uid_t uid, gid_t gid, struct buf *problem);

/* When the database there was last written, by the wall clock in nanoseconds since 1970; 0: there is none. */
uint64_t data_directory_last_used(const char *path);

/* Makes a directory that everybody may enter (0755) where it is missing; one that is there is left alone. 0 or a
 * negative errno. */
MUST_USE int public_directory_prepare(const char *path);

#endif
