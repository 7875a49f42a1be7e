#include "ctl/ctl.h"

#include "ctl/commands.h"
#include "ctl/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

struct settings *ctl_read_settings(struct ctl *ctl)
{
    buf_reset(&ctl->problem);
    return settings_read_file(ctl->config_path, &ctl->problem);
}

void ctl_write_count(struct buf *out, uint64_t count, const char *what)
{
    buf_printf(out, "%llu %s%s", (unsigned long long)count, what, count == 1 ? "" : "s");
}

int ctl_version(struct ctl *ctl)
{
    if (ctl->json) {
        struct json json;
        json_init(&json, &ctl->out);
        json_object(&json, NULL);
        json_text(&json, "version", span_text(OSTIARY_VERSION));
        json_end_object(&json);
    } else {
        buf_add_text(&ctl->out, "ostiary " OSTIARY_VERSION "\n");
    }
    return EX_OK;
}

int ctl_help(struct ctl *ctl)
{
    char name[80] = "";
    if (ctl->argument_count && strcmp(ctl->arguments[0], "my") == 0) {
        ctl->is_my = true;
        ctl->arguments++;
        ctl->argument_count--;
    }
    if (ctl->argument_count)
        snprintf(name, sizeof name, "%s%s%s", ctl->arguments[0], ctl->argument_count > 1 ? " " : "",
                 ctl->argument_count > 1 ? ctl->arguments[1] : "");
    if (*name && !ctl_find(name) && !ctl_is_group(name))
        return ctl_fail(ctl, EX_USAGE, "there is no command '%s'; 'ostiary help' lists them", name);
    ctl->topic = name;
    ctl_write_help(ctl);
    ctl->topic = "";
    return EX_OK;
}

static bool write_out(const struct buf *out)
{
    for (size_t at = 0; at < out->size;) {
        ssize_t n = write(STDOUT_FILENO, out->data + at, out->size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

int ctl_main(int argc, char **argv)
{
    struct ctl ctl;
    char **arguments = calloc((size_t)argc + 1, sizeof *arguments);
    if (!arguments) {
        fprintf(stderr, "ostiary: out of memory\n");
        return EX_OSERR;
    }
    int status = ctl_parse(&ctl, argc, argv, arguments);
    if (status == EX_OK && ctl.help)
        ctl_write_help(&ctl);
    else if (status == EX_OK)
        status = ctl.command->run(&ctl);
    /* A JSON answer that stopped in the middle would parse as nothing; what was gathered of a list before a fault is
     * not shown either. */
    if ((status == EX_OK || ctl.problem.size == 0) && (buf_failed(&ctl.out) || !write_out(&ctl.out)))
        status = ctl_fail(&ctl, EX_IOERR, "the output could not be written");
    if (status != EX_OK && ctl.problem.size)
        fprintf(stderr, "ostiary: %.*s\n", SPAN_ARG(buf_span(&ctl.problem)));
    buf_release(&ctl.out);
    buf_release(&ctl.problem);
    free(arguments);
    return status;
}
