/* The mailboxes' counters, held in memory by the one writer: loaded on first use, written back once a batch. No
 * function here waits but for the disk. */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include "store/core.h"

/* RFC 6154: what a mailbox is for. Part of the records. */
enum special_use {
    SPECIAL_ARCHIVE = 1,
    SPECIAL_DRAFTS = 2,
    SPECIAL_JUNK = 4,
    SPECIAL_SENT = 8,
    SPECIAL_TRASH = 16,
};

struct account_state {
    uint64_t id, quota /* bytes, 0 = none */, used;
    struct span address; /* local@domain; memory behind the struct */
};

struct mailbox_state {
    struct list_node dirty;
    bool is_dirty;
    uint64_t id, highest_modseq, messages, bytes;
    uint32_t uidvalidity, uidnext, special_use;
    uint64_t last_message; /* the delivery that it was given last: one message comes into a mailbox once */
    uint32_t last_entry;   /* the mailbox's place among the entries of that delivery, from 1 */
    struct account_state *account;
    struct span name;
};

/* 1 with *mailbox, 0 when there is none, or a negative errno. Valid until mailboxes_clear(). */
MUST_USE int mailbox_get(struct store *s, uint64_t id, struct mailbox_state **mailbox);
void mailbox_touch(struct store *s, struct mailbox_state *mailbox);
/* Writes what changed to the database. */
MUST_USE int mailboxes_flush(struct store *s);
/* Forgets all: after an abort. */
void mailboxes_clear(struct store *s);
/* Forgets all when there are very many. Between batches only. */
void mailboxes_trim(struct store *s);
/* Makes an account's mailbox: record and row. */
MUST_USE int mailbox_create(struct store *s, uint64_t account_id, struct span name, uint32_t special_use, uint64_t *id);
/* Logs its present state once more: 0 also when it is gone. */
MUST_USE int mailbox_log(struct store *s, uint64_t id);
/* A mailbox or a queue entry less holds the message; the last one leaves its record dead. */
MUST_USE int store_message_release(struct store *s, uint64_t message_id);
/* Takes all mail out of all the account's mailboxes, rows only: the record of its removal says the rest. */
MUST_USE int account_entries_release(struct store *s, uint64_t account_id);

#endif
