/* The program that reads and compiles the own black list: short-lived, started anew by the supervisor for each time,
 * so that text which may come from anywhere is parsed neither by root nor where keys are. It enters the sandbox of a
 * process that reads files and has no network, reads, compiles, writes the result to a memfd, tells the log what was
 * wrong, and ends. */
#ifndef PROC_BLACKLIST_HELPER_H
#define PROC_BLACKLIST_HELPER_H

/* The hidden word of the command line. Behind it: UID GID LOG-LEVEL LOG-TARGET DATA-DIRECTORY FILE... */
#define BLACKLIST_HELPER_WORD "blacklist-helper"
/* Its descriptors: where the compiled list goes, and the log. */
#define BLACKLIST_HELPER_OUT 3
#define BLACKLIST_HELPER_LOG 4
/* The file in the data directory that "ostiary blacklist" keeps. */
#define BLACKLIST_OWN_FILE "blacklist.txt"

/* Returns the exit status: EX_OK when the list is complete, with its problems in the log. */
int blacklist_helper_main(int argc, char **argv);

#endif
