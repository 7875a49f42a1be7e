/* One login as a machine of steps (RFC 4422): a message of the client in, an outcome out. Pure: the look-up of the
 * account and the costly hash are the caller's, between two steps. One table (sasl.c) has a row for each mechanism.
 *
 *   sasl_step() → SASL_LOOKUP → the caller looks up x->login → sasl_credentials() → SASL_CHECK_PASSWORD → the caller
 * compares x->password
 */
#ifndef AUTH_SASL_H
#define AUTH_SASL_H

#include "auth/mechanisms.h"
#include "auth/scram.h"
#include "auth/words.h"

#define SASL_MESSAGE_MAX 2048
#define SASL_TIMESTAMP_MAX 256

enum sasl_outcome {
    SASL_CHALLENGE,      /* send `out` (may be empty) and wait for the client */
    SASL_LOOKUP,         /* the name is known: look it up, then sasl_credentials() */
    SASL_CHECK_PASSWORD, /* compare x->password with the account's hash; that decides */
    SASL_PROVEN,         /* the client is who it says */
    SASL_REFUSED,        /* it is not: x->problem says why, for the log only */
    SASL_MALFORMED,      /* what it sent does not parse */
};

struct sasl_exchange {
    enum mechanism_id mechanism;
    unsigned stage;
    struct login login;
    struct password password;  /* PLAIN, LOGIN */
    struct scram_server scram; /* SCRAM */
    char digest[MD5_HEX_SIZE]; /* APOP: the client's */
    struct buf timestamp;      /* APOP: the greeting's */
    const char *problem;       /* a static text, never NULL */
};

struct sasl_input {
    bool has_data; /* an empty message is not none (RFC 4954 section 4) */
    struct span data;
    struct scram_bindings bindings;
    struct span apop_timestamp;
};

/* What is stored of the account, spans empty where there is none of that kind. */
struct sasl_account {
    bool found;
    struct span scram, apop;
    struct span fake_key;                  /* for names without a verifier */
    unsigned char nonce[SCRAM_NONCE_SIZE]; /* fresh */
};

void sasl_exchange_init(struct sasl_exchange *x, enum mechanism_id mechanism);
/* Wipes everything, then frees. */
void sasl_exchange_release(struct sasl_exchange *x);

MUST_USE enum sasl_outcome sasl_step(struct sasl_exchange *x, const struct sasl_input *input, struct buf *out);
/* After SASL_LOOKUP. Takes the same time and gives the same outcome for a name that is not there. */
MUST_USE enum sasl_outcome sasl_credentials(struct sasl_exchange *x, const struct sasl_account *account,
                                            struct buf *out);

#endif
