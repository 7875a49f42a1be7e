#include "ctl/ctl.h"

static void write_list(struct ctl *ctl, const char *group)
{
    size_t size = strlen(group);
    for (size_t i = 0; i < ctl_command_count(); i++) {
        const struct ctl_command *c = ctl_command_get(i);
        if (size && (strncmp(c->name, group, size) != 0 || c->name[size] != ' '))
            continue;
        if (ctl->is_my && !(c->flags & CTL_MINE))
            continue;
        buf_printf(&ctl->out, "  %-18s  %s\n", c->name, c->summary);
    }
}

static const char my_options[] = "  --login NAME\n      Who you are: your address; else $OSTIARY_LOGIN.\n"
                                 "  --login-stdin\n      Reads your password from the first line of standard input.\n";

static void write_command(struct ctl *ctl, const struct ctl_command *c)
{
    buf_printf(&ctl->out, "%s\n\nusage: ostiary %s%s%s%s", c->summary, ctl->is_my ? "my " : "", c->name,
               *c->arguments ? " " : "", c->arguments);
    for (const struct ctl_option *o = c->options; o->name; o++)
        buf_printf(&ctl->out, " [--%s%s%s]", o->name, o->value ? " " : "", o->value ? o->value : "");
    buf_printf(&ctl->out, "%s [--config FILE]\n\n", c->has_json ? " [--json]" : "");
    for (const struct ctl_option *o = c->options; o->name; o++)
        buf_printf(&ctl->out, "  --%s%s%s\n      %s\n", o->name, o->value ? " " : "", o->value ? o->value : "",
                   o->explanation);
    if (c->has_json)
        buf_add_text(&ctl->out, "  --json\n      Prints JSON, for programs.\n");
    if (ctl->is_my)
        buf_add_text(&ctl->out, my_options);
    buf_add_text(&ctl->out,
                 "  --config FILE\n      The configuration; else $OSTIARY_CONFIG, else /etc/ostiary/ostiary.conf.\n");
    if (c->flags & CTL_MINE && !ctl->is_my)
        buf_printf(&ctl->out, "\nFor one's own door, with one's own password: ostiary my %s --help\n", c->name);
    buf_printf(&ctl->out, "\nexample: ostiary %s\n", c->example);
}

void ctl_write_help(struct ctl *ctl)
{
    const struct ctl_command *command = ctl_find(ctl->topic);
    if (command) {
        write_command(ctl, command);
        return;
    }
    if (ctl->is_my && !*ctl->topic)
        buf_add_text(&ctl->out, "What people do at their own door, with their own password.\n\n"
                                "usage: ostiary my COMMAND [ARGUMENTS] [--login NAME] [--login-stdin]\n\n");
    else if (*ctl->topic)
        buf_printf(&ctl->out, "usage: ostiary %s%s COMMAND ...\n\n", ctl->is_my ? "my " : "", ctl->topic);
    else
        buf_add_text(&ctl->out, "Ostiary, a mail server.\n\nusage: ostiary COMMAND [ARGUMENTS] [--config FILE]\n\n");
    write_list(ctl, ctl->topic);
    if (!ctl->is_my && !*ctl->topic)
        buf_add_text(&ctl->out, "\n'ostiary my' lists what people do at their own door.");
    buf_add_text(&ctl->out, "\n'ostiary COMMAND --help' says more, with an example.\n");
}
