#include "proc/acceptor.h"

#include "base/log.h"
#include "proc/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* So many at a time, so that what is there already gets its turn, and the other processes their share. */
#define BATCH 32
#define PAUSE (NANOSECONDS / 10)
/* So many are looked at to find one that has to leave: the slowest of these is slow, and a newcomer costs little. */
#define CROWD_SAMPLE 32
/* So many may be on their way out at a time; they are gone at their next turn. */
#define LEAVING_MAX (2 * BATCH)
#define FULL_TOLD_EACH (60 * NANOSECONDS)
/* What a cancelled session may still need for its last words. */
#define LAST_WORDS_SECONDS 5

struct listener {
    struct acceptor *acceptor;
    struct watch watch;
    enum service_kind service;
    struct fiber *fiber;
};

struct acceptor {
    struct child *child;
    struct acceptor_events events;
    void *context;
    struct connection_table *table;            /* NULL: addresses are not counted */
    struct session_board *board;               /* NULL: sessions are not shown */
    struct listener *listeners[LISTENERS_MAX]; /* the set in use; one that is being closed is not here any more */
    struct list_node connections;
    struct condition emptied; /* a connection ended */
    unsigned count, leaving;
    uint64_t full_told_at; /* when the log last heard of a full house; 0: never */
    bool stopping;
    uint32_t number; /* of this process, in session ids */
    uint64_t sessions;
};

/* ---- Connections ---- */

