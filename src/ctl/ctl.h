/* The command line: one table of commands (ctl/commands.c), each a function from its parsed arguments to an exit status
 * of sysexits(3).
 *
 * A command gathers what it prints in `out`, which is written when it ends; what went wrong is one sentence in
 * `problem`, which goes to stderr behind "ostiary: ". Passwords never come from the arguments, where other users of the
 * machine could read them. */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "base/buf.h"
#include "config/settings.h"

#define CTL_OPTIONS_MAX 16
#define CTL_OUTPUT_MAX (256u << 20)

struct ctl;

struct ctl_option {
    const char *name;  /* without its dashes; NULL ends an array */
    const char *value; /* what it takes ("SIZE"), NULL for a mere switch */
    const char *explanation;
};

struct ctl_command {
    const char *name;      /* "account add" */
    const char *arguments; /* "ADDRESS TARGET..." */
    size_t least, most;    /* how many of them */
    bool has_json;         /* takes --json */
    const char *summary;
    const char *example; /* the whole line, without "ostiary" */
    struct ctl_option options[CTL_OPTIONS_MAX + 1];
    int (*run)(struct ctl *ctl);         /* its exit status */
    unsigned flags;                      /* CTL_MINE, CTL_OWNER */
    void (*write_more)(struct buf *out); /* appends to its help what the table can't say; NULL: there is nothing */
};

/* People may use it for their own door: "ostiary my NAME ..." (ctl/door_client.h). */
#define CTL_MINE 1u
/* Its first argument says whose door: ADDRESS or @DOMAIN. It is left out with --site, where the command
 * has that, and may be left out behind "my". */
#define CTL_OWNER 2u

/* The table: i from 0 to ctl_command_count() - 1. The rows of a group ("account ...") stand together. */
size_t ctl_command_count(void);
const struct ctl_command *ctl_command_get(size_t i);

struct ctl {
    const struct ctl_command *command; /* NULL when `help` is about several */
    const char *topic;                 /* help: a command, a group ("account"), "" for all */
    bool help, json;
    bool is_my;         /* "ostiary my ...": asked by a person, who logs in */
    const char *login;  /* with is_my: --login, NULL when not given */
    const char *socket; /* with is_my: --socket, NULL when not given */
    bool login_stdin;   /* with is_my: the password is the first line of standard input */
    const char *config_path;
    char **arguments;
    size_t argument_count;
    const char *options[CTL_OPTIONS_MAX]; /* in the command's order: NULL when not given, "" for a switch */
    struct buf out, problem;
};

/* The whole program but for the servers' own processes: parses, runs, prints. The exit status. */
int ctl_main(int argc, char **argv);

/* Pure: reads the words behind the program's name. `arguments` has room for argc pointers. 0, or EX_USAGE with a
 * sentence in ctl->problem. */
MUST_USE int ctl_parse(struct ctl *ctl, int argc, char **argv, char **arguments);
/* The option's value ("" for a switch), NULL when it was not given. Its name must stand in the command's table. */
const char *ctl_option(const struct ctl *ctl, const char *name);
/* Was --site given, to a command that has it? */
bool ctl_is_for_site(const struct ctl *ctl);
/* The command of that name, NULL when there is none. */
const struct ctl_command *ctl_find(const char *name);
/* Is it the first word of some commands? */
bool ctl_is_group(const char *name);

/* Appends the help text of ctl->topic. */
void ctl_write_help(struct ctl *ctl);

/* Appends how the command is called ("ostiary my rules set [ADDRESS] SETTING=VALUE...", without its options), and its
 * example; for a person (ctl->is_my) without what names somebody else's door. */
void ctl_write_call(const struct ctl *ctl, const struct ctl_command *c, struct buf *out);
void ctl_write_example(const struct ctl *ctl, const struct ctl_command *c, struct buf *out);

/* Appends "1 message", "2 messages". */
void ctl_write_count(struct buf *out, uint64_t count, const char *what);
/* Writes the sentence to ctl->problem and returns status. */
int ctl_fail(struct ctl *ctl, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* EX_USAGE with what is asked ("whose passcode? give one name") and the command's example. */
int ctl_ask(struct ctl *ctl, const char *question);
/* The settings of ctl->config_path. NULL with the sentence written; the command then ends with EX_CONFIG. */
MUST_USE struct settings *ctl_read_settings(struct ctl *ctl);

#endif
