/* A refusal of a sender, a recipient or a message: logged, reported to auth, held back as long as auth says, and then
 * replied. All of them go through here. */
#ifndef SMTP_REFUSAL_H
#define SMTP_REFUSAL_H

#include "smtp/session_internal.h"

enum smtp_refused {
    SMTP_REFUSED_RETURN_PATH,
    SMTP_REFUSED_RECIPIENT,    /* for a reason of the sender's: a list, relaying */
    SMTP_REFUSED_UNKNOWN_USER, /* somebody may be guessing names: the delays grow */
    SMTP_REFUSED_MESSAGE,
    SMTP_REFUSED_PASSCODE, /* a wrong one: somebody may be guessing */
};

struct smtp_refusal {
    enum smtp_refused what;
    unsigned code;         /* of the reply */
    const char *enhanced;  /* "5.7.1" */
    const char *reason;    /* for the log and `ostiary watch`: a few words */
    const char *rule;      /* under which the ledger has it: "no-such-user"; NULL: it is not noted here */
    struct span evidence;  /* what a list or another server said; quoted in the log; may be empty */
    struct span sender;    /* as given, where it is not the transaction's yet */
    struct span recipient; /* as given; empty: the transaction's first one */
    bool is_counted;       /* one of a flood, which the ledger counts (ledger_is_counted) */
    uint64_t account_id;   /* whose ledger has it; 0: the site's only */
    const char *noted;     /* what the ledger keeps instead of the reply's text, where that quotes what may be a secret;
                              NULL: the text */
};

/* Writes the record (level Failure), tells auth, waits as long as it asks (at most half a minute, and not at all when
 * it does not answer within a second), and replies with the text; earlier replies leave before the wait. Of a flood,
 * auth is told only what somebody may be guessing by: `ostiary watch` shows what the ledger lists. Where it is noted in
 * the ledger, the reply ends with its reference. Counts an error, as smtp_refuse() does. 0, or a negative errno that
 * ends the session. */
MUST_USE int smtp_refuse_reported(struct fiber *self, struct smtp_session *s, const struct smtp_refusal *refusal,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same for what is no fault of the client's, who is to come again: noted in the ledger and replied to at once, not
 * logged, not reported, not counted as an error. 0. */
int smtp_put_off(struct smtp_session *s, const struct smtp_refusal *refusal, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
