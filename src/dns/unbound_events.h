/* libunbound's events on our loop: the pluggable event base of unbound-event.h.
 *
 * libunbound wants callbacks, the loop wakes fibers, so its descriptors stand in an epoll set of their own, which is
 * itself one watched descriptor of the loop. What is ready in it is served at the end of a turn, on the process's own
 * stack: libunbound's deep calls never run on a fiber's. Whoever calls libunbound does it from there, too, in `work`.
 */
#ifndef DNS_UNBOUND_EVENTS_H
#define DNS_UNBOUND_EVENTS_H

#include "run/loop.h"

struct ub_event_base;
struct unbound_events;

/* `work` is called once a turn, before libunbound's events are served. NULL without memory or descriptors. */
MUST_USE struct unbound_events *unbound_events_new(struct loop *loop, void (*work)(void *context), void *context);
/* Every context made with it must be deleted. NULL-safe. */
void unbound_events_free(struct unbound_events *events);
struct ub_event_base *unbound_events_base(struct unbound_events *events);

#endif
