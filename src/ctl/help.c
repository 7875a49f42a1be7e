#include "ctl/ctl.h"

static void write_list(struct ctl *ctl, const char *group)
{
    size_t size = strlen(group);
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct ctl_command *c = &ctl_commands[i];
        if (size && (strncmp(c->name, group, size) != 0 || c->name[size] != ' '))
            continue;
        buf_printf(&ctl->out, "  %-18s  %s\n", c->name, c->summary);
    }
}

static void write_command(struct ctl *ctl, const struct ctl_command *c)
{
    buf_printf(&ctl->out, "%s\n\nusage: ostiary %s%s%s", c->summary, c->name, *c->arguments ? " " : "", c->arguments);
    for (const struct ctl_option *o = c->options; o->name; o++)
        buf_printf(&ctl->out, " [--%s%s%s]", o->name, o->value ? " " : "", o->value ? o->value : "");
    buf_printf(&ctl->out, "%s [--config FILE]\n\n", c->has_json ? " [--json]" : "");
    for (const struct ctl_option *o = c->options; o->name; o++)
        buf_printf(&ctl->out, "  --%s%s%s\n      %s\n", o->name, o->value ? " " : "", o->value ? o->value : "",
                   o->explanation);
    if (c->has_json)
        buf_add_text(&ctl->out, "  --json\n      Prints JSON, for programs.\n");
    buf_add_text(&ctl->out,
                 "  --config FILE\n      The configuration; else $OSTIARY_CONFIG, else /etc/ostiary/ostiary.conf.\n");
    buf_printf(&ctl->out, "\nexample: ostiary %s\n", c->example);
}

void ctl_write_help(struct ctl *ctl)
{
    const struct ctl_command *command = ctl_find(ctl->topic);
    if (command) {
        write_command(ctl, command);
        return;
    }
    if (*ctl->topic)
        buf_printf(&ctl->out, "usage: ostiary %s COMMAND ...\n\n", ctl->topic);
    else
        buf_add_text(&ctl->out, "Ostiary, a mail server.\n\nusage: ostiary COMMAND [ARGUMENTS] [--config FILE]\n\n");
    write_list(ctl, ctl->topic);
    buf_add_text(&ctl->out, "\n'ostiary COMMAND --help' says more, with an example.\n");
}
