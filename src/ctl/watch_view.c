#include "ctl/watch_view.h"

#include "base/clock.h"
#include "base/log.h"
#include "ctl/json.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CLEAR_REST_OF_LINE "\033[K"
#define CLEAR_REST_OF_SCREEN "\033[J"
#define TO_THE_TOP "\033[H"
#define HEAD_ROWS 3 /* the title, an empty row, the names of the columns */
#define FOOT_ROWS 2 /* an empty row and the title of the events */

/* ---- Lines ---- */

static void write_time(uint64_t at, struct buf *out)
{
    time_t seconds = (time_t)(at / NANOSECONDS);
    struct tm tm;
    char text[32] = "?";
    if (gmtime_r(&seconds, &tm))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_add_text(out, text);
}

static void write_field(struct buf *out, const char *name, ProtobufCBinaryData value)
{
    if (value.len)
        buf_printf(out, " %s=%s", name, log_quote(binary_span(value)));
}

void watch_event_write(const Auth__Event *event, struct buf *out)
{
    write_time(event->at, out);
    buf_printf(out, " %.40s", event->kind);
    write_field(out, "ip", event->peer_address);
    write_field(out, "account", event->account);
    write_field(out, "from", event->reverse_path);
    write_field(out, "rcpt", event->recipient);
    if (event->code)
        buf_printf(out, " reply=%u", event->code);
    write_field(out, "reason", event->reason);
    if (event->delay_ms)
        buf_printf(out, " delay=%u.%us", event->delay_ms / 1000, event->delay_ms % 1000 / 100);
    write_field(out, "session", event->session);
}

