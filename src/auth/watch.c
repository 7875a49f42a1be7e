/* What the command line asks: who may send from where (ostiary clients), and what goes on (ostiary watch). */
#include "auth.pb-c.h"
#include "auth/process.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdlib.h>

/* What fits into one reply (CHANNEL_MESSAGE_MAX) at the largest sizes. */
#define CLIENTS_SHOWN 2000
#define EVENTS_SHOWN 500
#define CONNECTIONS_SHOWN 1500
#define REPLY_MEMORY (4u << 20)
#define WATCHES_MAX 64
#define WATCH_SECONDS 60

static struct span write_ip(struct arena *arena, const struct ip_address *ip)
{
    char text[IP_ADDRESS_TEXT_MAX + 1];
    struct buf buf = {.limit = sizeof text};
    ip_address_write(ip, &buf);
    struct span copy = arena_copy(arena, buf_span(&buf));
    buf_release(&buf);
    return copy;
}

/* ---- Clients ---- */

static bool list_windows(struct auth_process *a, struct span match, struct arena *arena, Auth__ClientsReply *reply)
{
    uint64_t now = clock_monotonic();
    reply->clients = arena_array(arena, CLIENTS_SHOWN, sizeof *reply->clients);
    Auth__Client *clients = arena_array(arena, CLIENTS_SHOWN, sizeof *clients);
    if (!reply->clients || !clients)
        return false;
    for (struct list_node *node = a->windows.by_age.previous; node != &a->windows.by_age; node = node->previous) {
        const struct window *window = container_of(node, struct window, node);
        if (now >= window->closes_at || !window_matches(window, match))
            continue;
        if (reply->n_clients == CLIENTS_SHOWN) {
            reply->not_shown++;
            continue;
        }
        Auth__Client *client = &clients[reply->n_clients];
        auth__client__init(client);
        client->peer_address = binary_from_span(write_ip(arena, &window->ip));
        client->account = binary_from_span(window_address(window));
        client->seconds_left = (uint32_t)((window->closes_at - now + NANOSECONDS - 1) / NANOSECONDS);
        reply->clients[reply->n_clients++] = client;
        if (!client->peer_address.data)
            return false;
    }
    return true;
}

void auth_clients(struct auth_process *a, struct call *call)
{
    const Auth__ClientsRequest *r = (const Auth__ClientsRequest *)call->request;
    Auth__ClientsReply reply = AUTH__CLIENTS_REPLY__INIT;
    struct arena arena;
    bool made = true;
    arena_init(&arena, REPLY_MEMORY);
    windows_sweep(&a->windows, clock_monotonic());
    if (r->flush)
        reply.flushed = windows_close_matching(&a->windows, binary_span(r->match));
    else
        made = list_windows(a, binary_span(r->match), &arena, &reply);
    if (reply.flushed)
        log_write(LOG_LOW, "auth", NULL, "windows closed by command count=%u", reply.flushed);
    if (made)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    else
        call_fail(call, -ENOMEM);
    arena_release(&arena);
}

/* ---- Watch ---- */

static bool add_events(struct auth_process *a, uint64_t after, struct arena *arena, Auth__WatchReply *reply)
{
    uint64_t first = events_first(&a->events), last = a->events.last;
    /* A number from before this process was started anew says nothing. */
    uint64_t from = after > last ? first : after + 1;
    if (from < first) {
        reply->lost = first - from;
        from = first;
    }
    uint64_t count = last + 1 - from < EVENTS_SHOWN ? last + 1 - from : EVENTS_SHOWN;
    reply->last = from + count - 1;
    reply->events = arena_array(arena, count + 1, sizeof *reply->events);
    Auth__Event *events = arena_array(arena, count + 1, sizeof *events);
    if (!reply->events || !events)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        const struct event *from_ring = events_get(&a->events, from + i);
        Auth__Event *e = &events[i];
        if (!from_ring)
            return false;
        auth__event__init(e);
        e->number = from_ring->number;
        e->at = from_ring->at;
        e->kind = (char *)(uintptr_t)from_ring->kind;
        e->peer_address = binary_from_span(span_text(from_ring->peer_address));
        e->account = binary_from_span(span_text(from_ring->account));
        e->reverse_path = binary_from_span(span_text(from_ring->reverse_path));
        e->recipient = binary_from_span(span_text(from_ring->recipient));
        e->reason = binary_from_span(span_text(from_ring->reason));
        e->session = binary_from_span(span_text(from_ring->session));
        e->code = from_ring->code;
        e->delay_ms = from_ring->delay_ms;
        reply->events[reply->n_events++] = e;
    }
    return true;
}

