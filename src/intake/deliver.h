/* From a taken-in message to the store's word that it is durable: the summary, the call, and the one place that reads
 * its outcomes. */
#ifndef INTAKE_DELIVER_H
#define INTAKE_DELIVER_H

#include "intake/body.h"
#include "intake/envelope.h"
#include "store_write.pb-c.h"

/* One outcome is true for all recipients: the store takes a message for all of its living targets or for none. */
enum intake_verdict {
    INTAKE_STORED,     /* durable */
    INTAKE_OVER_QUOTA, /* nothing was stored: too large for every one of its mailboxes */
    INTAKE_GONE,       /* nothing was stored: every mailbox or list was deleted since its address was accepted */
    INTAKE_OVER_SENDING_QUOTA, /* nothing was stored: the account's remote recipients of today would pass the limit;
                                  with may_wait_for_allowance: of every day until it would be given up */
};

struct intake_outcome {
    enum intake_verdict verdict;
    uint64_t message_id;    /* INTAKE_STORED */
    uint64_t remote_due_at; /* the same: when its recipients at other sites fall due, nanoseconds since 1970; 0: at once
                             */
};

/* What is parsed out of a message, once. */
struct intake_summary {
    struct buf bytes;     /* format/summary.h, of the whole body with its trace fields; released with buf_release */
    bool automatic;       /* format/automatic.h */
    uint64_t fingerprint; /* policy/poison.h */
    bool is_held; /* parsing it ends processes, so it was not parsed and is not to be: `bytes` say next to nothing */
};
/* 0 or a negative errno; *summary is to be released in any case. A message that is held goes to its people's folders
 * POISON_FOLDER: envelope_hold(). */
MUST_USE int intake_summarise(struct intake_body *body, struct intake_summary *summary);
/* Hands the message (`body` begins with its trace fields) to the store and waits until it is durable. `eight_bit`: it
 * has bytes above 127. `summary`: intake_summarise's; NULL: it is made here. 0 with *outcome, or a negative errno: a
 * temporary failure, and then it is not known whether it was stored. So the intake's patience is for a writer that is
 * away before the call; one that goes away during it is not asked again. Memory for the call comes from `arena`. */
MUST_USE int intake_deliver(struct fiber *self, const struct intake *intake, const struct intake_source *source,
                            const struct envelope *envelope, struct arena *arena, struct intake_body *body,
                            const struct intake_summary *summary, bool eight_bit, struct intake_outcome *outcome);

/* The envelope's part of a call that somebody makes on their own (the courier, with its results): reverse path,
 * recipients, envid, ret, smtputf8. Borrowed from the envelope and the arena. 0 or -ENOMEM. */
MUST_USE int intake_fill_request(const struct envelope *envelope, struct arena *arena,
                                 StoreWrite__DeliverRequest *request);
/* Reads the outcomes of `count` recipients. -EPROTO where the answer makes no sense: a message twice is better than one
 * that is lost behind a 250. `gone`, if not NULL: how many targets vanished although others were stored. */
MUST_USE int intake_read_outcomes(const StoreWrite__DeliverReply *reply, size_t count, struct intake_outcome *outcome,
                                  size_t *gone);

#endif
