#include "ctl/commands.h"
#include "ctl/config_look.h"
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

struct serving {
    struct ctl *ctl;
    struct settings *settings;
    int ready_fd;
};

/* The first lines of the log: where it listens, and what is worth knowing about its configuration. */
static void log_start(struct ctl *ctl, const struct settings *settings)
{
    struct buf notes;
    buf_init(&notes, 8192);
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *l = &settings->listeners[i];
        log_write(LOG_LOW, "supervisor", NULL, "listening service=%s address=%s port=%u", service_kind_name(l->service),
                  l->address, l->port);
    }
    /* What would keep it from starting was told before; a file that changed since then is the next reload's matter. */
    if (config_look(ctl, settings, &notes) != EX_OK)
        buf_reset(&ctl->problem);
    for (struct span rest = buf_span(&notes); rest.size;) {
        struct span note = span_cut(&rest, '\n');
        log_write(LOG_PROBLEM, "supervisor", NULL, "%.*s", SPAN_ARG(note));
    }
    buf_release(&notes);
}

static void ready(void *context)
{
    const struct serving *serving = context;
    log_start(serving->ctl, serving->settings);
    ready_tell(serving->ready_fd);
}

int ctl_serve(struct ctl *ctl)
{
    struct serving serving = {.ctl = ctl};
    int status = ready_parse(ctl, &serving.ready_fd);
    if (status)
        return status;
    serving.settings = ctl_read_settings(ctl);
    if (!serving.settings)
        return EX_CONFIG;
    const struct supervisor_options options = {ready, &serving};
    status = supervisor_run(ctl->config_path, settings_ref(serving.settings), &options);
    settings_unref(serving.settings);
    return status;
}
