/* The throwaway server: what it writes before the ordinary server is started. */
#ifndef CTL_SANDBOX_H
#define CTL_SANDBOX_H

#include "ctl/ctl.h"

#define SANDBOX_DOMAIN "example.test"
#define SANDBOX_PASSWORD "sandbox"
#define SANDBOX_PORT_BASE 10000
#define SANDBOX_PORT_BASE_MAX (65535 - 995)

struct sandbox {
    struct ctl *ctl;
    char *directory; /* absolute */
    bool temporary;  /* removed at the end */
    bool has_base;   /* --port-base was given */
    unsigned port_base;
    int ready_fd;
    struct buf config_path;
    struct settings *settings;
};

/* Makes the directory, the configuration file, its certificate (each only where it is missing), and reads the file. 0
 * or an exit status with the sentence. */
MUST_USE int sandbox_make_files(struct sandbox *s);
/* Removes the directory and all that is in it. */
void sandbox_remove_files(const struct sandbox *s);
/* Domain, accounts and the alias, those that are missing; through a writer of our own, before the server starts. */
MUST_USE int sandbox_fill(struct sandbox *s);
/* Appends the configuration file of a new sandbox. */
void sandbox_write_config(const struct sandbox *s, struct buf *out);

#endif
