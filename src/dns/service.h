/* The resolver service: answers ipc/resolver.proto with libunbound, which asks, validates (DNSSEC) and remembers.
 *
 * All of it runs in the process's one thread, by libunbound's events on our loop (dns/unbound_events.h). Questions that
 * are under way, those whose callers gave up included, are bounded: more are answered -EAGAIN. libunbound's memory is
 * bounded by its own limits, set here. No file is opened: what is needed from one is handed in.
 */
#ifndef DNS_SERVICE_H
#define DNS_SERVICE_H

#include "config/settings.h"
#include "ipc/role.h"
#include "run/loop.h"

struct resolver;

/* Appends the trust anchors of setting dns.trust_anchor to `anchors`, one a line; nothing when dns.dnssec is off.
 * Before the sandbox. 0, or a negative errno with a sentence: no answer is checked then. */
#define RESOLVER_ANCHORS_MAX (64u << 10)
MUST_USE int resolver_read_anchors(const struct settings *settings, struct buf *anchors, struct buf *problem);

/* `anchors` as above; empty: DNSSEC is not checked. NULL with a sentence. */
MUST_USE struct resolver *resolver_new(struct loop *loop, const struct settings *settings, struct span anchors,
                                       struct buf *problem);
/* After a reload. Where nothing of dns.* changed, nothing happens; else what was remembered is forgotten, and the
 * questions under way are asked anew. On failure (negative errno, a sentence in `problem`) the old ones stay.
 * Never on a fiber, as resolver_new: libunbound puts more on the stack than a fiber has. Best in a loop's hook that was
 * added before the resolver was made: what is asked anew is asked in that turn, then. */
MUST_USE int resolver_set_settings(struct resolver *r, const struct settings *settings, struct span anchors,
                                   struct buf *problem);
/* Serves `peer` on fd, which is taken, also on failure. 0 or -ENOMEM. */
MUST_USE int resolver_attach(struct resolver *r, int fd, enum role peer);

#endif
