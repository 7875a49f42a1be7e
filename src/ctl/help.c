#include "ctl/ctl.h"
#include "ctl/my_words.h"

#include <stdio.h>
#include <sysexits.h>

/* What a person calls "my ..." is about their own door: how it is called, without what names somebody else's. */
static bool is_others(const struct ctl *ctl, const struct ctl_command *c, const char *option)
{
    bool names_one = strcmp(option, "site") == 0 || (strcmp(option, "for") == 0 && strcmp(c->name, "ledger") == 0);
    return ctl->is_my && names_one;
}

void ctl_write_call(const struct ctl *ctl, const struct ctl_command *c, struct buf *out)
{
    const char *rest = c->arguments;
    size_t first = strcspn(rest, " ");
    buf_printf(out, "ostiary %s%s", ctl->is_my ? "my " : "", c->name);
    if (ctl->is_my && c->flags & CTL_OWNER && rest[0] != '[') {
        buf_add_text(out, " [ADDRESS]");
        rest += first + (rest[first] == ' ');
    }
    const char *others = ctl->is_my ? strstr(rest, "|@DOMAIN]") : NULL;
    buf_printf(out, "%s%.*s%s", *rest ? " " : "", (int)(others ? (size_t)(others - rest) : strlen(rest)), rest,
               others ? "]" : "");
}

/* The same without whose door it is: "rules set alice@example.org white-list=on" has that behind the name. */
void ctl_write_example(const struct ctl *ctl, const struct ctl_command *c, struct buf *out)
{
    const char *rest = c->example;
    bool skips = false;
    buf_add_text(out, ctl->is_my ? "ostiary my" : "ostiary ");
    if (!ctl->is_my) {
        buf_add_text(out, rest);
        return;
    }
    for (size_t word = 0; *rest; word++) {
        size_t size = strcspn(rest, " ");
        bool is_name = word < (strchr(c->name, ' ') ? 2u : 1u);
        bool is_owner = !is_name && strncmp(rest, "alice@example.org", size) == 0 && size > 1;
        bool is_to = (size == 4 && strncmp(rest, "--to", 4) == 0) || (size == 5 && strncmp(rest, "--for", 5) == 0);
        if (!is_owner && !is_to && !skips)
            buf_printf(out, " %.*s", (int)size, rest);
        skips = is_to;
        rest += size + (rest[size] == ' ');
    }
}

int ctl_ask(struct ctl *ctl, const char *question)
{
    ctl_fail(ctl, EX_USAGE, "%s; for example: ", question);
    ctl_write_example(ctl, ctl->command, &ctl->problem);
    return EX_USAGE;
}

/* In the list of all, where it begins with these words: what belongs together under one heading. */
static const struct heading {
    const char *first_words, *text;
} headings[] = {
    {" serve sandbox reload config doctor watch clients script ", "The server"},
    {" domain account alias mailinglist ", "Who has mail here"},
    {" rules list passcode code-for address blacklist ", "What comes in"},
    {" ledger explain allow rejects history undo ", "What was kept out, and why"},
    {" remote ", "Mail from elsewhere"},
    {" queue ", "Mail to elsewhere"},
    {" mail backup restore store ", "What is kept"},
    {" version help ", "This program"},
};

static bool is_under(const struct heading *heading, const struct ctl_command *c)
{
    char word[32];
    snprintf(word, sizeof word, " %.*s ", (int)strcspn(c->name, " "), c->name);
    return strstr(heading->first_words, word);
}

static const struct my_words *words_of(const struct ctl *ctl, const struct ctl_command *c)
{
    return ctl->is_my ? my_words_get(c->name) : NULL;
}

static void write_line(struct ctl *ctl, const struct ctl_command *c)
{
    const struct my_words *words = words_of(ctl, c);
    if (!ctl->is_my || c->flags & CTL_MINE)
        buf_printf(&ctl->out, "  %-18s  %s\n", c->name, words ? words->summary : c->summary);
}

static void write_all(struct ctl *ctl)
{
    bool any = false;
    for (size_t k = 0; k < sizeof headings / sizeof *headings; k++) {
        size_t before = ctl->out.size;
        if (any)
            buf_add_char(&ctl->out, '\n');
        buf_printf(&ctl->out, "%s:\n", headings[k].text);
        size_t begin = ctl->out.size;
        for (size_t i = 0; i < ctl_command_count(); i++)
            if (is_under(&headings[k], ctl_command_get(i)))
                write_line(ctl, ctl_command_get(i));
        if (ctl->out.size == begin)
            buf_truncate(&ctl->out, before);
        any |= ctl->out.size > begin;
    }
}

