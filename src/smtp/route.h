/* Where a recipient's address leads: asked of a store reader, remembered for a second. Routing comes before judging. */
#ifndef SMTP_ROUTE_H
#define SMTP_ROUTE_H

#include "base/arena.h"
#include "format/address.h"
#include "run/fiber.h"

struct smtp_session;
struct loop;

enum smtp_route_kind {
    SMTP_ROUTE_LOCAL,
    SMTP_ROUTE_NO_USER,
    SMTP_ROUTE_RELAY_FORM, /* our domain, but the local part names another host: a%b@us, b!a@us, "a@b"@us */
    SMTP_ROUTE_NOT_OURS,
    SMTP_ROUTE_OVER_QUOTA,
    SMTP_ROUTE_DISABLED,
};

struct smtp_route_target {
    uint64_t account_id, mailbox_id, quota_left;
};

#define SMTP_ROUTE_TARGETS_MAX 1000

struct smtp_route {
    enum smtp_route_kind kind;
    const struct smtp_route_target *targets; /* in the arena given to smtp_route_find */
    size_t count;
};

/* Waits for a store reader. 0, or a negative errno: a temporary failure. Takes from `arena` at most some 40 KiB. */
MUST_USE int smtp_route_find(struct fiber *self, struct smtp_session *s, struct arena *arena,
                             const struct mail_path *path, struct smtp_route *route);

/* What this process learned lately: addresses that lead to one mailbox with room to spare. An entry lives for a second,
 * so a change of the directory is seen at most that much later; the writer has the last word anyway. Bounded. */
struct smtp_route_cache *smtp_route_cache_new(void);
void smtp_route_cache_free(struct smtp_route_cache *cache);

#endif
