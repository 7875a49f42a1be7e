/* The player's state, shared by player.c (connections, time) and steps.c (what the keywords do). */
#ifndef DIALOGUE_PLAYER_INTERNAL_H
#define DIALOGUE_PLAYER_INTERNAL_H

#include "base/map.h"
#include "client.h"
#include "script.h"
#include "service.h"

#define CONNECTIONS 4

struct connection {
    const char *name; /* also the session's id in the log */
    struct player *player;
    struct client *client; /* NULL while it is not open */
    int server_fd;
    struct fiber *fiber;
    struct visit visit;
    bool is_over; /* the session's fiber has returned */
};

struct player {
    struct fiber *self;
    const struct script *script;
    struct buf *problem;
    bool good;
    unsigned line;
    uint64_t must_fail; /* the line at which the script has to fail; 0: it has to end well */

    struct buf overrides; /* SET lines */
    struct buf peer;      /* PEER, with a NUL */
    bool no_tls, implicit_tls;
    const struct dialogue_service *service;
    struct house *house;

    struct connection connections[CONNECTIONS];
    unsigned current;
    struct map variables; /* name -> char *, NUL-terminated */
    struct buf scratch;   /* the text of the step, unescaped */
};

/* How long to wait: steps of the clock, each taken when everybody else waits too. */
struct patience {
    unsigned turns, steps;
};

/* Appends "line N: …" to the problem; false. */
bool player_fail(struct player *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Lets the others run until they all wait. */
MUST_USE bool player_settle(struct player *p);
/* Lets the others run a turn; the clock moves when nothing happens any more. False when patience ran out. */
MUST_USE bool player_wait(struct player *p, struct patience *patience);

MUST_USE bool player_house(struct player *p);
MUST_USE bool player_choose_service(struct player *p, struct span name);
/* Opens the connection unless it is open. */
MUST_USE bool player_connect(struct player *p, struct connection *c);
MUST_USE bool player_tls(struct player *p, struct connection *c);
MUST_USE bool player_send(struct player *p, struct connection *c, struct span bytes);
enum received { RECEIVED_BYTES, RECEIVED_END, RECEIVED_NOTHING };
MUST_USE enum received player_receive(struct player *p, struct connection *c, unsigned seconds);
/* Closes the client's end and waits for the session to end. */
MUST_USE bool player_drop(struct player *p, struct connection *c);

/* steps.c */
MUST_USE bool player_step(struct player *p, const struct step *step);

#endif
