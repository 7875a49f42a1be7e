#include "ctl/server_signal.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Of a socket that listens the kernel keeps who made it listen: the supervisor, whoever answers there. 0: nobody. */
static pid_t find_supervisor(const struct settings *settings)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {.pid = 0};
    socklen_t size = sizeof peer;
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", settings->data_directory);
    if (n < 0 || (size_t)n >= sizeof address.sun_path)
        return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        peer.pid = 0;
    close(fd);
    return peer.pid;
}

enum server_signal_result server_signal(const struct settings *settings, int number)
{
    pid_t pid = find_supervisor(settings);
    if (pid <= 1)
        return SERVER_NOT_RUNNING;
    return kill(pid, number) == 0 ? SERVER_SIGNALLED : SERVER_NOT_ALLOWED;
}
