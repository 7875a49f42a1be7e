#include "ctl/ctl.h"

#include "config/nearest.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sysexits.h>

#define CONFIG_DEFAULT "/etc/ostiary/ostiary.conf"
#define WORD_MAX 64
#define GROUPS_MAX 64

int ctl_fail(struct ctl *ctl, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_reset(&ctl->problem);
    buf_vprintf(&ctl->problem, format, args);
    va_end(args);
    return status;
}

const struct ctl_command *ctl_find(const char *name)
{
    for (size_t i = 0; i < ctl_command_count(); i++)
        if (strcmp(ctl_command_get(i)->name, name) == 0)
            return ctl_command_get(i);
    return NULL;
}

/* Bytes of the command's first word. */
static size_t first_word(const struct ctl_command *command)
{
    return strcspn(command->name, " ");
}

bool ctl_is_group(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < ctl_command_count(); i++)
        if (ctl_command_get(i)->name[first_word(ctl_command_get(i))] == ' ' && first_word(ctl_command_get(i)) == size &&
            strncmp(ctl_command_get(i)->name, name, size) == 0)
            return true;
    return false;
}

/* The name as two words with one space between, where there is a second. */
static const struct ctl_command *find_two_words(const char *first, const char *second)
{
    for (size_t i = 0; i < ctl_command_count(); i++) {
        const char *name = ctl_command_get(i)->name;
        size_t size = first_word(ctl_command_get(i));
        bool same = name[size] == ' ' && size == strlen(first) && strncmp(name, first, size) == 0 &&
                    strcmp(name + size + 1, second) == 0;
        if (same)
            return ctl_command_get(i);
    }
    return NULL;
}

static int unknown_command(struct ctl *ctl, const char *first)
{
    struct nearest nearest;
    nearest_init(&nearest, span_text(first));
    char groups[GROUPS_MAX][WORD_MAX];
    size_t count = 0;
    for (size_t i = 0; i < ctl_command_count() && count < GROUPS_MAX; i++) {
        size_t size = first_word(ctl_command_get(i));
        if (count && strlen(groups[count - 1]) == size &&
            memcmp(groups[count - 1], ctl_command_get(i)->name, size) == 0)
            continue; /* the rows of a group stand together */
        memcpy(groups[count], ctl_command_get(i)->name, size);
        groups[count][size] = 0;
        nearest_offer(&nearest, groups[count]);
        count++;
    }
    if (!ctl->is_my)
        nearest_offer(&nearest, "my");
    ctl_fail(ctl, EX_USAGE, "unknown command '%.64s'", first);
    if (nearest_get(&nearest))
        buf_printf(&ctl->problem, "; did you mean '%s'?", nearest_get(&nearest));
    else
        buf_printf(&ctl->problem, "; 'ostiary %s' lists them", ctl->is_my ? "my" : "help");
    return EX_USAGE;
}

static int unknown_second(struct ctl *ctl, const char *first, const char *second)
{
    struct nearest nearest;
    nearest_init(&nearest, span_text(second));
    for (size_t i = 0; i < ctl_command_count(); i++) {
        size_t size = first_word(ctl_command_get(i));
        if (size == strlen(first) && strncmp(ctl_command_get(i)->name, first, size) == 0)
            nearest_offer_as(&nearest, ctl_command_get(i)->name + size + 1, ctl_command_get(i)->name);
    }
    ctl_fail(ctl, EX_USAGE, "unknown command '%s %.64s'", first, second);
    if (nearest_get(&nearest))
        buf_printf(&ctl->problem, "; did you mean '%s'?", nearest_get(&nearest));
    else
        buf_printf(&ctl->problem, "; 'ostiary %s' lists them", first);
    return EX_USAGE;
}

static int unknown_option(struct ctl *ctl, const char *given)
{
    struct nearest nearest;
    const char *const common[] = {"config", "help", "json"}, *const mine[] = {"login", "login-stdin", "socket"};
    nearest_init(&nearest, span_text(given + strspn(given, "-")));
    for (const struct ctl_option *o = ctl->command->options; o->name; o++)
        nearest_offer(&nearest, o->name);
    for (size_t i = 0; i < (ctl->command->has_json ? 3u : 2u); i++)
        nearest_offer(&nearest, common[i]);
    for (size_t i = 0; ctl->is_my && i < 3; i++)
        nearest_offer(&nearest, mine[i]);
    ctl_fail(ctl, EX_USAGE, "'ostiary %s' has no option '%.64s'", ctl->command->name, given);
    if (nearest_get(&nearest))
        buf_printf(&ctl->problem, "; did you mean '--%s'?", nearest_get(&nearest));
    return EX_USAGE;
}

struct words {
    int at, count;
    char **words;
};

/* The value behind "--name=" or in the next word. NULL with the sentence written. */
static const char *take_value(struct ctl *ctl, struct words *w, const char *word, const char *name)
{
    const char *equals = strchr(word, '=');
    if (equals)
        return equals + 1;
    /* A forgotten value must not swallow the next option; "--name=--odd" gives one that looks so. */
    if (w->at >= w->count || (strncmp(w->words[w->at], "--", 2) == 0 && w->words[w->at][2])) {
        ctl_fail(ctl, EX_USAGE, "--%s needs a value", name);
        return NULL;
    }
    return w->words[w->at++];
}

static bool is_option(const char *word, const char *name)
{
    size_t size = strlen(name);
    return strncmp(word, "--", 2) == 0 && strncmp(word + 2, name, size) == 0 &&
           (word[2 + size] == 0 || word[2 + size] == '=');
}

