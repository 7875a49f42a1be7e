/* The queue's rows: put there with the message, changed by what the courier reports and by the administrator. What must
 * not happen twice (a delivery) and what a person decided (held, released) is a record in the volume as well; attempts
 * and times are in the database only. All of it in a batch; the functions wait for the disk only. */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "store/core.h"

#define QUEUE_REPLY_MAX 500
#define QUEUE_ADDRESS_MAX 1024 /* bytes of anything that names a recipient or a host */

/* Fills f->queued[*] from a recipient: DELIVERY_REMOTE, DELIVERY_LIST, or a mailbox whose sender wants a report. False
 * when what it says cannot be queued (too long, control characters, no domain). */
MUST_USE bool queue_entry_fill(struct message_queued *q, const struct delivery_recipient *r);
/* Is it sent to another site? What has to be asked for again (QUEUE_DESTINATION_LOCAL) is not, yet. */
bool queue_is_outbound(const struct message_queued *q);
/* Inserts the rows of f->queued. */
MUST_USE int queue_insert(struct store *s, const struct message_facts *f, uint64_t size);
/* The same out of a record, into a database that is made anew; a row that is there gets the record's state. Attempts
 * and times were in the lost database: what is not held is due at once. 0 or a negative errno. */
MUST_USE int queue_replay(struct database *db, const struct message_facts *f, uint64_t size);
/* Its kind and numbers are within their bounds. */
MUST_USE bool queue_result_is_possible(const struct delivery_result *r);
/* Does what the results say, each of them possible. 0, or a negative errno: the batch is lost. */
MUST_USE int queue_results(struct store *s, const struct delivery_result *results, size_t count);
/* Replaces everything that is not printable, and cuts it between characters. */
struct span queue_reply_clean(struct arena *arena, struct span reply);
/* Appends the record of what became of entries. Nothing where there are none. */
MUST_USE int queue_log(struct store *s, const struct queue_facts *f);

/* ---- The administrator's ---- */

#define QUEUE_PAGE 500
#define QUEUE_LOOKED_AT 20000 /* rows of one call: the writer has mail to take, too */

struct queue_place {
    uint64_t message_id;
    uint32_t number;
};

struct queue_choice {
    uint64_t message_id; /* of this message only, 0 = of any */
    uint32_t number;     /* this entry only, 0 = any */
    struct span match;   /* destination, recipient or reverse path: exact, or its end where it begins with '@'; empty =
                            any */
};

struct queue_row {
    uint64_t message_id;
    uint32_t number;
    uint32_t kind, state;
    struct span reverse_path, address, original, destination, reply;
    uint64_t attempts, next_at, created_at, size;
    bool warned, give_up;
};

struct queue_page {
    struct queue_row *rows; /* in the arena */
    size_t count;
    bool more; /* go on behind `last` */
    struct queue_place last;
};

/* Up to `limit` (at most QUEUE_PAGE) rows of the choice behind `after`. Only reads. 0 or a negative errno. */
MUST_USE int queue_list(struct database *db, const struct queue_choice *choice, struct queue_place after, size_t limit,
                        struct arena *arena, struct queue_page *page);

#define QUEUE_HEADER_MAX (64u << 10)
/* Appends a message's header, up to the empty line and at most QUEUE_HEADER_MAX bytes. 0; -ENOENT; -EBADMSG: damaged;
 * another negative errno. */
MUST_USE int queue_header(struct store *s, uint64_t message_id, struct buf *out);

/* Counts the rows into s->queued: at the start only, it walks over all of them. 0 or a negative errno. */
MUST_USE int queue_count(struct store *s);
/* Notes in s->queued that an entry is gone. */
void queue_count_gone(struct store *s, uint32_t state);

enum queue_action { QUEUE_DO_RETRY = 1, QUEUE_DO_HOLD, QUEUE_DO_RELEASE, QUEUE_DO_DROP, QUEUE_DO_BOUNCE };

/* Does it to up to QUEUE_PAGE entries of the choice behind page->last, which moves on. *changed counts those that it
 * made a difference to. 0 or a negative errno: the batch is lost. */
MUST_USE int queue_change(struct store *s, const struct queue_choice *choice, enum queue_action action,
                          struct queue_page *page, uint64_t *changed);

enum queue_direction { QUEUE_IN, QUEUE_OUT };
/* When intake goes on, up to QUEUE_LOOKED_AT entries that wait for it fall due. */
MUST_USE int queue_pause(struct store *s, enum queue_direction direction, bool paused);
/* 1 paused, 0 not, or a negative errno. */
MUST_USE int queue_is_paused(struct database *db, enum queue_direction direction);

/* After the clock was set back by years, entries would wait as long: those that wait for longer than any may are due
 * now. So many at a time; in a transaction of its own. 0 or a negative errno. */
MUST_USE int queue_mend_times(struct store *s);

#endif
