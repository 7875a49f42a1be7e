/* The listening sockets. The supervisor binds them (ports below 1024 need root, also at a reload) and hands them to
 * gates and desks; it never accepts. */
#ifndef PROC_LISTENERS_H
#define PROC_LISTENERS_H

#include "config/settings.h"

#include <sys/types.h>

#define LISTENERS_MAX 32

struct listeners {
    struct {
        enum service_kind service;
        char address[64];
        uint16_t port;
        int fd;
    } rows[LISTENERS_MAX];
    size_t count;
};

/* All unset. */
void listeners_init(struct listeners *l);
/* Makes what is open agree with the settings: what stays is kept open, so that no waiting connection is lost; new ones
 * are bound first, and if one of them fails nothing is changed. 0, or a negative errno with a sentence. */
MUST_USE int listeners_update(struct listeners *l, const struct settings *settings, struct buf *problem);
void listeners_close(struct listeners *l);

/* Where the socket of that name ("control.sock") is: in the data directory, or where an absolute path says. As
 * snprintf(). */
int control_socket_path(const char *data_directory, const char *name, char *path, size_t size);
#define CONTROL_SOCKET_PATH_MAX 4096
/* Opens it with the mode 0600 (0666 where it is public), owned by uid (when it is not 0): its listening descriptor, or
 * a negative errno with a sentence; -EBUSY when a server answers on it. */
MUST_USE int control_socket_open(const char *data_directory, const char *name, bool is_public, uid_t uid, gid_t gid,
                                 struct buf *problem);

#endif
