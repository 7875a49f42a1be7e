/* reject.log in the data directory: one line for each refused sender, for people and for their scripts.
 *
 *   time TAB direct|fetched TAB recipient TAB sender TAB ip TAB helo TAB rule TAB evidence TAB reply TAB reference
 *
 * and, where one line stands for many refusals, TAB "N times until TIME". The time is UTC; an empty sender is <>. In
 * what others gave, control characters, "\" and bytes that are no UTF-8 are written as \xNN. Lines are gathered and
 * written with one call. At ledger.reject_log_size the file becomes reject.log.1, that one reject.log.2, and so on.
 * What cannot be written is dropped and counted; mail never waits for this file.
 */
#ifndef STORE_REJECT_LOG_H
#define STORE_REJECT_LOG_H

#include "base/buf.h"

#define REJECT_LOG_NAME "reject.log"
#define REJECT_LOG_GATHERED_MAX (1u << 20) /* bytes; more lines than that at one time are dropped */

struct ledger_row;

struct reject_log {
    int directory; /* borrowed */
    int fd;        /* -1: not open */
    bool is_on;
    uint64_t size, size_max;
    unsigned keep;
    struct buf lines;
    uint64_t dropped; /* lines, since it was last said */
    bool in_trouble;  /* said in the log; cleared when writing works again */
};

void reject_log_init(struct reject_log *log, int directory);
void reject_log_release(struct reject_log *log);
/* Pure: appends the line with its line end. */
void reject_log_line(const struct ledger_row *row, struct buf *out);
/* Gathers a line. */
void reject_log_add(struct reject_log *log, const struct ledger_row *row);
/* Writes what was gathered: after the commit. A trouble is a Problem in the log, once until it is over. */
void reject_log_flush(struct reject_log *log);
/* Forgets what was gathered: the transaction did not happen. */
void reject_log_forget(struct reject_log *log);

#endif
