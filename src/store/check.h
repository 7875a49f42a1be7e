/* Everything that can be verified about a store: every record and body in the volumes by its checksums, every reference
 * between database and volumes, every counter. Only reads; a server may be running meanwhile. Waits for the disk only.
 */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "base/buf.h"

struct store_check_report {
    uint64_t volumes, records, messages, bytes; /* looked at */
    uint64_t problems;                          /* 0: all is well */
    struct buf text; /* one sentence a line for each problem, the first thousands of them; released by the caller */
};

typedef void store_check_progress(void *context, uint64_t done_bytes, uint64_t all_bytes);

/* 0 when it could be done, whatever was found; a negative errno with a sentence in report->text when it could not.
 * `progress` may be NULL. */
MUST_USE int store_check(const char *data_directory, struct store_check_report *report, store_check_progress *progress,
                         void *context);

#endif
