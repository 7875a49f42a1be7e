/* Where the log goes: stderr, syslog's socket, or a file that is rotated by day (UTC, as the log's times are) and by
 * size. The supervisor opens it and hands the descriptor to all; a record is never cut, because every line is one
 * append. */
#ifndef PROC_LOG_FILE_H
#define PROC_LOG_FILE_H

#include "config/settings.h"

struct log_file {
    enum log_target target;
    int fd;       /* -1 before it is opened; ours to close when it is not stderr */
    char *path;   /* NULL unless it is a file */
    uint64_t day; /* since 1970, of what stands in the file */
    uint64_t size_max;
    unsigned keep;
};

void log_file_init(struct log_file *f);
/* Opens what the settings say, and makes it this process's log. A file is made with mode 0640. 0, or a negative errno
 * with a sentence; then all is as before. */
MUST_USE int log_file_open(struct log_file *f, const struct settings *settings, struct buf *problem);
/* When the day is over or the file too large: renames it to PATH.1 (and those before one up, the oldest goes), opens a
 * new one. True when it did; then the descriptor is another. A rotation that fails is told in the log, and the old file
 * goes on. */
MUST_USE bool log_file_rotate(struct log_file *f, uint64_t now /* wall clock, nanoseconds */);
void log_file_close(struct log_file *f);

#endif
