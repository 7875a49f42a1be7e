/* One visit to a remote account: what its steps share. */
#ifndef FETCH_VISIT_H
#define FETCH_VISIT_H

#include "facts/gather.h"
#include "fetch/internal.h"
#include "format/origin.h"
#include "format/smtp_data.h"
#include "intake/body.h"
#include "store_write.pb-c.h"

struct visit {
    struct fetcher *fetcher;
    struct remote *remote;
    struct settings *settings; /* those it began with */
    struct tls_context *tls;
    struct arena memory; /* of the account's texts */
    struct remote_account account;
    struct span account_address; /* local@domain of whom it is fetched for */
    struct ip_address server;    /* that it is connected to */
    struct pop3_client client;
    struct maildrop maildrop;
    bool is_greeted;
    uint64_t until;     /* monotonic: no other message is begun after that */
    unsigned not_given; /* messages in a row that the provider did not give out */
    unsigned not_deleted;
    bool has_said_skips; /* that more is skipped than can be remembered */
    char session[SESSION_MAX];
};

/* Notes the sentence as the remote's problem. Returns `end`. */
enum visit_end visit_fail(struct visit *v, enum visit_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Has the store note unique ids as dealt with, or as gone from the provider, together with the ledger's rows of what is
 * not stored: durable when it returns 0; else a negative errno. Waits. */
MUST_USE int visit_note(struct fiber *self, const struct visit *v, ProtobufCBinaryData *uidls, size_t count,
                        bool forget, StoreWrite__LedgerRow **rows, size_t row_count);

/* ---- A message on its way ---- */

enum arrival_end {
    ARRIVAL_STORED,  /* durable, or it was so before: it may be deleted at the provider */
    ARRIVAL_REFUSED, /* durably noted as dealt with, its rows in the ledger: the same */
    ARRIVAL_SKIPPED, /* it can't be taken: stays at the provider; `problem` says why */
    ARRIVAL_LATER,   /* not now: stays at the provider */
};

struct arrival {
    struct visit *visit;
    struct arena memory;
    struct smtp_data data;
    struct intake_body body;
    bool header_is_read;
    uint64_t fingerprint; /* of the header: policy/poison.h */
    bool is_held;         /* it is not to be looked into */
    size_t trace_size;    /* what we put before the message */
    struct span header;   /* as it came */
    struct origin origin;
    struct mail_path sender;  /* of its Return-Path: */
    struct span reverse_path; /* what is stored; empty for <> */
    struct span uidl;
    bool is_blocked; /* a rule refused it, and it goes to the folder for that */
    char problem[PROBLEM_MAX];
};

void arrival_init(struct arrival *a, struct visit *v);
void arrival_release(struct arrival *a);
/* RETR: takes the message in until its end. 0, or a negative errno of the conversation (which is over then) or of ours.
 * What is wrong with the message itself stands in `data`. */
MUST_USE int arrival_retrieve(struct fiber *self, struct arrival *a, const struct remote_message *message);
/* Behind each piece: as soon as the header is whole our trace fields are put before it. 0 or a negative errno. */
MUST_USE int arrival_settle(struct fiber *self, struct arrival *a, bool at_end);
/* Decides and stores. 0 with *end, or a negative errno of ours: then it is not known whether it was stored, and the
 * next visit finds out. */
MUST_USE int arrival_deliver(struct fiber *self, struct arrival *a, enum arrival_end *end);

#endif
