/* What `ostiary watch` shows, as text. Pure. All texts in it came from clients: they are quoted, so that none of them
 * commands the terminal. */
#ifndef CTL_WATCH_VIEW_H
#define CTL_WATCH_VIEW_H

#include "auth.pb-c.h"
#include "base/buf.h"

#define WATCH_EVENTS_KEPT 200 /* more lines than a terminal has */
#define WATCH_LINE_MAX 400

/* The last events, as lines. */
struct watch_view {
    char (*lines)[WATCH_LINE_MAX]; /* WATCH_EVENTS_KEPT of them, used in turn */
    size_t count;                  /* ever */
    const char *hostname;
};

/* Appends "2026-11-22T03:33:40Z login refused ip=192.0.2.7 …", without a line end. */
void watch_event_write(const Auth__Event *event, struct buf *out);
/* Appends one connection, without a line end. `now`: wall clock, for its age. */
void watch_connection_write(const Auth__Connection *connection, uint64_t now, struct buf *out);
/* Appends "connections: smtp 12, pop3 1". */
void watch_services_write(const Auth__WatchReply *reply, struct buf *out);
/* JSON: one event on one line; the whole state. */
void watch_event_write_json(const Auth__Event *event, struct buf *out);
void watch_state_write_json(const Auth__WatchReply *reply, struct buf *out);

MUST_USE int watch_view_init(struct watch_view *view, const char *hostname);
void watch_view_release(struct watch_view *view);
void watch_view_add(struct watch_view *view, const Auth__WatchReply *reply);
/* Appends a whole screen of exactly that size, with the control sequences that paint it over what was there. The oldest
 * connections and the newest events come where there is no room for all. */
void watch_view_paint(const struct watch_view *view, const Auth__WatchReply *reply, uint64_t now, unsigned rows,
                      unsigned columns, struct buf *out);

#endif
