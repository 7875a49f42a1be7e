/* What was refused a short while ago: a ring in memory, for `ostiary watch`. Everything in it came from clients or from
 * processes that strangers talk to, so texts are cut and made printable when they go in. No function waits.
 */
#ifndef AUTH_EVENTS_H
#define AUTH_EVENTS_H

#include "base/span.h"

#define EVENTS_MAX 1000 /* past that many the oldest is overwritten */

struct event {
    uint64_t number;  /* rises by one, from 1 */
    uint64_t at;      /* wall clock */
    const char *kind; /* static: "login refused" */
    char peer_address[48], account[128], reverse_path[128], recipient[128], reason[256], session[40];
    uint32_t code; /* of the reply, 0 where there is none */
    uint32_t delay_ms;
};

struct events {
    struct event *ring; /* NULL without memory: nothing is kept */
    uint64_t last;      /* the number of the last one, 0 before the first */
};

void events_init(struct events *e);
void events_release(struct events *e);
/* A new one, empty but for its number and time, to be filled with event_set(); NULL when nothing is kept. */
struct event *events_add(struct events *e, const char *kind, uint64_t now);
/* Copies a text into a field of an event, cut to its size, control characters replaced. */
void event_set_text(char *field, size_t room, struct span text);
#define event_set(event, field, text) event_set_text((event)->field, sizeof(event)->field, text)
/* The event of that number; NULL when it is not there yet, or not any more. */
const struct event *events_get(const struct events *e, uint64_t number);
/* The number of the oldest one that is there; last + 1 when there is none. */
uint64_t events_first(const struct events *e);

#endif