static void write_list(struct ctl *ctl, const char *group)
{
    size_t size = strlen(group);
    if (!size) {
        write_all(ctl);
        return;
    }
    for (size_t i = 0; i < ctl_command_count(); i++) {
        const struct ctl_command *c = ctl_command_get(i);
        if (strncmp(c->name, group, size) == 0 && c->name[size] == ' ')
            write_line(ctl, c);
    }
}

static const char my_options[] =
    "  --login NAME\n      Who you are: your address; else $OSTIARY_LOGIN.\n"
    "  --login-stdin\n      Reads your password from the first line of standard input.\n"
    "  --socket PATH\n      Where the server is; else as the configuration says, else " SETTINGS_MY_SOCKET ".\n";

static void write_command(struct ctl *ctl, const struct ctl_command *c)
{
    const struct my_words *words = words_of(ctl, c);
    buf_printf(&ctl->out, "%s\n\nusage: ", words ? words->summary : c->summary);
    ctl_write_call(ctl, c, &ctl->out);
    for (const struct ctl_option *o = c->options; o->name; o++)
        if (!is_others(ctl, c, o->name))
            buf_printf(&ctl->out, " [--%s%s%s]", o->name, o->value ? " " : "", o->value ? o->value : "");
    buf_printf(&ctl->out, "%s%s [--config FILE]\n\n", c->has_json ? " [--json]" : "",
               ctl->is_my ? " [--login NAME] [--login-stdin] [--socket PATH]" : "");
    if (ctl->is_my && c->flags & CTL_OWNER)
        buf_add_text(&ctl->out, "  ADDRESS\n      One of your own with a detail (name+shop@example.org); without it "
                                "your account.\n");
    for (const struct ctl_option *o = c->options; o->name; o++)
        if (!is_others(ctl, c, o->name))
            buf_printf(&ctl->out, "  --%s%s%s\n      %s\n", o->name, o->value ? " " : "", o->value ? o->value : "",
                       o->explanation);
    if (c->has_json)
        buf_add_text(&ctl->out, "  --json\n      Prints JSON, for programs.\n");
    if (ctl->is_my)
        buf_add_text(&ctl->out, my_options);
    buf_add_text(&ctl->out,
                 "  --config FILE\n      The configuration; else $OSTIARY_CONFIG, else /etc/ostiary/ostiary.conf.\n");
    if (c->write_more)
        c->write_more(&ctl->out);
    if (c->flags & CTL_MINE && !ctl->is_my)
        buf_printf(&ctl->out, "\nFor one's own door, with one's own password: ostiary my %s --help\n", c->name);
    buf_add_text(&ctl->out, "\nexample: ");
    ctl_write_example(ctl, c, &ctl->out);
    buf_add_char(&ctl->out, '\n');
    if (words)
        buf_printf(&ctl->out, "      %s\n", words->example);
}

void ctl_write_help(struct ctl *ctl)
{
    const struct ctl_command *command = ctl_find(ctl->topic);
    if (command) {
        write_command(ctl, command);
        return;
    }
    if (ctl->is_my && !*ctl->topic)
        buf_add_text(&ctl->out,
                     "What people do at their own door, with their own password.\n\n"
                     "usage: ostiary my COMMAND [ARGUMENTS] [--login NAME] [--login-stdin] [--socket PATH]\n\n");
    else if (*ctl->topic)
        buf_printf(&ctl->out, "usage: ostiary %s%s COMMAND ...\n\n", ctl->is_my ? "my " : "", ctl->topic);
    else
        buf_add_text(&ctl->out, "Ostiary, a mail server.\n\nusage: ostiary COMMAND [ARGUMENTS] [--config FILE]\n\n");
    write_list(ctl, ctl->topic);
    if (!ctl->is_my && !*ctl->topic)
        buf_add_text(&ctl->out, "\n'ostiary my' lists what people do at their own door.");
    buf_printf(&ctl->out, "\n'ostiary %sCOMMAND --help' says more, with an example.\n", ctl->is_my ? "my " : "");
}
