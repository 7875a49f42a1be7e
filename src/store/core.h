/* The storage core: plain functions on one struct, without IPC. The writer process puts a service in front of it.
 *
 * Work is done in batches (group commit): store_begin(), any number of operations, store_commit(). The commit writes
 * the gathered records, syncs the volume once, commits the database's one transaction, and only then returns: what an
 * operation said may be told to others after that and never before. An operation whose own input is bad returns its
 * error and leaves the batch as it was. An error of the disk or the database ends the batch: every operation since
 * store_begin() has then not happened (s->batch_error; store_commit() returns it). After a failed sync `broken` is set:
 * nothing more is accepted, the process has to end and its successor recovers from what is really on the disk.
 */
#ifndef STORE_CORE_H
#define STORE_CORE_H

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "config/settings.h"
#include "store/database.h"
#include "store/ledger.h"
#include "store/queue_news.h"
#include "store/volume.h"

#define STORE_RECIPIENTS_MAX 10000
#define STORE_RESULTS_MAX 10000

enum volume_state {
    VOLUME_OPEN, /* the newest: appended to */
    VOLUME_SEALED,
    VOLUME_REMOVED, /* all that lived in it is elsewhere; its file may still be there */
    VOLUME_DAMAGED, /* not compacted, so that nothing that could still be saved is thrown away */
};

struct compaction;

/* Kept here, since counting a million rows keeps the mail waiting. */
struct queue_count {
    uint64_t entries, held; /* the second: of the first */
};

struct store {
    struct database *db;
    struct volume_writer volumes;
    int data_directory, lock;
    uint64_t volume_size, message_max; /* bytes */
    unsigned compact_dead_percent;
    unsigned daily_recipients; /* at other sites, of an account in a UTC day; 0 = no limit */
    unsigned list_bounces;     /* after so many a list's member is suspended; 0 = never */
    uint64_t queue_wait;       /* nanoseconds: the longest wait between attempts, but for its random part */
    uint64_t queue_life;       /* nanoseconds: what waits longer is given up */
    uint64_t sent_day;         /* the day whose counts of sent mail were last rid of old ones */
    char *detail_separator;
    bool in_batch, broken;
    int batch_error;
    uint64_t committed_end, committed_lsn;
    /* The mailboxes' counters, by id: owned by the one writer, so no delivery has to ask the database for them. */
    struct map mailboxes, accounts;
    struct list_node dirty;
    struct buf facts;              /* of the record being built */
    struct arena arena;            /* of one operation */
    struct compaction *compaction; /* running, or NULL */
    struct queue_news news;
    struct queue_count queued, queued_before; /* in this batch, when it began */
    struct ledger ledger;
    struct {
        uint64_t batches, delivered, volumes_removed, bytes_freed, tail_bytes_cut;
    } counts;
};

/* Locks the data directory (made where it is missing), opens and migrates the database, recovers. NULL with a sentence:
 * another writer holds it, newer schema, database lost, … The settings are read, not kept. */
MUST_USE struct store *store_open(const struct settings *settings, struct buf *problem);
/* After a reload. Between batches only. 0, or -ENOMEM; then the old ones stay. */
MUST_USE int store_set_settings(struct store *s, const struct settings *settings);
/* Ends a batch without it, checkpoints, closes. NULL-safe. */
void store_close(struct store *s);
/* Locks the data directory for the one process that may write there: a descriptor, or a negative errno with a sentence.
 */
MUST_USE int store_lock(int data_directory, struct buf *problem);

MUST_USE int store_begin(struct store *s);
MUST_USE int store_commit(struct store *s);
void store_abort(struct store *s);
/* Notes an error of disk or database and returns it: the batch is lost. */
int store_fail(struct store *s, int error);
/* Appends the record whose facts are in s->facts (and empties that). An error here is the batch's, but for a bad body.
 */
MUST_USE int store_append(struct store *s, enum record_type type, const struct body *body, struct record_place *place);

/* ---- Mail ---- */

enum delivery_kind {
    DELIVERY_MAILBOX,
    DELIVERY_REMOTE,      /* becomes a queue entry */
    DELIVERY_LIST,        /* becomes a queue entry */
    DELIVERY_LIST_BOUNCE, /* is counted and stored nowhere */
};

