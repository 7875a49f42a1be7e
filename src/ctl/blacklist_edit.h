/* The file that "ostiary blacklist add", "remove" and "import" keep: blacklist.txt in the data directory. */
#ifndef CTL_BLACKLIST_EDIT_H
#define CTL_BLACKLIST_EDIT_H

#include "ctl/ctl.h"

#define BLACKLIST_EDIT_MAX (256u << 20)

/* Changes the file as a whole: `change` gets its text (empty when there is no file) and appends the new text to `out`.
 * It returns an exit status; with EX_OK the new text is written beside the old one, synced and renamed over it, under a
 * lock that keeps two commands from undoing one another's work. When it sets *unchanged nothing is written. Then a
 * running server is asked to read its black list again. As root the file is given to the data directory's owner, who
 * is not trusted: links are not followed. Returns the exit status, with the sentence in ctl->problem. */
MUST_USE int blacklist_edit(struct ctl *ctl, const struct settings *settings,
                            int (*change)(struct ctl *ctl, void *context, struct span text, struct buf *out,
                                          bool *unchanged),
                            void *context);

#endif
