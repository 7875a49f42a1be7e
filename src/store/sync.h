/* Names that outlive a power cut: a new name in a directory is durable only when that directory was synced, too. Waits
 * for the disk. */
#ifndef STORE_SYNC_H
#define STORE_SYNC_H

#include "base/buf.h"

/* The names in it. 0 or -errno. */
MUST_USE int sync_directory(int directory);
/* The name of the directory at `path` in the one above. One above that we may not read was made, and is looked after,
 * by somebody else: that is no error. 0 or -errno. */
MUST_USE int sync_name(const char *path);

#endif
