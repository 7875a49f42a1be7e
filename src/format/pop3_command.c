#include "format/pop3_command.h"

enum shape {
    NOTHING,
    REST,        /* the rest of the line is the argument, and there must be one */
    REST_OR_NOT, /* the same, and it may be missing */
    PASSWORD,
    NAME_DIGEST,
    UP_TO_TWO_WORDS,
    NUMBER,
    NUMBER_OR_NOT,
    NUMBER_AND_LINES,
};

/* In the order of enum pop3_verb. `problem` is said when the arguments don't have the shape. */
static const struct {
    const char *name;
    enum shape shape;
    const char *problem;
} verbs[] = {
    [POP3_USER] = {"USER", REST, "USER needs a name"},
    [POP3_PASS] = {"PASS", PASSWORD, "PASS needs a password"},
    [POP3_APOP] = {"APOP", NAME_DIGEST, "APOP needs a name and a digest"},
    [POP3_AUTH] = {"AUTH", UP_TO_TWO_WORDS, "AUTH takes a mechanism and an initial response"},
    [POP3_STLS] = {"STLS", NOTHING, "STLS takes no argument"},
    [POP3_CAPA] = {"CAPA", NOTHING, "CAPA takes no argument"},
    [POP3_TOP] = {"TOP", NUMBER_AND_LINES, "TOP needs a message number and a number of lines"},
    [POP3_UIDL] = {"UIDL", NUMBER_OR_NOT, "UIDL takes a message number or nothing"},
    [POP3_LIST] = {"LIST", NUMBER_OR_NOT, "LIST takes a message number or nothing"},
    [POP3_RETR] = {"RETR", NUMBER, "RETR needs a message number"},
    [POP3_DELE] = {"DELE", NUMBER, "DELE needs a message number"},
    [POP3_NOOP] = {"NOOP", NOTHING, "NOOP takes no argument"},
    [POP3_RSET] = {"RSET", NOTHING, "RSET takes no argument"},
    [POP3_STAT] = {"STAT", NOTHING, "STAT takes no argument"},
    [POP3_QUIT] = {"QUIT", NOTHING, "QUIT takes no argument"},
    [POP3_UTF8] = {"UTF8", NOTHING, "UTF8 takes no argument"},
    [POP3_LANG] = {"LANG", REST_OR_NOT, "LANG takes a language tag or nothing"},
    [POP3_XTND] = {"XTND", REST, "XTND needs an argument"},
};

const char *pop3_verb_name(enum pop3_verb verb)
{
    return verb < POP3_UNKNOWN ? verbs[verb].name : "UNKNOWN";
}

static enum pop3_verb find_verb(struct span word)
{
    for (size_t i = 0; i < POP3_UNKNOWN; i++)
        if (span_is_nocase(word, verbs[i].name))
            return (enum pop3_verb)i;
    return POP3_UNKNOWN;
}

static void add_argument(struct pop3_command *command, struct span argument)
{
    command->argument[command->arguments++] = argument;
}

/* RFC 1939 has APOP's name first; a name may hold spaces (PASS and USER allow them too), a digest may not: cut at the
 * last. */
static bool take_name_and_digest(struct span rest, struct pop3_command *command)
{
    size_t at = span_find_last(rest, ' ');

    if (at == rest.size)
        return false;
    add_argument(command, span_trim(span_head(rest, at)));
    add_argument(command, span_skip(rest, at + 1));
    return true;
}

static bool take_words(struct span rest, struct pop3_command *command)
{
    while (rest.size && command->arguments < 2) {
        add_argument(command, span_cut(&rest, ' '));
        rest = span_trim(rest);
    }
    return rest.size == 0;
}

static bool take_numbers(struct span rest, unsigned least, unsigned most, struct pop3_command *command)
{
    while (rest.size && command->numbers < most) {
        uint64_t value;
        if (!span_parse_u64(span_cut(&rest, ' '), UINT32_MAX, &value) || (command->numbers == 0 && value == 0))
            return false;
        command->number[command->numbers++] = (uint32_t)value;
        rest = span_trim(rest);
    }
    return rest.size == 0 && command->numbers >= least;
}

/* `rest` is what stands behind the verb, its first space included. */
static bool take_arguments(struct span rest, enum shape shape, struct pop3_command *command)
{
    if (shape == PASSWORD) {
        /* Every byte behind the one space belongs to the password, other spaces too: RFC 1939 section 7. */
        add_argument(command, span_skip(rest, 1));
        return rest.size > 1;
    }
    rest = span_trim(rest);
    switch (shape) {
    case REST:
    case REST_OR_NOT:
        if (rest.size)
            add_argument(command, rest);
        return rest.size || shape == REST_OR_NOT;
    case NAME_DIGEST:
        return take_name_and_digest(rest, command);
    case UP_TO_TWO_WORDS:
        return take_words(rest, command);
    case NUMBER:
        return take_numbers(rest, 1, 1, command);
    case NUMBER_OR_NOT:
        return take_numbers(rest, 0, 1, command);
    case NUMBER_AND_LINES:
        return take_numbers(rest, 2, 2, command);
    case NOTHING:
    default:
        return rest.size == 0;
    }
}

static bool has_control(struct span s, bool allow_tab)
{
    for (size_t i = 0; i < s.size; i++)
        if (((unsigned char)s.data[i] < 32 && !(allow_tab && s.data[i] == '\t')) || s.data[i] == 127)
            return true;
    return false;
}

const char *pop3_command_parse(struct span line, struct pop3_command *command)
{
    struct span word = span_head(line, span_find(line, ' '));

    *command = (struct pop3_command){.verb = find_verb(word), .word = word};
    if (has_control(line, command->verb == POP3_PASS))
        return "a control character in the command line";
    if (command->verb == POP3_UNKNOWN)
        return NULL;
    if (!take_arguments(span_skip(line, word.size), verbs[command->verb].shape, command))
        return verbs[command->verb].problem;
    return NULL;
}
