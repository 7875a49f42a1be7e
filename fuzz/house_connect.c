/* Stands before the C library's connect (the linker's --wrap): a fuzzer must not reach anybody. */
#include <errno.h>
#include <sys/socket.h>

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size);
int __real_connect(int fd, const struct sockaddr *address, socklen_t size);

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    if (address->sa_family == AF_UNIX)
        return __real_connect(fd, address, size);
    errno = ECONNREFUSED;
    return -1;
}
