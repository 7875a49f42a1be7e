#include "store/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int sync_directory(int directory)
{
    return fsync(directory) < 0 ? -errno : 0;
}

int sync_name(const char *path)
{
    char above[PATH_MAX];
    int size = snprintf(above, sizeof above, "%s/..", path);
    if (size < 0 || (size_t)size >= sizeof above)
        return -ENAMETOOLONG;
    int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 0 : -errno;
    int error = sync_directory(fd);
    close(fd);
    return error;
}