enum delivery_outcome {
    DELIVERY_STORED,
    DELIVERY_OVER_QUOTA,
    DELIVERY_GONE,               /* the mailbox or list is */
    DELIVERY_OVER_SENDING_QUOTA, /* of all recipients then: nothing was stored, no result taken */
};

struct delivery_recipient {
    enum delivery_kind kind;
    uint64_t account_id, mailbox_id;
    uint64_t list_id, list_member;
    struct span address, orcpt;              /* as the sender gave them */
    struct span target, next_hop, forwarder; /* DELIVERY_REMOTE: ipc/store_write.proto */
    uint32_t notify;                         /* RFC 3461: enum below */
    struct span folder; /* DELIVERY_MAILBOX: the account's mailbox of that name instead of mailbox_id, made where it is
                           missing; where it can't be, mailbox_id stays */
    const struct ledger_row *ledger; /* what the ledger is to say of it, or NULL; where it went is store_deliver's */
    uint32_t entry;                  /* set by store_deliver: DELIVERY_MAILBOX: its place among the entries, from 1 */
    enum delivery_outcome outcome;   /* set by store_deliver */
};

enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };

enum delivery_result_kind {
    DELIVERY_DONE = 1, /* the entry goes */
    DELIVERY_DEFERRED, /* until next_at */
    DELIVERY_WARNED,   /* the same, and its sender was told that it takes long */
};

/* What became of a queue entry that the courier had in hand. */
struct delivery_result {
    uint64_t message_id;
    uint32_t number;
    enum delivery_result_kind kind;
    uint64_t next_at;  /* nanoseconds since 1970 */
    struct span reply; /* what the other side said last; kept in one printable line of QUEUE_REPLY_MAX bytes */
};

struct delivery {
    struct message_facts facts; /* envelope facts; id, entries and queue entries are store_deliver's */
    struct delivery_recipient *recipients;
    size_t recipient_count;
    const struct delivery_result *results;
    size_t result_count;
    bool may_wait;    /* recipients at other sites may be booked on a day to come: ipc/store_write.proto */
    bool automatic;   /* no person wrote it: nobody is learned from it (store/learn.h) */
    struct span body; /* borrowed until the commit */
    int body_fd;      /* -1, or a regular file (spool) that is the body, whole */
};

/* One record, however many recipients, and what the results say, or nothing of it all. A result of an entry that is
 * gone meanwhile is passed over; where all are, so is the message: it was stored with the end of the first of them, and
 * the courier, which did not hear the answer, says it again; or a person dropped what it is about. With results the
 * mailboxes' quotas are not asked: what the courier has in hand was accepted. *message_id is 0 where nothing had to be
 * stored: also where it was fetched (facts.remote_id) and its uidl is noted as dealt with already. 0 with the outcomes;
 * -EINVAL (not a regular file, too many recipients or results, an address that is none), -EMSGSIZE. */
MUST_USE int store_deliver(struct store *s, struct delivery *d, uint64_t *message_id);
/* 0; -ENOENT: no such mailbox of that account. Unknown uids are passed over. */
MUST_USE int store_expunge(struct store *s, uint64_t account_id, uint64_t mailbox_id, const uint32_t *uids,
                           size_t count, uint32_t *expunged);
/* What was accepted elsewhere, by another program, comes into a mailbox of an account, which is made where it is
 * missing. `facts` are the envelope's. 0 with the message and its uid; 0 with a sentence where a person can mend it:
 * nothing was stored then; as store_deliver(). */
struct import {
    struct message_facts facts;
    struct span account, mailbox; /* local@domain; "INBOX", "Archive/2019" */
    uint64_t flags;               /* system flags only: a keyword needs a name */
    struct span body;
    int body_fd;
};
MUST_USE int store_import(struct store *s, struct import *import, uint64_t *message_id, uint32_t *uid,
                          struct buf *problem);
/* Replaces a message's flags. -ENOENT. */
MUST_USE int store_set_flags(struct store *s, uint64_t mailbox_id, uint32_t uid, uint64_t flags);
/* An unnamed file in the spool directory, O_RDWR. A descriptor or -errno. */
MUST_USE int store_spool(struct store *s);

#endif
