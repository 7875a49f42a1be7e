/* What everybody needs who brings messages in: the sessions of SMTP and of POP3 (XTND XMIT), and the courier.
 *
 * The way: an envelope (envelope.h) gathers the recipients that route.h says are fine; a reception (reception.h) puts
 * the trace fields before the message, takes it in and judges it; deliver.h hands both to the store and reads its
 * answer. None of them replies or knows the protocol by which the message comes.
 */
#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

#include "config/settings.h"
#include "format/ip_address.h"
#include "ipc/peers.h"

struct intake_route_cache;

/* Whom to ask, and the rules. All borrowed. */
struct intake {
    struct peers *peers;
    const struct settings *settings;
    struct intake_route_cache *routes; /* what was asked lately; NULL: each address is asked for */
    uint64_t patient_until; /* monotonic: until then a process of the store that is away is waited for; 0: not at all */
};

/* A channel to the store's reader or writer, waiting for one as long as the intake is patient. NULL: there is none
 * (channel_call then says -EPIPE). */
struct channel *intake_channel(struct fiber *self, const struct intake *intake, enum role role);

/* Who brings a message: for its trace fields, its record in the store, and the log. All borrowed. */
struct intake_source {
    const char *component; /* in the log: "smtp" */
    const char *session;   /* its id there and in Received: */
    struct ip_address ip;
    const char *ip_text;
    struct span helo;                     /* empty: it said none */
    struct span ptr;                      /* its name by DNS, checked both ways; empty: not known */
    const char *protocol;                 /* "ESMTPS": RFC 3848, RFC 6531 section 4.3 */
    const char *tls_version, *tls_cipher; /* "" without TLS */
    uint64_t account_id;   /* whose message it is: its remote recipients count against that account; 0: a stranger's */
    bool completes_header; /* a Date: and a Message-ID: that are missing are added (RFC 6409 section 8) */
    bool may_wait_for_allowance; /* past the account's limit of today its remote recipients wait for a day with room */
};

#endif
