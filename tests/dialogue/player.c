#include "player.h"

#include "base/map.h"
#include "client.h"
#include "format/ip_address.h"
#include "player_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUIET_TURNS 60 /* turns in which nothing happened: everybody waits for time to pass */
#define CLOCK_STEP (NANOSECONDS / 4)
#define PATIENCE_STEPS \
    (4 * 30) /* of the clock, for what is expected: more than a refusal's delay, less than a time-out */
#define GOODBYE_STEPS (4 * 3600)                    /* for sessions to end behind their client */
#define START_OF_TIME (1795305600ull * NANOSECONDS) /* 2026-11-22 00:00:00 UTC */

static const struct dialogue_service *const services[] = {
    &service_pop3, &service_pwd,
#ifdef DIALOGUE_SMTP
    &service_smtp, &service_submission,
#endif
    NULL,
};

bool player_fail(struct player *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_printf(p->problem, "line %u: ", p->line);
    buf_vprintf(p->problem, format, args);
    va_end(args);
    return false;
}

/* ---- Time ---- */

bool player_settle(struct player *p)
{
    for (unsigned i = 0; i < QUIET_TURNS; i++)
        if (fiber_yield(p->self))
            return player_fail(p, "the player was cancelled");
    return true;
}

bool player_wait(struct player *p, struct patience *patience)
{
    if (++patience->turns % QUIET_TURNS == 0) {
        if (patience->turns / QUIET_TURNS > patience->steps)
            return false;
        clock_fake_advance(CLOCK_STEP);
    }
    return fiber_yield(p->self) == 0;
}

/* ---- Connections ---- */

static void visit_main(struct fiber *self, void *argument)
{
    struct connection *c = argument;
    struct stream *stream = stream_new(fiber_loop(self), c->server_fd);
    if (stream) {
        c->player->service->run(self, stream, &c->visit);
        stream_free(stream);
    }
    c->is_over = true;
}

bool player_connect(struct player *p, struct connection *c)
{
    if (c->client)
        return true;
    if (!player_house(p))
        return false;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
        return player_fail(p, "no socketpair: %s", strerror(errno));
    c->player = p;
    c->server_fd = fds[1];
    c->client = client_new(fds[0]);
    struct ip_address address;
    if (!c->client || !ip_address_parse(buf_span(&p->peer), &address)) {
        close(fds[1]);
        return player_fail(p, "no client, or PEER is no address");
    }
    c->visit = (struct visit){
        .house = p->house, .address = p->peer.data, .session_id = c->name, .implicit_tls = p->implicit_tls};
    memcpy(c->visit.address_bytes, address.bytes, sizeof address.bytes);
    c->is_over = false;
    c->fiber = fiber_start(p->house->loop, c->name, visit_main, c);
    if (!c->fiber) {
        close(fds[1]);
        c->is_over = true;
        return player_fail(p, "no fiber");
    }
    return !p->implicit_tls || player_tls(p, c);
}

bool player_tls(struct player *p, struct connection *c)
{
    struct patience patience = {.steps = PATIENCE_STEPS};
    int result;
    while ((result = client_start_tls(c->client)) == -EAGAIN)
        if (!player_wait(p, &patience))
            return player_fail(p, "the TLS handshake did not end");
    return !result || player_fail(p, "the TLS handshake failed");
}

bool player_send(struct player *p, struct connection *c, struct span bytes)
{
    struct patience patience = {.steps = PATIENCE_STEPS};
    while (bytes.size) {
        long n = client_send(c->client, bytes);
        if (n >= 0) {
            bytes = span_skip(bytes, (size_t)n);
            continue;
        }
        /* A server that has hung up shows in what is expected next. */
        if (n == -EPIPE || n == -ECONNRESET)
            return true;
        if (n != -EAGAIN)
            return player_fail(p, "sending failed: %s", strerror((int)-n));
        /* It may be waiting for us to read. */
        long got = client_receive(c->client);
        if (got <= 0 && !player_wait(p, &patience))
            return player_fail(p, "the server takes no more");
    }
    return true;
}

enum received player_receive(struct player *p, struct connection *c, unsigned seconds)
{
    struct patience patience = {.steps = 4 * seconds};
    long n;
    while ((n = client_receive(c->client)) == -EAGAIN)
        if (!player_wait(p, &patience))
            return RECEIVED_NOTHING;
    return n > 0 ? RECEIVED_BYTES : n == 0 ? RECEIVED_END : RECEIVED_NOTHING;
}

