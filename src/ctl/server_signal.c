#include "ctl/server_signal.h"

#include "ctl/control_socket.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a socket that listens the kernel keeps who made it listen: the supervisor, whoever answers there. 0: nobody. */
static pid_t find_supervisor(const struct settings *settings)
{
    struct ucred peer = {.pid = 0};
    socklen_t size = sizeof peer;
    int fd = control_socket_connect(settings, "control.sock");
    if (fd < 0)
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
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
