/* The envelope of a message that is being brought in: its sender and the recipients that were accepted. */
#ifndef INTAKE_ENVELOPE_H
#define INTAKE_ENVELOPE_H

#include "intake/route.h"
#include "store_write.pb-c.h"

struct judged;

#define ENVELOPE_BUCKETS 64

struct intake_recipient {
    struct intake_recipient *next, *next_in_bucket;
    uint64_t hash;                      /* of the target */
    const struct intake_target *target; /* the route's */
    struct span address;                /* local@domain as the sender named it, without a source route */
    struct span orcpt;                  /* RFC 3461, as given: "rfc822;…"; empty when not */
    unsigned notify;                    /* enum smtp_notify; 0 = not given */
    struct judged *judged;              /* facts/judge.h: the target's door; NULL: nobody asked */
    struct judged *const *by_door;      /* all of the address's; the target's guards are among them */
    struct intake_recipient *again; /* the same target by another way: `target`, `judged`, `by_door`, `again` only */
    struct span folder;             /* MAILBOX: where the copy goes; empty: the INBOX */
    const StoreWrite__LedgerRow *ledger; /* what the ledger is to say; NULL: nothing */
};

struct envelope {
    struct span reverse_path; /* as in Return-Path: empty for <> */
    struct span envid;        /* RFC 3461: xtext as given */
    unsigned ret;             /* enum smtp_ret */
    bool smtputf8;
    struct intake_recipient *recipients, **last;        /* a target that several addresses lead to stands once */
    unsigned accepted;                                  /* addresses taken, however many targets each had */
    unsigned target_count, remote_count;                /* the second: those that are known to be at other sites */
    size_t request_bytes;                               /* of the call that delivers: what the recipients need of it */
    struct intake_recipient *buckets[ENVELOPE_BUCKETS]; /* `recipients` by target */
};

/* How an accepted recipient was named. Its spans and the route's targets have to live as long as the envelope. */
struct intake_naming {
    const struct mail_path *path;
    struct span orcpt;
    unsigned notify;
    struct judged *const *by_door; /* by a target's door, from 0; NULL: nobody asked */
};

void envelope_init(struct envelope *envelope);
/* Do the route's targets still fit the one call that delivers? Always true for the first recipient. */
bool envelope_has_room(const struct envelope *envelope, const struct intake_naming *naming,
                       const struct intake_route *route);
/* Bytes that the call that delivers has room for beside its recipients: for folders and rows of the ledger. */
size_t envelope_bytes_left(const struct envelope *envelope);
/* Adds the route's targets that are not there yet: who is named twice gets one copy. After an error the envelope is as
 * before. 0 or -ENOMEM. */
MUST_USE int envelope_add(struct envelope *envelope, struct arena *arena, const struct intake_naming *naming,
                          const struct intake_route *route);

/* Leaves only those targets in it of which is_kept says so: nothing is to be added any more. */
void envelope_keep(struct envelope *envelope, bool (*is_kept)(const struct intake_recipient *r));

/* The message is held aside (policy/poison.h): its copies here go to the folder for that, as far as the call has room
 * to say so. Copies for other sites go on: what is poison to us need not be to them. */
void envelope_hold(struct envelope *envelope);

#endif
