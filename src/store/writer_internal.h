/* The insides of the writer's service. */
#ifndef STORE_WRITER_INTERNAL_H
#define STORE_WRITER_INTERNAL_H

#include "ipc/attachments.h"
#include "store/core.h"
#include "store/writer.h"

#include "store_write.pb-c.h"

#define QUEUE_BYTES_MAX (256u << 20) /* of calls that wait; past it the channels are paused */

struct store_writer {
    struct loop *loop;
    struct settings *settings;
    struct store *store;
    struct attachments attachments;
    size_t queued, expected; /* calls in the queue; calls that are likely to come together */
    struct timer timer;      /* due at once whenever there is work */
    struct list_node queue;  /* calls that wait for the next batch */
    size_t queue_bytes;
    struct list_node compact;                /* calls that wait for the end of a compaction */
    unsigned compact_percent;                /* what they asked for, 0 when none does */
    uint64_t compact_removed, compact_freed; /* the counts when the first of them came */
    bool compact_wanted, paused, stopped;
    unsigned char grant_key[GRANT_KEY_SIZE];
    struct arena arena; /* of a batch: the replies that wait for its commit */
    struct {
        struct list_node calls; /* LedgerNotes that wait for their transaction */
        size_t count, bytes;    /* of calls; of memory that they hold */
        size_t done;            /* rows of the first one that are in already */
        uint64_t dropped;       /* rows, since it was last said */
        uint64_t said_at;       /* monotonic: when */
        uint64_t failed_at;     /* monotonic: when the ledger could not be written, and that was said; 0: it can */
        struct timer timer;
    } notes;
    struct call *waiting;      /* the courier's QueueWait, or NULL */
    struct timer waiting_ends; /* its time */
    uint64_t mended_at;        /* when the times of the queue were last looked at, monotonic; 0: not yet */
    uint64_t courier_channel;  /* that it asked on last */
};

/* A call in a batch: done, but for the commit. */
struct pending {
    struct call *call;
    int error; /* its own */
    const ProtobufCMessage *reply;
    struct buf problem;
};

/* The steps of a batch: each does what its call asks. 0 with the reply, or the call's own error. */
MUST_USE int writer_deliver(struct store_writer *w, struct pending *pending);
MUST_USE int writer_import(struct store_writer *w, struct pending *pending);
MUST_USE int writer_queue_change(struct store_writer *w, struct pending *pending);
MUST_USE int writer_door_change(struct store_writer *w, struct pending *pending);
MUST_USE int writer_remote_seen(struct store_writer *w, struct pending *pending);
/* LedgerNote: kept until its rows are in, some hundred rows at a time, between batches; dropped where too many wait. */
void writer_ledger_note(struct store_writer *w, struct call *call);
/* Behind a batch: the ledger may have to be pruned. */
void writer_ledger_look(struct store_writer *w);
/* All that waits, now. */
void writer_ledger_finish(struct store_writer *w);
void writer_ledger_init(struct store_writer *w);
/* A row of a message, as the store takes it. */
struct ledger_row writer_ledger_row(const StoreWrite__LedgerRow *from);
MUST_USE int writer_ledger_list(struct store_writer *w, struct call *call);
MUST_USE int writer_reject_counts(struct store_writer *w, struct call *call);
/* QueueWait: kept until there is news or its time is over. A second one sends the first away empty-handed: there is one
 * courier. */
void writer_queue_wait(struct store_writer *w, struct call *call);
/* After a commit: answers the one who waits. */
void writer_tell_news(struct store_writer *w);
/* Sends away who waits. */
void writer_stop_waiting(struct store_writer *w);
MUST_USE int writer_queue_list(struct store_writer *w, struct call *call);
MUST_USE int writer_door_list(struct store_writer *w, struct call *call);
MUST_USE int writer_door_history(struct store_writer *w, struct call *call);
/* Does what the call asks, in the running batch. */
void writer_perform(struct store_writer *w, struct pending *pending);
/* Spool, list, status: answered at once. */
void writer_answer(struct store_writer *w, struct call *call);

#endif