static void refuse(struct acceptor *a, struct connection *c, enum refusal why)
{
    struct buf address;
    buf_init(&address, IP_ADDRESS_TEXT_MAX + 1);
    ip_address_write(&c->ip, &address);
    log_write(LOG_FAILURE, service_kind_name(c->service), NULL, "connection refused ip=%.*s reason=%s",
              SPAN_ARG(buf_span(&address)), why == REFUSE_ADDRESS ? "too_many_from_address" : "too_many");
    buf_release(&address);
    const char *line = a->events.refuse(c->service, why);
    /* The buffer of a fresh socket has room for a line; whoever does not get it still gets the close. */
    if (*line && send(c->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_write(LOG_ALL, service_kind_name(c->service), NULL, "the refusal was not sent error=%s", strerror(errno));
}

static void connection_end(struct connection *c)
{
    struct acceptor *a = c->acceptor;
    if (c->fd >= 0)
        close(c->fd);
    if (a->table)
        connection_table_leave(a->table, a->child->instance, c->ticket);
    session_board_end(a->board, c->board);
    list_remove(&c->node);
    a->count--;
    a->leaving -= c->leaving;
    free(c);
    condition_wake_all(&a->emptied);
}

static void run_connection(struct fiber *self, void *argument)
{
    struct connection *c = argument;
    struct acceptor *a = c->acceptor;
    struct stream *stream = stream_new(fiber_loop(self), c->fd);
    c->fd = -1;
    c->stream = stream;
    if (stream)
        a->events.run(self, stream, c, a->context);
    else
        log_write(LOG_PROBLEM, service_kind_name(c->service), c->session, "no memory for a connection");
    c->stream = NULL;
    stream_free(stream);
    connection_end(c);
}

/* Of the next few, who keeps us waiting longest; NULL when nobody does it for long. Members are waited for: their
 * number is bounded by those who have a password. */
static struct connection *find_slowest(struct acceptor *a)
{
    struct connection *slowest = NULL;
    uint64_t now = clock_monotonic(), longest = CROWD_OUT_FROM;
    unsigned left = a->count < CROWD_SAMPLE ? a->count : CROWD_SAMPLE;
    while (left-- > 0) {
        /* Each comes by in turn. */
        struct list_node *node = list_take_first(&a->connections);
        list_append(&a->connections, node);
        struct connection *c = container_of(node, struct connection, node);
        uint64_t waited = c->stream ? stream_kept_waiting(c->stream, now) : 0;
        if (waited >= longest && !c->leaving && !session_has_account(c->board)) {
            slowest = c;
            longest = waited;
        }
    }
    return slowest;
}

/* Is there room for one more, if need be in the place of somebody slow? */
static bool has_room(struct acceptor *a)
{
    if (a->count - a->leaving <= a->child->settings->processes.connections)
        return true;
    uint64_t now = clock_monotonic();
    if (!a->full_told_at || now - a->full_told_at >= FULL_TOLD_EACH) {
        log_write(LOG_PROBLEM, role_name(a->child->row->role), NULL,
                  "all connections are taken; newcomers get the places of clients that keep the server waiting "
                  "connections=%u setting=processes.connections",
                  a->child->settings->processes.connections);
        a->full_told_at = now;
    }
    struct connection *slowest = a->leaving < LEAVING_MAX ? find_slowest(a) : NULL;
    if (!slowest)
        return false;
    slowest->leaving = true;
    a->leaving++;
    stream_crowd_out(slowest->stream, slowest->fiber);
    return true;
}

/* True when a session may begin; else it was refused and is to be ended. */
static bool is_admitted(struct acceptor *a, struct connection *c)
{
    const struct settings *settings = a->child->settings;
    /* Of one address no more than it may have, so that it crowds out nobody with them. */
    if (a->table && !connection_table_enter(a->table, a->child->instance, c->ip.bytes,
                                            settings->processes.connections_per_address, &c->ticket)) {
        refuse(a, c, REFUSE_ADDRESS);
        return false;
    }
    if (!has_room(a)) {
        refuse(a, c, REFUSE_BUSY);
        return false;
    }
    return true;
}

/* Takes fd. */
static void begin(struct acceptor *a, enum service_kind service, int fd, const struct sockaddr *from)
{
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        log_write(LOG_PROBLEM, service_kind_name(service), NULL, "no memory for a connection");
        return;
    }
    c->acceptor = a;
    c->service = service;
    c->fd = fd;
    c->ticket.slot = CONNECTION_UNCOUNTED;
    list_append(&a->connections, &c->node);
    a->count++;
    snprintf(c->session, sizeof c->session, "%06x-%llu", a->number, (unsigned long long)++a->sessions);
    bool begins = ip_address_from_sockaddr(from, &c->ip) && is_admitted(a, c);
    if (begins) {
        c->board = session_board_begin(a->board, service, c->ip.bytes, span_text(c->session), clock_wall());
        c->fiber = fiber_start(a->child->loop, c->session, run_connection, c);
        if (!c->fiber)
            refuse(a, c, REFUSE_BUSY);
    }
    if (!c->fiber)
        connection_end(c);
}

/* ---- Accepting ---- */

/* Accepts until nobody waits or the batch is full. 0 or a negative errno; -EAGAIN when nobody waits. */
static int accept_batch(struct acceptor *a, struct listener *l)
{
    for (unsigned i = 0; i < BATCH; i++) {
        struct sockaddr_storage from;
        socklen_t size = sizeof from;
        int fd = accept4(l->watch.fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            begin(a, l->service, fd, (const struct sockaddr *)&from);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM || errno == EAGAIN)
            return -errno;
        /* All other errors are of that one connection, which is gone: accept(2). */
    }
    return 0;
}

static void run_listener(struct fiber *self, void *argument)
{
    struct listener *l = argument;
    struct acceptor *a = l->acceptor;
    int error = 0;
    while (!error && !a->stopping) {
        error = accept_batch(a, l);
        if (error == -EAGAIN) {
            error = watch_wait_readable(self, &l->watch, CLOCK_NEVER);
        } else if (error) {
            log_write(LOG_PROBLEM, service_kind_name(l->service), NULL, "can't accept, waiting error=%s",
                      strerror(-error));
            error = fiber_sleep(self, clock_monotonic() + PAUSE);
        } else {
            error = fiber_yield(self);
        }
    }
    if (error && error != -ECANCELED)
        log_write(LOG_CRASH, service_kind_name(l->service), NULL, "accepting ended error=%s", strerror(-error));
    watch_stop(&l->watch);
    close(l->watch.fd);
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        if (a->listeners[i] == l)
            a->listeners[i] = NULL;
    free(l);
}

static void close_listeners(struct acceptor *a)
{
    for (size_t i = 0; i < LISTENERS_MAX; i++)
        if (a->listeners[i]) {
            fiber_cancel(a->listeners[i]->fiber);
            a->listeners[i] = NULL;
        }
}

/* Takes fd. */
static int open_listener(struct acceptor *a, size_t place, enum service_kind service, int fd)
{
    struct listener *l = calloc(1, sizeof *l);
    int error = l ? watch_start(&l->watch, a->child->loop, fd, EPOLLEXCLUSIVE) : -ENOMEM;
    if (error) {
        close(fd);
        free(l);
        return error;
    }
    l->acceptor = a;
    l->service = service;
    l->fiber = fiber_start(a->child->loop, service_kind_name(service), run_listener, l);
    if (!l->fiber) {
        watch_stop(&l->watch);
        close(fd);
        free(l);
        return -ENOMEM;
    }
    a->listeners[place] = l;
    return 0;
}

static int adopt_table(struct acceptor *a, const struct control_descriptor *d)
{
    struct connection_table *table = connection_table_map(d->fd, d->instance, a->child->seed);
    if (!table)
        return -ENOMEM;
    if (a->table) /* tickets of the old one are out */
        connection_table_unmap(table);
    else
        a->table = table;
    return 0;
}

static int adopt_board(struct acceptor *a, const struct control_descriptor *d)
{
    if (a->board) /* slots of the old one are out */
        return 0;
    a->board = session_board_map(d->fd, d->instance, a->child->instance);
    return a->board ? 0 : -ENOMEM;
}

int acceptor_adopt(struct acceptor *a, struct control_frame *frame)
{
    int error = 0;
    size_t place = 0;
    if (frame->replaces_listeners)
        close_listeners(a);
    for (size_t i = 0; i < frame->descriptor_count; i++) {
        struct control_descriptor *d = &frame->descriptors[i];
        int failure = 0;
        if (d->use == CONTROL_FD_TABLE)
            failure = adopt_table(a, d);
        if (d->use == CONTROL_FD_BOARD)
            failure = adopt_board(a, d);
        if (d->use == CONTROL_FD_LISTENER && place < LISTENERS_MAX && d->what < SERVICE_KIND_COUNT) {
            failure = open_listener(a, place++, (enum service_kind)d->what, d->fd);
            d->fd = -1;
        }
        error = failure ? failure : error;
    }
    return error;
}

struct acceptor *acceptor_new(struct child *child, const struct acceptor_events *events, void *context)
{
    struct acceptor *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->child = child;
    a->events = *events;
    a->context = context;
    list_init(&a->connections);
    condition_init(&a->emptied);
    if (getrandom(&a->number, sizeof a->number, 0) != sizeof a->number) {
        free(a);
        return NULL;
    }
    a->number &= 0xffffff;
    return a;
}

const bool *acceptor_stopping(const struct acceptor *a)
{
    return &a->stopping;
}

/* ---- The end ---- */

static void cancel_connections(struct acceptor *a, bool also_in_hand)
{
    list_each (node, &a->connections) {
        struct connection *c = container_of(node, struct connection, node);
        if (c->fiber && (also_in_hand || !c->in_hand))
            fiber_cancel(c->fiber);
    }
}

void acceptor_stop(struct fiber *self, struct acceptor *a, uint64_t deadline)
{
    a->stopping = true;
    close_listeners(a);
    cancel_connections(a, false);
    int error = 0;
    while (!error && a->count)
        error = condition_wait(self, &a->emptied, deadline);
    if (!a->count)
        return;
    log_write(LOG_MAJOR, role_name(a->child->row->role), NULL, "sessions cut off at the end count=%u", a->count);
    cancel_connections(a, true);
    deadline = clock_in_seconds(LAST_WORDS_SECONDS);
    for (error = 0; !error && a->count;)
        error = condition_wait(self, &a->emptied, deadline);
}
