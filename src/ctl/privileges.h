/* Giving up root before the words of strangers are read. */
#ifndef CTL_PRIVILEGES_H
#define CTL_PRIVILEGES_H

#include "config/settings.h"

/* Root becomes the server's user for good, or nobody where there is no such user; anybody else stays. 0 or a negative
 * errno. */
MUST_USE int privileges_drop(const struct settings *settings);

#endif
