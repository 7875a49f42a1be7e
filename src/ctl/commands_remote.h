/* Rows of the table of commands (ctl/commands.c): remote accounts. */
#ifndef CTL_COMMANDS_REMOTE_H
#define CTL_COMMANDS_REMOTE_H

#define REMOTE_COMMANDS                                                                                     \
    {"remote add",                                                                                          \
     "ADDRESS NAME SETTING=VALUE...",                                                                       \
     3,                                                                                                     \
     20,                                                                                                    \
     true,                                                                                                  \
     "Has a person's mail fetched from their account at another provider (POP3).",                          \
     "remote add alice@example.org work host=pop.example.net login=alice leave=yes delete-after=7d",        \
     {{"password-stdin", NULL, "Reads the password there from the first line of standard input."}},         \
     ctl_remote_add,                                                                                        \
     CTL_MINE | CTL_OWNER,                                                                                  \
     ctl_remote_write_settings},                                                                            \
        {"remote set",                                                                                      \
         "ADDRESS NAME SETTING=VALUE...",                                                                   \
         2,                                                                                                 \
         20,                                                                                                \
         true,                                                                                              \
         "Changes it; asks for the password where the server is another, or with --password-stdin.",        \
         "remote set alice@example.org work interval=5m",                                                   \
         {{"password-stdin", NULL, "Reads a new password from the first line of standard input."}},         \
         ctl_remote_set,                                                                                    \
         CTL_MINE | CTL_OWNER,                                                                              \
         ctl_remote_write_settings},                                                                        \
        {"remote remove",                                                                                   \
         "ADDRESS NAME",                                                                                    \
         2,                                                                                                 \
         2,                                                                                                 \
         true,                                                                                              \
         "Fetches from there no more; mail that was fetched stays.",                                        \
         "remote remove alice@example.org work",                                                            \
         {{0}},                                                                                             \
         ctl_remote_remove,                                                                                 \
         CTL_MINE | CTL_OWNER},                                                                             \
        {"remote list",                                                                                     \
         "[ADDRESS]",                                                                                       \
         0,                                                                                                 \
         1,                                                                                                 \
         true,                                                                                              \
         "Shows from where mail is fetched, when it was last and is next, and what went wrong.",            \
         "remote list alice@example.org",                                                                   \
         {{0}},                                                                                             \
         ctl_remote_list,                                                                                   \
         CTL_MINE},                                                                                         \
    {                                                                                                       \
        "remote fetch", "[ADDRESS [NAME]]", 0, 2, true, "Fetches at once, from all of them or from some.",  \
            "remote fetch alice@example.org --now",                                                         \
            {{"now", NULL, "Waits until it is done, and shows how far it is."}}, ctl_remote_fetch, CTL_MINE \
    }

#endif