static bool add_connection(const struct session_view *view, struct arena *arena, Auth__WatchReply *reply)
{
    struct ip_address ip;
    Auth__Connection *c = arena_alloc(arena, sizeof *c);
    if (!c)
        return false;
    auth__connection__init(c);
    memcpy(ip.bytes, view->address, sizeof ip.bytes);
    c->service = (char *)(uintptr_t)service_kind_name((enum service_kind)view->service);
    c->peer_address = binary_from_span(write_ip(arena, &ip));
    c->since = view->since;
    c->session = binary_from_span(arena_copy(arena, span_text(view->session)));
    c->account_id = view->account_id;
    c->account = binary_from_span(arena_copy(arena, span_text(view->account)));
    c->accepted = view->accepted;
    c->refused = view->refused;
    reply->connections[reply->n_connections++] = c;
    return c->peer_address.data && c->session.data && c->account.data;
}

static bool add_board(const struct session_board *board, struct arena *arena, unsigned counts[SERVICE_KIND_COUNT],
                      Auth__WatchReply *reply)
{
    for (unsigned column = 0; column < session_board_columns(board); column++) {
        unsigned used = session_board_used(board, column);
        for (unsigned place = 0; place < used; place++) {
            struct session_view view;
            /* The column may have been written by one who was taken over. */
            if (!session_board_read(board, column, place, &view) || view.service >= SERVICE_KIND_COUNT)
                continue;
            counts[view.service]++;
            if (reply->n_connections < CONNECTIONS_SHOWN && !add_connection(&view, arena, reply))
                return false;
        }
    }
    return true;
}

static bool add_connections(struct auth_process *a, struct arena *arena, Auth__WatchReply *reply)
{
    unsigned counts[SERVICE_KIND_COUNT] = {0};
    reply->connections = arena_array(arena, CONNECTIONS_SHOWN, sizeof *reply->connections);
    reply->services = arena_array(arena, SERVICE_KIND_COUNT, sizeof *reply->services);
    Auth__ServiceCount *services = arena_array(arena, SERVICE_KIND_COUNT, sizeof *services);
    if (!reply->connections || !reply->services || !services)
        return false;
    for (size_t i = 0; i < a->board_count; i++)
        if (!add_board(a->boards[i], arena, counts, reply))
            return false;
    for (size_t i = 0; i < SERVICE_KIND_COUNT; i++) {
        auth__service_count__init(&services[i]);
        services[i].service = (char *)(uintptr_t)service_kind_name((enum service_kind)i);
        services[i].connections = counts[i];
        if (counts[i])
            reply->services[reply->n_services++] = &services[i];
    }
    return true;
}

static void answer_watch(struct auth_process *a, struct call *call)
{
    const Auth__WatchRequest *r = (const Auth__WatchRequest *)call->request;
    Auth__WatchReply reply = AUTH__WATCH_REPLY__INIT;
    struct arena arena;
    arena_init(&arena, REPLY_MEMORY);
    if (add_events(a, r->after, &arena, &reply) && (!r->connections || add_connections(a, &arena, &reply)))
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    else
        call_fail(call, -ENOMEM);
    arena_release(&arena);
}

struct watch_work {
    struct auth_process *process;
    struct call *call;
};

static void watch_main(struct fiber *self, void *argument)
{
    struct watch_work *w = argument;
    struct auth_process *a = w->process;
    const Auth__WatchRequest *r = (const Auth__WatchRequest *)w->call->request;
    uint64_t deadline = clock_in_seconds(r->wait_seconds < WATCH_SECONDS ? r->wait_seconds : WATCH_SECONDS);
    int error = 0;
    while (!error && a->events.last == r->after)
        error = condition_wait(self, &a->happened, deadline);
    if (error == -ECANCELED)
        call_fail(w->call, -EAGAIN);
    else
        answer_watch(a, w->call);
    free(w);
    a->watches--;
    a->steps--;
}

void auth_watch_start(struct auth_process *a, struct call *call)
{
    struct watch_work *w = a->watches < WATCHES_MAX ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        call_fail(call, -EAGAIN);
        return;
    }
    *w = (struct watch_work){.process = a, .call = call};
    a->steps++;
    a->watches++;
    if (fiber_start(a->loop, "auth watch", watch_main, w))
        return;
    a->steps--;
    a->watches--;
    free(w);
    call_fail(call, -EAGAIN);
}
