/* The two lists behind sandbox_enter(). */
#ifndef RUN_SANDBOX_INTERNAL_H
#define RUN_SANDBOX_INTERNAL_H

#include "run/sandbox.h"

/* `path` is the directory as it is reached now. 0 also where the kernel has no Landlock. */
MUST_USE int sandbox_restrict_paths(const struct sandbox_profile *profile, const char *path, struct buf *problem);
/* no_new_privs must be set. */
MUST_USE int sandbox_restrict_calls(const struct sandbox_profile *profile, struct buf *problem);

#endif
