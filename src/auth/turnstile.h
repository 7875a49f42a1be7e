/* A turnstile before the password hash. The hash takes the whole process for tens of milliseconds, so one fiber at a
 * time comes through and the loop reads in between; sources without failures come before those with some. Somebody who
 * guesses can so delay himself, and others by one hash each.
 */
#ifndef AUTH_TURNSTILE_H
#define AUTH_TURNSTILE_H

#include "run/fiber.h"

enum turnstile_line { TURNSTILE_CLEAN, TURNSTILE_SUSPECT, TURNSTILE_LINES };

/* Waiting in one line; past it the caller is sent away. */
#define TURNSTILE_MAX 512

struct turnstile {
    bool is_taken;
    size_t waiting[TURNSTILE_LINES];
    struct list_node lines[TURNSTILE_LINES];
};

void turnstile_init(struct turnstile *t);
/* Waits for one's turn. 0: turnstile_leave() must follow. -EAGAIN: the line is full. -ETIMEDOUT, -ECANCELED. */
MUST_USE int turnstile_enter(struct fiber *self, struct turnstile *t, enum turnstile_line line, uint64_t deadline);
void turnstile_leave(struct turnstile *t);

#endif
