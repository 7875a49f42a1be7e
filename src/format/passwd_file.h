/* A line of Dovecot's passwd-file: user:{SCHEME}password:uid:gid:gecos:home:shell:extra fields, of which all behind the
 * password may be missing. Pure; no function waits. */
#ifndef FORMAT_PASSWD_FILE_H
#define FORMAT_PASSWD_FILE_H

#include "base/span.h"

struct passwd_line {
    struct span user;     /* with or without a domain */
    struct span password; /* with its {SCHEME}, or without */
    struct span name;     /* the gecos field up to its first comma */
    uint64_t quota;       /* bytes, 0: none is named */
    bool has_quota;
};

/* Is it empty or a comment? */
bool passwd_line_is_blank(struct span line);
/* Spans point into the line, which is without its end. NULL, or a short sentence in lower case. */
MUST_USE const char *passwd_line_parse(struct span line, struct passwd_line *out);

/* A quota rule of Dovecot: "*:storage=1G", "*:bytes=1048576:messages=1000". Storage without a unit is in kilobytes. A
 * rule for other folders than "*", or without a limit on storage, says nothing: *bytes is left alone. NULL or a
 * sentence. */
MUST_USE const char *dovecot_quota_parse(struct span rule, uint64_t *bytes, bool *said);

#endif
