/* What can be said about a configuration beyond its file: whether what it names can be used, and what is allowed but
 * hardly meant. */
#ifndef CTL_CONFIG_LOOK_H
#define CTL_CONFIG_LOOK_H

#include "ctl/ctl.h"

/* 0, or EX_CONFIG with the sentence why the server would not start: its user is missing, its certificate or key can't
 * be used. Appends to `notes` a line for each thing that is worth knowing: nobody can log in, a limit is below what the
 * standard asks for, the certificate runs out. A file that only root may read is a note when somebody else asks. */
MUST_USE int config_look(struct ctl *ctl, const struct settings *settings, struct buf *notes);
/* 0, or EX_CONFIG with the sentence why the script can't be used: a reload refuses it, a start goes on without it.
 * Tries it in a process of its own, which may take as long as script.seconds allows. */
MUST_USE int config_look_at_script(struct ctl *ctl, const struct settings *settings);
/* The notes that need no file. Pure. */
void config_advise(const struct settings *settings, struct buf *notes);

#endif
