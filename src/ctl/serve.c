#include "ctl/commands.h"
#include "ctl/ready.h"
#include "proc/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

int ready_parse(struct ctl *ctl, int *fd)
{
    const char *text = ctl_option(ctl, "ready-fd");
    uint64_t number;
    *fd = -1;
    if (!text)
        return EX_OK;
    bool open =
        span_parse_u64(span_text(text), 65535, &number) && number > 2 && fcntl((int)number, F_SETFD, FD_CLOEXEC) == 0;
    if (!open)
        return ctl_fail(ctl, EX_USAGE, "--ready-fd takes the number of an open descriptor above 2, not '%.20s'", text);
    /* The supervisor puts its children's channel on descriptor 3 of theirs; ours keeps clear of it. */
    *fd = fcntl((int)number, F_DUPFD_CLOEXEC, 10);
    close((int)number);
    return *fd >= 0 ? EX_OK : ctl_fail(ctl, EX_OSERR, "no descriptors are left");
}

void ready_tell(int fd)
{
    static const char line[] = "ready\n";
    if (fd < 0)
        return;
    if (write(fd, line, sizeof line - 1) != (ssize_t)(sizeof line - 1))
        fprintf(stderr, "ostiary: nobody reads --ready-fd: %s\n", strerror(errno));
    close(fd);
}

static void ready(void *context)
{
    ready_tell(*(int *)context);
}

int ctl_serve(struct ctl *ctl)
{
    int fd;
    int status = ready_parse(ctl, &fd);
    if (status)
        return status;
    struct settings *settings = ctl_read_settings(ctl);
    if (!settings)
        return EX_CONFIG;
    const struct supervisor_options options = {ready, &fd};
    return supervisor_run(ctl->config_path, settings, &options);
}
