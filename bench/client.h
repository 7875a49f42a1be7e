/* What the bench's clients share: sockets to a server on loopback. Load tools, no part of the product: whatever goes
 * wrong ends the program with a sentence. All calls wait. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* Ends the program: "PROGRAM: what: errno's sentence". */
_Noreturn void die(const char *what);

/* Seconds of a clock that only goes forward. */
double now(void);

/* A connection from 127.0.0.1 + source: 10,000 connections each, and the ports suffice. */
int connect_from(unsigned source, const char *address, unsigned port);

void say(int fd, const char *text);
/* Reads until the given bytes end what was read; a reply that begins with -ERR ends the program. */
void expect(int fd, const char *end);
/* Reads one SMTP reply with all its lines; false when it begins with 4 or 5. */
bool expect_reply(int fd);

/* An account's name: the pattern with the number in the place of its first *. */
void write_login(const char *pattern, unsigned number, char *out, size_t room);
/* POP3's USER and PASS, each reply waited for. */
void log_in(int fd, const char *pattern, unsigned number, const char *password);

#endif
