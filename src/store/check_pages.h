/* The pages of a database file, each by its checksum (store/checksum_vfs.h). */
#ifndef STORE_CHECK_PAGES_H
#define STORE_CHECK_PAGES_H

#include "base/span.h"

#define CHECK_PAGES_TOLD 1000

struct check_pages {
    uint64_t pages, damaged;            /* looked at; not as they were written */
    uint32_t numbers[CHECK_PAGES_TOLD]; /* of the first of those */
    bool have_checksums;                /* else nothing is known */
};

/* Looks at all of them. A server may write meanwhile: what looks wrong is looked at again. 0 or a negative errno. Waits
 * for the disk only. */
MUST_USE int check_pages(const char *path, struct check_pages *result);

#endif
