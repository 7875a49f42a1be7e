/* What an account or a mailing list is told of itself on the command line and in a file that is imported. */
#ifndef CTL_FIELDS_H
#define CTL_FIELDS_H

#include "base/arena.h"
#include "ctl/ctl.h"

#define FIELD_NAME_MAX 200 /* bytes */

/* A person's or a list's name: UTF-8 without control characters. 0, or EX_DATAERR with the sentence. */
MUST_USE int ctl_check_name(struct ctl *ctl, struct span name);
/* A quota like "500M" or "0". `called` is what the sentence calls it ("--quota"). */
MUST_USE int ctl_parse_quota(struct ctl *ctl, const char *called, struct span text, struct arena *arena,
                             uint64_t *bytes);

#endif
