/* The ledger: one row an attempt to reach somebody here (doc/rules.md). Rows of mail that was accepted are inserted in
 * the transaction that stores it; those of refused mail in small transactions of their own, which are not synced by
 * themselves and never keep mail waiting. It is in the database only: one made anew from the volumes begins a new
 * ledger. No function here waits but for the disk.
 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include "base/buf.h"
#include "config/settings.h"
#include "store/database.h"
#include "store/reject_log.h"

struct store;

/* What is kept of each text, in bytes; longer ones are cut. */
#define LEDGER_NAME_MAX 64 /* of rules */
#define LEDGER_HOST_MAX 255
#define LEDGER_ADDRESS_MAX 320
#define LEDGER_TEXT_MAX 400 /* subject, evidence, sentence, Message-ID */
#define LEDGER_REPLY_MAX 1000
#define LEDGER_FACTS_MAX 8192 /* larger ones are left out: replay then says that they are missing */
#define LEDGER_REFERENCE_MAX ((1ull << 40) - 1)
#define LEDGER_ATTEMPTS_MAX (1ull << 40) /* of one row; it stays there */

struct ledger_row {
    uint64_t reference; /* 0: none was given */
    uint64_t at, last_at, attempts;
    uint64_t account_id;
    bool fetched;
    uint64_t stage, verdict, level; /* policy/decide.h, policy/rule.h */
    struct span rule, ip, ptr, helo, reverse_path, recipient, subject, header_message_id;
    struct span evidence, sentence, reply, facts;
    uint64_t message_id, mailbox_id, uid; /* where it was delivered; 0 */
    uint64_t asked;
};

/* What the store knows of it. */
struct ledger {
    uint64_t first_id, next_id; /* of its rows; next_id 0: to be read */
    uint64_t next_before;       /* next_id when the running transaction began */
    uint64_t oldest_at;         /* of the first row; 0 without one */
    uint64_t life;              /* nanoseconds that rows are kept; 0: for ever */
    uint64_t rows_max;          /* 0: any number */
    uint64_t history_after;     /* of what people changed: looked at up to this number, for rows that may go */
    uint64_t history_due;       /* when that is next done, wall clock */
    struct reject_log reject_log;
    struct buf text; /* of the row being inserted */
};

/* `data_directory` is borrowed. */
void ledger_init(struct ledger *l, int data_directory);
void ledger_release(struct ledger *l);
void ledger_set_settings(struct ledger *l, const struct settings *settings);

/* Can it be a row: known verdict, level and stage, a reference of at most 40 bits? */
bool ledger_row_is_possible(const struct ledger_row *row);
/* In a transaction: store_begin()'s, or ledger_begin()'s. Texts are cut, and cleaned of what is no printable UTF-8. A
 * row whose reference, rule, account and verdict are there already adds its attempts to that row. A refusal is also
 * given to the reject log, which writes it after the commit. 0; -EINVAL: it is no possible row; another negative errno:
 * the transaction is lost. */
MUST_USE int ledger_insert(struct store *s, const struct ledger_row *row);

/* A transaction for rows only, between batches. Its commit is atomic, but durable only with the next batch's. */
MUST_USE int ledger_begin(struct store *s);
MUST_USE int ledger_commit(struct store *s);
void ledger_abort(struct store *s);
/* Of any transaction: at its begin, and when it did not happen. */
void ledger_mark(struct ledger *l);
void ledger_forget(struct ledger *l);

/* How many rows there are; reads it first where it is not known. Negative errno on failure. */
MUST_USE int ledger_count(struct store *s, uint64_t *count);
/* Is there something to prune at `now` (wall clock)? */
bool ledger_is_prunable(const struct ledger *l, uint64_t now);
/* In ledger_begin()'s transaction: removes up to `most` of the oldest rows that are too old or too many. Then, once in
 * an hour and as many at a time, what people changed before those days: but never one of an owner's newest
 * LEDGER_HISTORY_KEPT changes, so that everybody can take back what they did. 0 or a negative errno. */
MUST_USE int ledger_prune(struct store *s, uint64_t now, uint64_t most);
#define LEDGER_HISTORY_KEPT 100

#endif