bool player_drop(struct player *p, struct connection *c)
{
    client_free(c->client);
    c->client = NULL;
    struct patience patience = {.steps = GOODBYE_STEPS};
    bool good = true;
    while (!c->is_over) {
        if (player_wait(p, &patience))
            continue;
        good = player_fail(p, "session %s does not end behind its client", c->name);
        fiber_cancel(c->fiber);
        patience = (struct patience){.steps = GOODBYE_STEPS};
    }
    return good;
}

/* ---- The house, made when the first step needs it ---- */

bool player_house(struct player *p)
{
    if (!p->house) {
        struct buf problem;
        buf_init(&problem, 4096);
        p->house = house_new(p->self, buf_span(&p->overrides), !p->no_tls, &problem);
        if (!p->house)
            player_fail(p, "the house does not stand: %.*s", SPAN_ARG(buf_span(&problem)));
        buf_release(&problem);
    }
    return p->house != NULL;
}

bool player_choose_service(struct player *p, struct span name)
{
    for (size_t i = 0; services[i]; i++)
        if (span_is(name, services[i]->name)) {
            p->service = services[i];
            return true;
        }
    return player_fail(p, "no such service");
}

/* ---- The play ---- */

static void play_steps(struct player *p)
{
    p->good = true;
    for (size_t i = 0; p->good && i < p->script->count; i++) {
        p->line = p->script->steps[i].line;
        p->good = player_step(p, &p->script->steps[i]);
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (!p->connections[i].client)
            continue;
        if (p->good && player_settle(p))
            while (client_receive(p->connections[i].client) > 0)
                continue;
        if (p->good && client_input(p->connections[i].client)->size)
            p->good = player_fail(p, "the script ends and this was not expected: %.*s",
                                  SPAN_ARG(span_head(buf_span(client_input(p->connections[i].client)), 200)));
        bool ended = player_drop(p, &p->connections[i]);
        p->good = p->good && ended;
    }
}

static void player_main(struct fiber *self, void *argument)
{
    struct player *p = argument;
    p->self = self;
    play_steps(p);
    if (p->house && !p->good) {
        buf_add_text(p->problem, "\nthe log:\n");
        house_read_log(p->house, p->problem, false);
    }
    house_free(self, p->house);
    p->house = NULL;
    loop_stop(fiber_loop(self));
}

static void player_init(struct player *p, const struct script *script, struct buf *problem)
{
    *p = (struct player){.script = script, .problem = problem, .service = &service_pop3};
    buf_init(&p->overrides, 65536);
    buf_init(&p->peer, 64);
    buf_init(&p->scratch, 4u << 20);
    buf_add(&p->peer, "192.0.2.7", sizeof "192.0.2.7");
    buf_truncate(&p->peer, sizeof "192.0.2.7" - 1); /* its NUL stays behind it */
    map_init(&p->variables);
    static const char *const names[CONNECTIONS] = {"s1", "s2", "s3", "s4"};
    for (size_t i = 0; i < CONNECTIONS; i++)
        p->connections[i] = (struct connection){.name = names[i], .is_over = true};
}

static void player_release(struct player *p)
{
    size_t at = 0;
    struct span key;
    void *value;
    while (map_next(&p->variables, &at, &key, &value))
        free(value);
    map_release(&p->variables);
    buf_release(&p->overrides);
    buf_release(&p->peer);
    buf_release(&p->scratch);
}

/* Turns the outcome of a script that tests the runner round. */
static void judge(struct player *p)
{
    if (!p->must_fail)
        return;
    if (!p->good && p->line == p->must_fail) {
        buf_reset(p->problem);
        p->good = true;
        return;
    }
    p->good = player_fail(p, "the script was to fail at line %llu", (unsigned long long)p->must_fail);
}

bool play(const struct script *script, struct buf *problem)
{
    clock_fake_start(START_OF_TIME);
    struct loop *loop = loop_new();
    if (!loop) {
        buf_add_text(problem, "no loop");
        return false;
    }
    struct player player;
    player_init(&player, script, problem);
    if (fiber_start(loop, "player", player_main, &player)) {
        int result = loop_run(loop);
        if (result)
            player.good = player_fail(&player, "the loop failed: %s", strerror(-result));
    }
    judge(&player);
    player_release(&player);
    loop_free(loop);
    return player.good;
}