static int parse_option(struct ctl *ctl, struct words *w, const char *word)
{
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        ctl->help = true;
        return 0;
    }
    if (ctl->command->has_json && strcmp(word, "--json") == 0) {
        ctl->json = true;
        return 0;
    }
    if (ctl->is_my && is_option(word, "login")) {
        ctl->login = take_value(ctl, w, word, "login");
        return ctl->login ? 0 : EX_USAGE;
    }
    if (ctl->is_my && is_option(word, "socket")) {
        ctl->socket = take_value(ctl, w, word, "socket");
        if (ctl->socket && *ctl->socket != '/')
            return ctl_fail(ctl, EX_USAGE, "--socket needs an absolute path like " SETTINGS_MY_SOCKET);
        return ctl->socket ? 0 : EX_USAGE;
    }
    if (ctl->is_my && strcmp(word, "--login-stdin") == 0) {
        ctl->login_stdin = true;
        return 0;
    }
    if (is_option(word, "config")) {
        ctl->config_path = take_value(ctl, w, word, "config");
        if (ctl->config_path && !*ctl->config_path)
            return ctl_fail(ctl, EX_USAGE, "--config needs the name of a file");
        return ctl->config_path ? 0 : EX_USAGE;
    }
    for (size_t i = 0; ctl->command->options[i].name; i++) {
        const struct ctl_option *option = &ctl->command->options[i];
        if (!is_option(word, option->name))
            continue;
        if (!option->value && strchr(word, '='))
            return ctl_fail(ctl, EX_USAGE, "--%s takes no value", option->name);
        ctl->options[i] = option->value ? take_value(ctl, w, word, option->name) : "";
        return ctl->options[i] ? 0 : EX_USAGE;
    }
    return unknown_option(ctl, word);
}

/* May the argument that says whose door be missing? */
static bool may_lack_owner(const struct ctl *ctl)
{
    return ctl->command->flags & CTL_OWNER && (ctl->is_my || ctl_is_for_site(ctl));
}

static int check_count(struct ctl *ctl)
{
    const struct ctl_command *c = ctl->command;
    size_t least = c->least && may_lack_owner(ctl) ? c->least - 1 : c->least;
    if (ctl->help || (ctl->argument_count >= least && ctl->argument_count <= c->most))
        return 0;
    if (ctl->argument_count > c->most)
        ctl_fail(ctl, EX_USAGE, "'%.64s' is too much; usage: ", ctl->arguments[c->most]);
    else
        ctl_fail(ctl, EX_USAGE, "usage: ");
    ctl_write_call(ctl, c, &ctl->problem);
    if (ctl->argument_count <= c->most) {
        buf_add_text(&ctl->problem, "; for example: ");
        ctl_write_example(ctl, c, &ctl->problem);
    }
    return EX_USAGE;
}

static int parse_rest(struct ctl *ctl, struct words *w)
{
    bool only_arguments = false;
    while (w->at < w->count) {
        char *word = w->words[w->at++];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && word[0] == '-' && word[1]) {
            int status = parse_option(ctl, w, word);
            if (status)
                return status;
        } else {
            ctl->arguments[ctl->argument_count++] = word;
        }
    }
    return check_count(ctl);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int ctl_parse(struct ctl *ctl, int argc, char **argv, char **arguments)
{
    *ctl = (struct ctl){.arguments = arguments, .topic = ""};
    buf_init(&ctl->out, CTL_OUTPUT_MAX);
    buf_init(&ctl->problem, 4096);
    const char *from_environment = getenv("OSTIARY_CONFIG");
    ctl->config_path = from_environment && *from_environment ? from_environment : CONFIG_DEFAULT;
    struct words w = {.at = 1, .count = argc, .words = argv};
    if (argc < 2 || is_help(argv[1])) {
        ctl->help = true;
        return 0;
    }
    const char *first = argv[w.at++];
    if (strcmp(first, "--version") == 0)
        first = "version";
    if (strcmp(first, "my") == 0) {
        ctl->is_my = true;
        ctl->help = w.at >= argc || is_help(argv[w.at]);
        if (ctl->help)
            return 0;
        first = argv[w.at++];
    }
    if (ctl_is_group(first)) {
        ctl->topic = first;
        ctl->help = w.at >= argc || is_help(argv[w.at]);
        if (ctl->help)
            return 0;
        ctl->command = find_two_words(first, argv[w.at]);
        if (!ctl->command)
            return unknown_second(ctl, first, argv[w.at]);
        w.at++;
    } else {
        ctl->command = ctl_find(first);
        if (!ctl->command)
            return unknown_command(ctl, first);
    }
    ctl->topic = ctl->command->name;
    if (ctl->is_my && !(ctl->command->flags & CTL_MINE))
        return ctl_fail(ctl, EX_USAGE, "'ostiary %s' is not for people's own doors; 'ostiary my' lists what is",
                        ctl->command->name);
    return parse_rest(ctl, &w);
}

bool ctl_is_for_site(const struct ctl *ctl)
{
    for (size_t i = 0; ctl->command->options[i].name; i++)
        if (strcmp(ctl->command->options[i].name, "site") == 0)
            return ctl->options[i];
    return false;
}

const char *ctl_option(const struct ctl *ctl, const char *name)
{
    for (size_t i = 0; ctl->command->options[i].name; i++)
        if (strcmp(ctl->command->options[i].name, name) == 0)
            return ctl->options[i];
    abort(); /* a command that asks for an option it does not declare */
}
