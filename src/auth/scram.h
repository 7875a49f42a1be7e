/* The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS: RFC 5802, RFC 7677, with the channel bindings tls-exporter
 * (RFC 9266) and tls-server-end-point (RFC 5929). Pure: messages in, messages out; the nonce comes from the caller. No
 * function waits.
 */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "auth/digest.h"
#include "auth/words.h"
#include "base/buf.h"

#define SCRAM_SALT_SIZE 16 /* of those we make */
#define SCRAM_SALT_MAX 64  /* of those we take */
/* Of new credentials. RFC 7677 section 4 wants at least 4096; the client pays it at each login, a thief of the database
 * at each guess. */
#define SCRAM_ITERATIONS 100000
#define SCRAM_ITERATIONS_MAX 10000000
#define SCRAM_NONCE_SIZE 18 /* random bytes of ours in a nonce */
#define SCRAM_MESSAGE_MAX 2048
#define SCRAM_BINDING_MAX 64

/* What is stored of a password; it lets nobody log in by itself, but it lets one try passwords. Wipe it after use. */
struct scram_verifier {
    unsigned iterations;
    size_t salt_size;
    unsigned char salt[SCRAM_SALT_MAX];
    unsigned char stored_key[SHA256_SIZE], server_key[SHA256_SIZE];
};

void scram_verifier_make(struct span password, struct span salt, unsigned iterations, struct scram_verifier *out);
/* "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", base64. */
void scram_verifier_write(const struct scram_verifier *verifier, struct buf *out);
MUST_USE bool scram_verifier_parse(struct span text, struct scram_verifier *out);
/* For a name that is unknown or has no such credential: looks like a real one, is the same each time under the same
 * key, and fits no password. */
void scram_verifier_fake(struct span key, struct span login, struct scram_verifier *out);

/* Binding data of the TLS connection, empty where there is none. */
struct scram_bindings {
    struct span exporter, server_end_point;
};

enum scram_result {
    SCRAM_GOOD,
    SCRAM_MALFORMED, /* the message does not parse */
    SCRAM_REFUSED,   /* it parses and is wrong: `problem` says how, in a word or two for the log */
};

struct scram_server {
    bool plus;           /* the -PLUS mechanism was chosen */
    struct buf header;   /* gs2-header and the binding data: what the client's c= must say */
    struct buf exchange; /* AuthMessage as far as it is known */
    struct buf nonce;    /* client's and ours */
    struct scram_verifier verifier;
    bool is_fake;
    const char *problem;
};

void scram_server_init(struct scram_server *s, bool plus);
/* Wipes it too. */
void scram_server_release(struct scram_server *s);

/* client-first-message. Gives the name. A binding that is not there, or a client that was made to believe there is none
 * ("y" while we have one), is refused. */
MUST_USE enum scram_result scram_client_first(struct scram_server *s, struct span message,
                                              const struct scram_bindings *bindings, struct login *login);
/* Appends server-first-message. `is_fake`: nothing proves this verifier. `nonce`: ours, fresh, printable ASCII without
 * commas. The caller looks at the buf's error. */
void scram_server_first(struct scram_server *s, const struct scram_verifier *verifier, bool is_fake, struct span nonce,
                        struct buf *out);
/* client-final-message. On SCRAM_GOOD the client has proved that it knows the password, and server-final-message was
 * appended. */
MUST_USE enum scram_result scram_client_final(struct scram_server *s, struct span message, struct buf *out);

#endif
