/* What is stored of a password: all kinds are made together from one password, so that they never disagree. */
#ifndef AUTH_CREDENTIALS_H
#define AUTH_CREDENTIALS_H

#include "base/buf.h"
#include "config/settings.h"

#define CREDENTIAL_CRYPT "crypt"                 /* a hash of crypt(5) */
#define CREDENTIAL_SCRAM_SHA_256 "scram-sha-256" /* auth/scram.h */
#define CREDENTIAL_APOP "apop"                   /* the password itself: only where pop3.apop is on */
#define CREDENTIAL_DOVECOT "dovecot" /* an imported hash that crypt(5) does not know: auth/dovecot_scheme.h */
#define CREDENTIALS_MAX 3
#define CREDENTIAL_SIZE_MAX 1024 /* bytes of a value */

struct credential {
    const char *kind;
    struct buf value;
};

struct credential_set {
    struct credential items[CREDENTIALS_MAX];
    size_t count;
};

/* Fills *set from what the person chose, under the settings auth.password_hash, auth.hash_cost and pop3.apop. Takes as
 * long as the hash is meant to cost. 0, or with a sentence in `problem` and an empty set: -EINVAL (the password is
 * empty, too long, not UTF-8, or the settings name no hash), -ENOMEM. */
MUST_USE int credentials_make(const struct settings *settings, struct span password, struct credential_set *set,
                              struct buf *problem);
/* The rules for a password that a person chose: what credentials_make() asks for, at least auth.password_min_length
 * characters, and without the local part of `address` (local@domain) in it, in any case, where that has three
 * characters or more. False with a sentence for that person in `problem`. */
MUST_USE bool credentials_are_good(const struct settings *settings, struct span address, struct span password,
                                   struct buf *problem);
/* Wipes and frees. */
void credentials_release(struct credential_set *set);

#endif