static void write_age(uint64_t since, uint64_t now, struct buf *out)
{
    uint64_t seconds = now > since ? (now - since) / NANOSECONDS : 0;
    char text[32];
    if (seconds < 3600)
        snprintf(text, sizeof text, "%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
    else
        snprintf(text, sizeof text, "%lluh%02u", (unsigned long long)(seconds / 3600), (unsigned)(seconds / 60 % 60));
    buf_printf(out, "%7s", text);
}

void watch_connection_write(const Auth__Connection *c, uint64_t now, struct buf *out)
{
    buf_printf(out, "%-11.20s %-24s ", c->service, log_quote(binary_span(c->peer_address)));
    write_age(c->since, now, out);
    buf_printf(out, " %8u %7u  %-16s %s", c->accepted, c->refused, log_quote(binary_span(c->session)),
               c->account.len ? log_quote(binary_span(c->account)) : "-");
}

void watch_services_write(const Auth__WatchReply *reply, struct buf *out)
{
    buf_add_text(out, reply->n_services ? "connections: " : "no connections");
    for (size_t i = 0; i < reply->n_services; i++)
        buf_printf(out, "%s%.20s %u", i ? ", " : "", reply->services[i]->service, reply->services[i]->connections);
}

/* ---- JSON ---- */

static void write_event_fields(struct json *json, const Auth__Event *event)
{
    json_number(json, "number", event->number);
    json_number(json, "at", event->at / NANOSECONDS);
    json_text(json, "kind", span_text(event->kind));
    json_text(json, "peer_address", binary_span(event->peer_address));
    json_text(json, "account", binary_span(event->account));
    json_text(json, "reverse_path", binary_span(event->reverse_path));
    json_text(json, "recipient", binary_span(event->recipient));
    json_number(json, "code", event->code);
    json_text(json, "reason", binary_span(event->reason));
    json_number(json, "delay_ms", event->delay_ms);
    json_text(json, "session", binary_span(event->session));
}

void watch_event_write_json(const Auth__Event *event, struct buf *out)
{
    struct json json;
    json_init(&json, out);
    json.is_one_line = true;
    json_object(&json, NULL);
    write_event_fields(&json, event);
    json_end_object(&json);
}

void watch_state_write_json(const Auth__WatchReply *reply, struct buf *out)
{
    struct json json;
    json_init(&json, out);
    json_object(&json, NULL);
    json_object(&json, "services");
    for (size_t i = 0; i < reply->n_services; i++)
        json_number(&json, reply->services[i]->service, reply->services[i]->connections);
    json_end_object(&json);
    json_list(&json, "connections");
    for (size_t i = 0; i < reply->n_connections; i++) {
        const Auth__Connection *c = reply->connections[i];
        json_object(&json, NULL);
        json_text(&json, "service", span_text(c->service));
        json_text(&json, "peer_address", binary_span(c->peer_address));
        json_number(&json, "since", c->since / NANOSECONDS);
        json_text(&json, "session", binary_span(c->session));
        json_text(&json, "account", binary_span(c->account));
        json_number(&json, "messages", c->accepted);
        json_number(&json, "refused", c->refused);
        json_end_object(&json);
    }
    json_end_list(&json);
    json_list(&json, "events");
    for (size_t i = 0; i < reply->n_events; i++) {
        json_object(&json, NULL);
        write_event_fields(&json, reply->events[i]);
        json_end_object(&json);
    }
    json_end_list(&json);
    json_end_object(&json);
}

/* ---- The screen ---- */

int watch_view_init(struct watch_view *view, const char *hostname)
{
    *view = (struct watch_view){.lines = calloc(WATCH_EVENTS_KEPT, sizeof *view->lines), .hostname = hostname};
    return view->lines ? 0 : -ENOMEM;
}

void watch_view_release(struct watch_view *view)
{
    free(view->lines);
    view->lines = NULL;
}

void watch_view_add(struct watch_view *view, const Auth__WatchReply *reply)
{
    struct buf line;
    buf_init(&line, 8192);
    for (size_t i = 0; i < reply->n_events; i++) {
        buf_reset(&line);
        watch_event_write(reply->events[i], &line);
        snprintf(view->lines[view->count++ % WATCH_EVENTS_KEPT], WATCH_LINE_MAX, "%.*s", SPAN_ARG(buf_span(&line)));
    }
    buf_release(&line);
}

/* The first characters of a text, so many as fit. One that is wider than a column is cut by the terminal. */
static struct span cut_to(struct span text, unsigned columns)
{
    size_t at = 0;
    while (at < text.size && columns) {
        at++;
        while (at < text.size && ((unsigned char)text.data[at] & 0xc0) == 0x80)
            at++;
        columns--;
    }
    return span_head(text, at);
}

struct painter {
    struct buf *out, row;
    unsigned rows, columns, painted;
};

/* Paints what stands in p->row. */
static void paint_row(struct painter *p)
{
    if (p->painted < p->rows) {
        if (p->painted++)
            buf_add_text(p->out, "\r\n");
        buf_add_span(p->out, cut_to(buf_span(&p->row), p->columns));
        buf_add_text(p->out, CLEAR_REST_OF_LINE);
    }
    buf_reset(&p->row);
}

static int compare_connections(const void *a, const void *b)
{
    const Auth__Connection *x = *(Auth__Connection *const *)a, *y = *(Auth__Connection *const *)b;
    int order = strcmp(x->service, y->service);
    return order ? order : (x->since > y->since) - (x->since < y->since);
}

static void paint_connections(struct painter *p, const Auth__WatchReply *reply, uint64_t now, size_t room)
{
    size_t total = 0;
    for (size_t i = 0; i < reply->n_services; i++)
        total += reply->services[i]->connections;
    total = total < reply->n_connections ? reply->n_connections : total;
    size_t shown = total <= room ? total : room - 1;
    for (size_t i = 0; i < shown && i < reply->n_connections; i++) {
        watch_connection_write(reply->connections[i], now, &p->row);
        paint_row(p);
    }
    if (shown < total) {
        buf_printf(&p->row, "... and %zu more", total - shown);
        paint_row(p);
    }
}

static void paint_events(struct painter *p, const struct watch_view *view)
{
    size_t kept = view->count < WATCH_EVENTS_KEPT ? view->count : WATCH_EVENTS_KEPT, room = p->rows - p->painted;
    for (size_t i = kept < room ? kept : room; i > 0; i--) {
        /* The date is known to whoever looks on. */
        const char *line = view->lines[(view->count - i) % WATCH_EVENTS_KEPT], *time = strchr(line, 'T');
        buf_add_text(&p->row, time ? time + 1 : line);
        paint_row(p);
    }
}

void watch_view_paint(const struct watch_view *view, const Auth__WatchReply *reply, uint64_t now, unsigned rows,
                      unsigned columns, struct buf *out)
{
    struct painter p = {.out = out, .rows = rows, .columns = columns};
    buf_init(&p.row, 8192);
    if (reply->n_connections)
        qsort(reply->connections, reply->n_connections, sizeof *reply->connections, compare_connections);
    buf_add_text(out, TO_THE_TOP);
    buf_printf(&p.row, "%s  ", view->hostname);
    write_time(now, &p.row);
    buf_add_text(&p.row, "  ");
    watch_services_write(reply, &p.row);
    buf_add_text(&p.row, "  (q ends)");
    paint_row(&p);
    paint_row(&p);
    buf_printf(&p.row, "%-11s %-24s %7s %8s %7s  %-16s %s", "SERVICE", "ADDRESS", "AGE", "MESSAGES", "REFUSED",
               "SESSION", "ACCOUNT");
    paint_row(&p);
    /* Half of the rest for each, and what the events leave free for the connections. */
    size_t rest = rows > HEAD_ROWS + FOOT_ROWS ? rows - HEAD_ROWS - FOOT_ROWS : 0;
    size_t for_events = view->count < rest / 2 ? view->count : rest / 2;
    if (rest > for_events)
        paint_connections(&p, reply, now, rest - for_events);
    paint_row(&p);
    buf_add_text(&p.row, "REFUSED");
    paint_row(&p);
    paint_events(&p, view);
    buf_add_text(out, CLEAR_REST_OF_SCREEN);
    buf_release(&p.row);
}
