/* Reads the text files of the own black list, with what they include, into a builder. Blocks while it reads: for
 * short-lived programs (the supervisor's helper, the command line), never for a process that serves. */
#ifndef POLICY_BLACKLIST_FILES_H
#define POLICY_BLACKLIST_FILES_H

#include "policy/blacklist_compile.h"

/* How deep files may include one another. */
#define BLACKLIST_DEPTH_MAX 8
/* Bytes of all files together. */
#define BLACKLIST_BYTES_MAX (256u << 20)

struct blacklist_files {
    struct blacklist_builder builder;
    /* Is told each problem: the file and line (0: the file as a whole) and a sentence. What is bad is left out, the
     * rest is used. */
    void (*problem)(void *context, struct span file, uint32_t line, struct span sentence);
    /* Is told each entry; NULL: nobody. */
    void (*entry)(void *context, struct span file, uint32_t line, enum blacklist_line kind,
                  const struct blacklist_entry *entry);
    void *context;
    size_t problem_count;
    size_t bytes;
    /* Paths below `directory` (NULL: none) are opened by `directory_fd` (borrowed), for who may not come there by
     * name. Set after init. */
    const char *directory;
    int directory_fd;
    struct buf seen; /* of each file read: device and inode */
};

void blacklist_files_init(struct blacklist_files *files,
                          void (*problem)(void *context, struct span file, uint32_t line, struct span sentence),
                          void *context);
void blacklist_files_release(struct blacklist_files *files);

/* Reads one. `may_be_missing`: then nothing is said. A relative path in an include is relative to the file that has it.
 * 0 also when there were problems; a negative errno when the list as a whole can't be made (-ENOMEM, -ENOSPC), which
 * was told as a problem. */
MUST_USE int blacklist_files_read(struct blacklist_files *files, const char *path, bool may_be_missing);
/* Compiles all that was read; see blacklist_compile. */
MUST_USE int blacklist_files_compile(struct blacklist_files *files, struct buf *out);

#endif
