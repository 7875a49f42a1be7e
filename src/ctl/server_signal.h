/* Signals to the running server, which is found by its control socket: no file has its number, so none can be stale. */
#ifndef CTL_SERVER_SIGNAL_H
#define CTL_SERVER_SIGNAL_H

#include "ctl/ctl.h"

enum server_signal_result { SERVER_SIGNALLED, SERVER_NOT_RUNNING, SERVER_NOT_ALLOWED };

/* The number is SIGHUP (read the configuration again) or SIGUSR1 (the black list). */
enum server_signal_result server_signal(const struct settings *settings, int number);

#endif
