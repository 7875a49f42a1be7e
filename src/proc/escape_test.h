/* The escape test: in a test build, with OSTIARY_ESCAPE_TEST set, each process tries to get out of its sandbox right
 * after entering it, and logs one record for each attempt: role, attempt, and the errno it met ("none" when it got
 * through). tests/system/test_processes.py holds what is expected. */
#ifndef PROC_ESCAPE_TEST_H
#define PROC_ESCAPE_TEST_H

#include "proc/roles.h"

/* `inside`: the data directory as it is reached from the sandbox. Does nothing in other builds. */
void escape_test_run(const struct role_row *row, const char *inside);

#endif
