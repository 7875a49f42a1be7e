/* Files that a command is given to read. */
#ifndef CTL_INPUT_FILE_H
#define CTL_INPUT_FILE_H

#include "ctl/ctl.h"

/* Appends all of the file ("-": standard input) to `text`, whose limit is the largest size. EX_NOINPUT, or EX_DATAERR
 * where it is larger, with the sentence; or 0. */
MUST_USE int input_file_read(struct ctl *ctl, const char *path, struct buf *text);

#endif
