/* The log: one line a record: timestamp, level, component, session id, words, key=value.
 *
 *   2026-11-21T23:41:38.123Z 1 FAILURE smtp 4f2a-17 recipient refused ip=192.0.2.7 rcpt=<x@example.org>
 * reply="550 5.1.1 …"
 *
 * Levels are those of SIMS: Crash 0, Failure 1 (a refused return-path, recipient or login), Major 2, Problem 3, Low 4,
 * All 5. Lines are gathered in memory and written whole by log_flush(), which the loop calls once a turn, so that
 * several processes can share one O_APPEND file. A Crash record is written at once. Values are quoted where they hold
 * spaces, quotes or control characters, so a peer's bytes can't forge a record. Never pass a secret.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/span.h"

enum log_level { LOG_CRASH, LOG_FAILURE, LOG_MAJOR, LOG_PROBLEM, LOG_LOW, LOG_ALL };

enum log_target { LOG_TO_FD, LOG_TO_SYSLOG };

/* Sends from now on to `fd` (borrowed): a file or pipe that takes appended lines, or a datagram socket connected to
 * /dev/log. */
void log_open(enum log_target target, int fd);
/* Records above `level` are dropped. The default is LOG_LOW. */
void log_set_level(enum log_level level);
bool log_wants(enum log_level level);
/* The name of a level as the config writes it ("failure"), and back; -1 when there is none of that name. */
const char *log_level_name(enum log_level level);
int log_level_parse(struct span name);

/* `session` may be NULL. The text: printf format with the convention "words key=value key=value". Use log_quote for
 * what peers sent. */
void log_write(enum log_level level, const char *component, const char *session, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void log_flush(void);

/* s made safe for a value and for a terminal that shows it (UTF-8, without what controls it or turns the line around),
 * in one of eight static places used in turn (so up to eight in one log_write): quoted and escaped where needed, cut to
 * 256 bytes. */
const char *log_quote(struct span s);

#endif
