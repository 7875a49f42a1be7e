/* The client's side of SCRAM-SHA-256: RFC 5802, RFC 7677, without channel binding. Pure: messages in, messages out; the
 * nonce comes from the caller. */
#ifndef FETCH_SCRAM_CLIENT_H
#define FETCH_SCRAM_CLIENT_H

#include "auth/digest.h"
#include "base/buf.h"

/* What we let a server ask for: fewer would make the password cheap to guess for whoever plays server, more would keep
 * everybody else's mail waiting. */
#define SCRAM_CLIENT_ITERATIONS_LEAST 4096
#define SCRAM_CLIENT_ITERATIONS_MOST 600000

struct scram_client {
    struct buf exchange; /* AuthMessage */
    struct span both;    /* of it: the nonces */
    struct digest_hi hi;
    unsigned char server_signature[SHA256_SIZE];
};

void scram_client_init(struct scram_client *s);
/* Wipes it, too. */
void scram_client_release(struct scram_client *s);
/* Appends client-first-message. `nonce`: fresh, printable ASCII without commas. */
void scram_client_open(struct scram_client *s, struct span login, struct span nonce, struct buf *out);
/* Takes server-first-message. False: it is none, its nonce is not ours, or it asks for more or fewer iterations than we
 * let it. */
MUST_USE bool scram_client_take(struct scram_client *s, struct span nonce, struct span password, struct span message);
/* Then: some of these iterations, about a millisecond's. To be called until it says true. */
MUST_USE bool scram_client_work(struct scram_client *s);
/* Then: appends client-final-message. */
void scram_client_prove(struct scram_client *s, struct buf *out);
/* Does server-final-message prove that the server knows the password, too? */
MUST_USE bool scram_client_verify(const struct scram_client *s, struct span message);

#endif
