/* The queue as the courier reads it. Only reads; functions wait for the disk only. */
#ifndef STORE_VIEW_QUEUE_H
#define STORE_VIEW_QUEUE_H

#include "base/arena.h"
#include "store/view.h"

#define QUEUE_ENTRIES_MAX 1000
#define QUEUE_DESTINATIONS_MAX 1000

struct queue_due {
    struct span *destinations; /* in the arena, rising */
    size_t count;
    bool more; /* there are further ones behind the last */
};

/* The destinations behind `after` that have entries due at `now`, at most `limit`. Costs a seek for each destination,
 * or less, however many entries they have. 0 or a negative errno. */
MUST_USE int view_queue_due(struct view *v, uint64_t now, struct span after, size_t limit, struct arena *arena,
                            struct queue_due *due);
/* When the next entry behind `now` falls due, 0 when none waits. */
MUST_USE int view_queue_next(struct view *v, uint64_t now, uint64_t *next_at);

struct queue_entry {
    uint64_t message_id, list_id, size, next_at, created_at;
    uint64_t account_id; /* the sender's; 0: no member's */
    uint32_t number, kind, notify, attempts;
    struct span address, original, orcpt, forwarder, reverse_path, reply;
    bool warned, give_up;
};

struct queue_cursor {
    uint64_t next_at, message_id;
    uint32_t number;
};

/* Entries of one destination that are due at `now`, behind the cursor (zeros: from the start), in the order of
 * (next_at, message_id, number). Ends earlier than `limit` where the arena is full. 0 or a negative errno. */
MUST_USE int view_queue_entries(struct view *v, struct span destination, uint64_t now, const struct queue_cursor *after,
                                size_t limit, struct arena *arena, struct queue_entry **entries, size_t *count);

/* A message's facts (in the arena), the size of its body, and a piece of that, appended to `out`. 0; -ENOENT: it is
 * gone; -EINVAL: the offset is behind its end; -EBADMSG: damaged (logged); another negative errno, which may pass. */
MUST_USE int view_queue_fetch(struct view *v, uint64_t message_id, uint64_t offset, uint32_t max_bytes,
                              struct arena *arena, struct message_facts *facts, uint64_t *total, struct buf *out);

struct list_page_member {
    uint64_t number;
    struct span address;
    uint32_t bounces;
};

struct list_page {
    struct span address, name, owner;
    struct list_page_member *members; /* those that are not suspended */
    size_t count;
    bool more;
};

/* A mailing list and its members behind `after`, at most `limit`. 1, 0 when there is none, or a negative errno. */
MUST_USE int view_list(struct view *v, uint64_t list_id, uint64_t after, size_t limit, struct arena *arena,
                       struct list_page *page);

#endif
