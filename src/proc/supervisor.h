/* The supervisor: the first process, and the only one that keeps root. It holds the configuration, the listening
 * sockets and the log file; starts the others (roles.h is the table), gives them what they need over their control
 * channels, and starts them again when they die.
 *
 * It never reads a byte from the network, and takes from its children one word only (that they are ready). What it
 * keeps after the start, and why: root, when it was started so, for ports below 1024, the TLS key and the log file at a
 * reload; the grant key and the TLS key in memory, for processes that are started again.
 *
 * Signals: SIGTERM and SIGINT end the server in order (gates and desks finish or refuse what is in hand within
 * processes.stop_grace seconds, then readers and auth, the writer last); a second SIGINT ends it at once, which loses
 * nothing that was acknowledged. SIGHUP reads the configuration again: a bad one is told in the log and the old one
 * stays. Sessions keep what they began with, the certificate of their TLS included. The numbers of processes, the user,
 * the data directory, and more connections than at the start, change at the next start only; the log says so.
 */
#ifndef PROC_SUPERVISOR_H
#define PROC_SUPERVISOR_H

#include "config/settings.h"

struct supervisor_options {
    /* Called once, when every process serves. May be NULL. */
    void (*ready)(void *context);
    void *context;
};

/* Runs the server in the foreground until it is told to end. `settings` are those of config_path, which a reload reads
 * again; the reference is taken. Returns the exit status (sysexits): 0 after an orderly end; EX_CONFIG, EX_CANTCREAT or
 * EX_UNAVAILABLE with a sentence on stderr when it can't start. */
int supervisor_run(const char *config_path, struct settings *settings, const struct supervisor_options *options);

#endif
