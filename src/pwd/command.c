#include "pwd/command.h"

enum shape { NOTHING, NAME, PASSWORD };

/* In the order of enum pwd_verb. `problem` is said when the argument does not have the shape. */
static const struct {
    const char *name;
    enum shape shape;
    const char *problem;
} verbs[] = {
    [PWD_USER] = {"USER", NAME, "USER needs a name"},
    [PWD_PASS] = {"PASS", PASSWORD, "PASS needs a password"},
    [PWD_NEWPASS] = {"NEWPASS", PASSWORD, "NEWPASS needs a password"},
    [PWD_STLS] = {"STLS", NOTHING, "STLS takes no argument"},
    [PWD_QUIT] = {"QUIT", NOTHING, "QUIT takes no argument"},
};

static enum pwd_verb find_verb(struct span word)
{
    for (size_t i = 0; i < PWD_UNKNOWN; i++)
        if (span_is_nocase(word, verbs[i].name))
            return (enum pwd_verb)i;
    return PWD_UNKNOWN;
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < 32 || s.data[i] == 127)
            return true;
    return false;
}

const char *pwd_command_parse(struct span line, struct pwd_command *command)
{
    struct span word = span_head(line, span_find(line, ' ')), rest = span_skip(line, word.size + 1);
    *command = (struct pwd_command){.verb = find_verb(word)};
    if (has_control(line))
        return "a control character in the command line";
    if (command->verb == PWD_UNKNOWN)
        return NULL;
    enum shape shape = verbs[command->verb].shape;
    if (shape != PASSWORD)
        rest = span_trim(rest);
    if ((rest.size == 0) != (shape == NOTHING))
        return verbs[command->verb].problem;
    command->argument = rest;
    return NULL;
}
