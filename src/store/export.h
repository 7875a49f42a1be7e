/* A person's mail, message by message, for other programs. Reads only; a server may run meanwhile. Waits for the disk
 * only. */
#ifndef STORE_EXPORT_H
#define STORE_EXPORT_H

#include "base/buf.h"

struct exported_message {
    struct span mailbox; /* "INBOX", "Archive/2019" */
    uint32_t uid;
    uint64_t flags, received_at; /* FLAG_*; nanoseconds since 1970 */
    struct span text;
};

struct export_job {
    const char *data_directory;
    struct span account; /* local@domain, in lower case */
    /* Takes one; spans are good until it returns. Not 0 ends the export with that. */
    int (*take)(void *context, const struct exported_message *message, struct buf *problem);
    /* One that is damaged: the export goes on. */
    void (*damaged)(void *context, const struct exported_message *message);
    void *context;
};

/* All mailboxes in the order in which they were made, each by uid. 0; -ENOENT: there is no such account; a negative
 * errno; each with a sentence. */
MUST_USE int store_export(const struct export_job *job, struct buf *problem);

#endif
